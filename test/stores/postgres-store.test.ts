/** The PostgreSQL store keeps what it said it keeps, whoever dies, and says clearly why it cannot (gateway/store/postgres). */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Store } from "../../core/ports/store.ts";
import { storeErrorOf } from "../../gateway/store/postgres/errors.ts";
import {
  openPostgresStore,
  type PostgresStore,
  type PostgresStoreOptions,
} from "../../gateway/store/postgres/postgres-store.ts";
import { TestPostgres } from "../../host-sim/postgres/postgres-server.ts";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { PostgresProxy } from "../support/postgres-proxy.ts";
import { changeOf, packed, referenceOf } from "../support/store-changes.ts";
import { refusal, storeContract, storedVersion } from "./store-contract.ts";

let server: TestPostgres;
let url = "";
const opened: Store[] = [];

beforeAll(async () => {
  server = await TestPostgres.start();
});
afterAll(() => server?.close());
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

async function open(options?: PostgresStoreOptions): Promise<PostgresStore> {
  const store = await openPostgresStore(url, options);
  opened.push(store);
  return store;
}

async function fresh(options?: PostgresStoreOptions): Promise<PostgresStore> {
  url = await server.database();
  return await open(options);
}

storeContract("PostgreSQL for one process", { open: () => fresh(), reopen: () => open() });
storeContract("PostgreSQL for one of several", {
  open: () => fresh({ worker: "one" }),
  reopen: async () => {
    const store = await open({ worker: "one" });
    await store.leases.beat(); // closing freed its leases
    return store;
  },
});

/** A process that commits ever higher versions, and the highest that it reported. */
function writer(): { readonly child: ChildProcess; reported: number; ended: Promise<unknown> } {
  const script = join(import.meta.dirname, "postgres-writer.ts");
  const child = spawn(process.execPath, [RUNNER, script, url], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const one = { child, reported: 0, ended: once(child, "exit") };
  createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }).on(
    "line",
    (line) => {
      one.reported = Number(line);
    },
  );
  return one;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Every commit that was reported is there whole, and no half of one that was not. */
async function expectWhole(store: Store, reported: number): Promise<void> {
  const stored = storedVersion((await store.load())[0]) ?? 0;
  expect(stored).toBeGreaterThanOrEqual(reported);
  expect(await store.isCredited(referenceOf(stored))).toBe(true);
  expect(await store.isCredited(referenceOf(stored + 1))).toBe(false);
}

test("a killed process leaves every commit that it reported", async () => {
  await (await fresh()).close();
  const one = writer();
  await until(() => one.reported >= 100);
  one.child.kill("SIGKILL");
  await one.ended;
  // Where it died in a commit, its session lives until the disk has answered.
  const alive = `SELECT FROM workers JOIN pg_stat_activity
    ON pid = workers.session AND backend_start = session_start`;
  await eventually(async () => expect(await server.query(url, alive)).toEqual([]));
  await expectWhole(await open(), one.reported); // at once: its session ended with it
});

test("a killed server leaves every commit that was reported, and the store goes on when it is back", async () => {
  const store = await fresh();
  let version = 0;
  let failure: unknown;
  const writing = (async () => {
    try {
      for (;;) {
        await store.commit(changeOf(1, version + 1, { credits: packed(version + 1) }));
        version++;
      }
    } catch (error) {
      failure = error;
    }
  })();
  await until(() => version >= 50);
  await server.kill();
  await writing;
  expect(String(failure)).toMatch(/was lost|cannot be reached/);
  expect(await refusal(() => store.load())).toBe("io");
  await server.run();
  await eventually(() => expectWhole(store, version));
  const stored = storedVersion((await store.load())[0]) as number;
  expect(stored).toBeLessThanOrEqual(version + 1);
  await store.commit(changeOf(1, stored + 1));
  expect(storedVersion((await store.load())[0])).toBe(stored + 1);
});

