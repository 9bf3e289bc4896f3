/** The SQLite store keeps what it said it keeps, and says clearly why it cannot (gateway/store). */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { StoreError, type StoreErrorCode } from "../../core/node/store-error.ts";
import type { Store } from "../../core/ports/store.ts";
import { storeErrorOf } from "../../gateway/store/sqlite-errors.ts";
import { openSqliteStore, type SqliteStoreOptions } from "../../gateway/store/sqlite-store.ts";
import {
  changeOf,
  idOf,
  packed,
  recordOf,
  referenceOf,
  versionOf,
} from "../support/store-changes.ts";

let folder: string;
let path: string;
const open: Store[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-sqlite-"));
  path = join(folder, "node.db");
});
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  rmSync(folder, { recursive: true });
});

function opened(options?: SqliteStoreOptions): Store {
  const store = openSqliteStore(path, options);
  open.push(store);
  return store;
}

async function refusal(work: () => unknown): Promise<StoreErrorCode> {
  try {
    await work();
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
  throw new Error("it was not refused");
}

describe.each([
  { mode: "grouped commits", grouped: true },
  { mode: "one transaction per commit", grouped: false },
])("$mode", ({ grouped }) => {
  test("what was committed is there when the file is opened again", async () => {
    const store = opened({ grouped });
    await store.commit(changeOf(1, 1, { archive: [referenceOf(1), referenceOf(2)] }));
    await store.commit(changeOf(2, 1));
    await store.commit(
      changeOf(1, 2, { archive: [referenceOf(3)], credits: packed(5, 6), debits: packed(7) }),
    );
    await store.setValue("tip", Uint8Array.of(1, 2, 3));
    await store.close();
    const again = opened({ grouped });
    expect(await again.load()).toEqual([
      {
        channelId: idOf(1),
        record: recordOf(1, 2),
        archive: [referenceOf(1), referenceOf(2), referenceOf(3)],
      },
      { channelId: idOf(2), record: recordOf(2, 1), archive: [] },
    ]);
    expect(await again.isCredited(referenceOf(6))).toBe(true);
    expect(await again.isCredited(referenceOf(7))).toBe(false);
    expect(await again.isDebited(referenceOf(7))).toBe(true);
    expect(await again.getValue("tip")).toEqual(Uint8Array.of(1, 2, 3));
    expect(await again.getValue("other")).toBeUndefined();
    await again.commit(changeOf(1, 3, { archive: [referenceOf(4)] }));
    expect((await again.load())[0]?.archive[3]).toEqual(referenceOf(4));
  });

  test("a channel that ended leaves nothing but its references", async () => {
    const store = opened({ grouped });
    await store.commit(changeOf(1, 1, { archive: [referenceOf(1)], credits: packed(5) }));
    await store.commit(changeOf(1, 2, { remove: true }));
    expect(await store.load()).toEqual([]);
    expect(await store.isCredited(referenceOf(5))).toBe(true);
    await store.commit(changeOf(1, 3, { archive: [referenceOf(2)] }));
    expect((await store.load())[0]?.archive).toEqual([referenceOf(2)]);
  });

  test("a reference is credited once: duplicates are named, in small batches and in bulk", async () => {
    const store = opened({ grouped });
    const numbers = Array.from({ length: 260 }, (_, i) => i);
    expect(await store.commit(changeOf(1, 1, { credits: packed(...numbers) }))).toEqual({
      duplicateCredits: [],
    });
    const mixed = Array.from({ length: 120 }, (_, i) => (i === 3 || i === 77 ? i : 1000 + i));
    const outcome = await store.commit(
      changeOf(2, 1, { credits: packed(...mixed), archive: [referenceOf(8)] }),
    );
    expect(outcome.duplicateCredits).toEqual([3, 77]);
    expect(await store.commit(changeOf(1, 2, { credits: packed(9999, 9999, 5) }))).toEqual({
      duplicateCredits: [1, 2],
    });
    const channels = await store.load();
    expect(channels.map((channel) => versionOf(channel.record as Uint8Array))).toEqual([2, 1]);
    expect(channels[1]?.archive).toEqual([referenceOf(8)]);
  });

  test("a full disk is a StoreError, keeps the last commit, and passes when there is space", async () => {
    const store = opened({ grouped, maxBytes: 200_000 });
    let version = 1;
    const code = await refusal(async () => {
      for (; version < 1000; version++) await store.commit(changeOf(version, version));
    });
    expect(code).toBe("full");
    expect(version).toBeGreaterThan(100);
    expect(await store.load()).toHaveLength(version - 1);
    await store.commit(changeOf(1, 1, { remove: true }));
    await store.commit(changeOf(2, 5000));
    expect(versionOf((await store.load())[0]?.record as Uint8Array)).toBe(5000);
  });
});

test("grouped commits of one tick keep their order and each learns its own outcome", async () => {
  const store = opened();
  const outcomes = await Promise.all([
    store.commit(changeOf(1, 1, { credits: packed(1) })),
    store.commit(changeOf(2, 1, { credits: packed(1, 2) })),
    store.commit(changeOf(1, 2, { credits: packed(3) })),
    store.commit(changeOf(1, 3, { debits: packed(4) })),
  ]);
  expect(outcomes.map((outcome) => outcome.duplicateCredits)).toEqual([[], [0], [], []]);
  expect(versionOf((await store.load())[0]?.record as Uint8Array)).toBe(3);
});

test("of many payments it is known whether any was debited, also across statements", async () => {
  const store = opened();
  const committed = store.commit(changeOf(1, 1, { debits: packed(120) }));
  const upTo = (end: number) => packed(...Array.from({ length: end }, (_, i) => i));
  for (const count of [1, 49, 50, 51, 120]) expect(store.isAnyDebited?.(upTo(count))).toBe(false);
  for (const count of [121, 150, 151]) expect(store.isAnyDebited?.(upTo(count))).toBe(true);
  await committed;
});

test("what is asked right after a grouped commit already counts it", async () => {
  const store = opened();
  const commit = store.commit(changeOf(1, 1, { debits: packed(4) }));
  expect(store.isDebited(referenceOf(4))).toBe(true);
  expect(await store.load()).toHaveLength(1);
  await commit;
  const last = store.commit(changeOf(1, 2));
  await store.close();
  expect(await last).toEqual({ duplicateCredits: [] });
  expect(await refusal(() => store.commit(changeOf(1, 3)))).toBe("closed");
});

test("grouped commits that do not fit are refused together, and none is half done", async () => {
  const store = opened({ maxBytes: 100_000 });
  const results = await Promise.allSettled(
    Array.from({ length: 400 }, (_, i) => store.commit(changeOf(i, 1))),
  );
  expect(results.every((result) => result.status === "rejected")).toBe(true);
  expect(await store.load()).toEqual([]);
  await store.commit(changeOf(1, 1));
  expect(await store.load()).toHaveLength(1);
});

test("a killed process leaves every commit that it reported", { timeout: 20_000 }, async () => {
  const script = join(import.meta.dirname, "sqlite-writer.ts");
  const writer = spawn(process.execPath, ["--import", "tsx", script, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let reported = 0;
  for await (const line of createInterface({ input: writer.stdout })) {
    reported = Number(line);
    if (reported === 200) writer.kill("SIGKILL");
  }
  if (writer.exitCode === null && writer.signalCode === null) await once(writer, "exit");
  const store = opened();
  const stored = versionOf((await store.load())[0]?.record as Uint8Array);
  expect(stored).toBeGreaterThanOrEqual(reported);
  expect(await store.isCredited(referenceOf(stored))).toBe(true);
  expect(await store.isCredited(referenceOf(stored + 1))).toBe(false);
});

test("a second process, or a second store in this one, is refused while the first is open", async () => {
  const store = opened();
  await store.commit(changeOf(1, 1));
  expect(await refusal(() => openSqliteStore(path))).toBe("locked");
  const script = join(import.meta.dirname, "sqlite-writer.ts");
  const second = spawn(process.execPath, ["--import", "tsx", script, path]);
  const messages: string[] = [];
  second.stderr.on("data", (text) => messages.push(String(text)));
  const [code] = await once(second, "close");
  expect(code).not.toBe(0);
  expect(messages.join("")).toContain("in use by another process");
  await store.close();
  expect(await opened().load()).toHaveLength(1);
});

test("a file of a newer version, of another program, or of garbage is refused and left alone", async () => {
  await opened().close();
  const newer = new Database(path);
  newer.pragma("user_version = 99");
  newer.close();
  expect(await refusal(() => openSqliteStore(path))).toBe("newer-format");
  expect(() => openSqliteStore(path)).toThrow("schema 99");

  path = join(folder, "other.db");
  const other = new Database(path);
  other.exec("CREATE TABLE songs (title TEXT)");
  other.close();
  expect(await refusal(() => openSqliteStore(path))).toBe("foreign");

  path = join(folder, "garbage.db");
  writeFileSync(path, "this is not a database, whatever its name says, ".repeat(100));
  expect(await refusal(() => openSqliteStore(path))).toBe("corrupt");
  path = join(folder, "missing", "node.db");
  expect(await refusal(() => openSqliteStore(path))).toBe("io");
});

test("the file is readable by its owner alone", () => {
  opened();
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test.each([
  ["SQLITE_FULL", "full"],
  ["SQLITE_READONLY", "read-only"],
  ["SQLITE_READONLY_DBMOVED", "read-only"],
  ["SQLITE_BUSY_SNAPSHOT", "locked"],
  ["SQLITE_CORRUPT_INDEX", "corrupt"],
  ["SQLITE_IOERR_FSYNC", "io"],
  ["SQLITE_TOOBIG", "too-large"],
  ["anything else", "io"],
])("%s is told as %s, with the file's name", (code, kind) => {
  const error = storeErrorOf(Object.assign(new Error("raw"), { code }), "/data/node.db");
  expect(error.code).toBe(kind);
  expect(error.message).toContain("/data/node.db");
});

test("the file is in WAL mode, of schema 1 and whole", async () => {
  await opened().close();
  const raw = new Database(path);
  expect(raw.pragma("journal_mode", { simple: true })).toBe("wal");
  expect(raw.pragma("user_version", { simple: true })).toBe(1);
  expect(raw.pragma("integrity_check", { simple: true })).toBe("ok");
  raw.close();
});