async function eventually(work: () => Promise<void>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; ; ) {
    try {
      await work();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

test("a lost session is replaced, and what it was still writing cannot come after what is read", async () => {
  const store = await fresh();
  await store.commit(changeOf(1, 1));
  const ended =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name LIKE '%store'";
  await server.query(url, ended);
  await eventually(async () => {
    await store.commit(changeOf(1, 2));
  });
  expect(storedVersion((await store.load())[0])).toBe(2);
  const [row] = await server.query(url, "SELECT epoch FROM workers");
  expect(row?.epoch).toBe("2");
});

test.each(["before-commit", "after-commit"] as const)(
  "a connection cut %s leaves an outcome that nobody knows: it is refused, and read again",
  async (cut) => {
    const proxy = await PostgresProxy.start(await server.database());
    url = proxy.through;
    const store = await open();
    await store.commit(changeOf(1, 1));
    proxy.cut = cut;
    await expect(store.commit(changeOf(1, 2, { credits: packed(2) }))).rejects.toThrow("not known");
    await eventually(async () => {
      await store.load();
    });
    const isStored = cut === "after-commit";
    expect(storedVersion((await store.load())[0])).toBe(isStored ? 2 : 1);
    const again = await store.commit(changeOf(1, 3, { credits: packed(2, 3) }));
    expect(again.duplicateCredits).toEqual(isStored ? [0] : []);
    await store.close();
    await proxy.close();
  },
);

test("who reads waits for what was written before, not for as long as others write", async () => {
  const store = await fresh();
  let rounds = 0;
  let last: Promise<void> | undefined;
  /** While it is being written the next one is given. */
  const writeOn = (): void => {
    last = store.tables.join(async () => {
      if (++rounds < 500) writeOn();
    });
  };
  writeOn();
  const commit = store.commit(changeOf(9, 5, { credits: packed(77) }));
  const read = store.isCredited(referenceOf(77));
  const value = store.getValue("nothing");
  expect([await read, await value]).toEqual([true, undefined]);
  expect(rounds).toBeLessThan(10);
  rounds = 500;
  await last;
  await commit;
});

test("named values share a transaction, and are read by one query", async () => {
  const store = await fresh();
  const keys = Array.from({ length: 300 }, (_, n) => `value-${n}`);
  await Promise.all(keys.map((key, n) => store.setValue(key, Uint8Array.of(n & 255))));
  const [row] = await server.query(
    url,
    "SELECT count(DISTINCT xmin::text) AS transactions FROM settings WHERE name LIKE 'value-%'",
  );
  expect(Number(row?.transactions)).toBeLessThan(4);
  const read = await Promise.all([...keys, "nothing"].map((key) => store.getValue(key)));
  expect(read).toEqual([...keys.map((_, n) => Uint8Array.of(n & 255)), undefined]);
  await Promise.all([1, 2, 3].map((n) => store.setValue("last", Uint8Array.of(n))));
  expect(await store.getValue("last")).toEqual(Uint8Array.of(3));
});

test("rows that go with the commits stand before them, also after a failure", async () => {
  const proxy = await PostgresProxy.start(await server.database());
  url = proxy.through;
  const store = await open();
  await server.query(url, "CREATE TABLE steps (step TEXT)");
  const step = (text: string) =>
    store.tables.join(async (session) => {
      await session.query({ name: "step", text: "INSERT INTO steps VALUES ($1)" }, [text]);
    });
  proxy.cut = "before-commit";
  const first = await Promise.allSettled([step("one"), store.commit(changeOf(1, 1))]);
  expect(first.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  await eventually(async () => {
    await store.commit(changeOf(1, 1));
  });
  await step("two");
  const steps = await server.query(url, "SELECT step FROM steps");
  expect(steps.map(({ step: text }) => text)).toEqual(["one", "two"]);
  await store.close();
  await proxy.close();
});

describe("opening", () => {
  test("a second process is refused while the first is there, by the name of what it meets", async () => {
    const store = await fresh();
    expect(await refusal(() => openPostgresStore(url))).toBe("locked");
    expect(await refusal(() => openPostgresStore(url, { worker: "two" }))).toBe("locked");
    await store.close();
    const two = await open({ worker: "two" });
    expect(await refusal(() => openPostgresStore(url, { worker: "two" }))).toBe("locked");
    await expect(openPostgresStore(url, { worker: "two" })).rejects.toThrow("another name");
    await two.close();
    await open();
  });

  test("a database of a newer version, or of another program, is refused and left alone", async () => {
    await (await fresh()).close();
    await server.query(url, "UPDATE picobolt SET version = 99");
    expect(await refusal(() => openPostgresStore(url))).toBe("newer-format");
    url = await server.database();
    await server.query(url, "CREATE TABLE songs (title TEXT)");
    expect(await refusal(() => openPostgresStore(url))).toBe("foreign");
    await expect(openPostgresStore(url)).rejects.toThrow("songs");
  });

  test("two processes that start on an empty database both find it whole", async () => {
    url = await server.database();
    const [one, two] = await Promise.all([open({ worker: "one" }), open({ worker: "two" })]);
    expect(await one.load()).toEqual([]);
    expect(await two.load()).toEqual([]);
  });
});

test.each([
  ["53100", "full"],
  ["25006", "read-only"],
  ["42501", "read-only"],
  ["28P01", "io"],
  ["XX001", "corrupt"],
  ["54000", "too-large"],
  ["57P01", "io"],
  ["ECONNRESET", "io"],
])("%s is told as %s, with the database's name", (code, kind) => {
  const error = storeErrorOf(Object.assign(new Error("raw"), { code }), "postgres://db/x");
  expect(error.code).toBe(kind);
  expect(error.message).toContain("postgres://db/x");
});
