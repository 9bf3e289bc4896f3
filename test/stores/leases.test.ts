/** Several processes on one database: no channel is ever run by two, and none is left alone (gateway/store/lease.ts). */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { CommitOutcome, StoreCommit } from "../../core/ports/store.ts";
import type { LeaseEvents, Subject } from "../../gateway/store/lease.ts";
import {
  openPostgresStore,
  type PostgresStore,
} from "../../gateway/store/postgres/postgres-store.ts";
import { TestPostgres } from "../../host-sim/postgres/postgres-server.ts";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { PostgresProxy } from "../support/postgres-proxy.ts";
import { changeOf, packed, peerOf, referenceOf } from "../support/store-changes.ts";
import { refusal, storedVersion } from "./store-contract.ts";

/** Runs out while a test waits for it, and not while a busy machine lets one wait. */
const SHORT_LEASE_MS = 8_000;
let server: TestPostgres;
let url = "";
const opened: PostgresStore[] = [];
const ends: (() => Promise<unknown> | unknown)[] = [];

beforeAll(async () => {
  server = await TestPostgres.start();
});
afterAll(() => server?.close());
beforeEach(async () => {
  url = await server.database();
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  for (const store of opened.splice(0)) await store.close();
});

async function worker(name: string, leaseMs = 60_000): Promise<PostgresStore> {
  const store = await openPostgresStore(url, { worker: name, leaseMs });
  opened.push(store);
  return store;
}

/** A commit of channel n, whose peer is peer n (or the one given). */
function change(
  n: number,
  version: number,
  extra: Partial<StoreCommit> = {},
  peer = n,
): StoreCommit {
  return { ...changeOf(n, version, extra), live: { remoteNodeId: peerOf(peer) } };
}

async function eventually(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !(await condition()); ) {
    if (performance.now() > end) throw new Error("it did not come to pass");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Events of one worker, as lists; what is asked for is given. */
function follow(store: PostgresStore): { taken: number; lost: string[]; asked: number } {
  const seen = { taken: 0, lost: [] as string[], asked: 0 };
  const events: LeaseEvents = {
    taken: (leases) => {
      seen.taken += leases.length;
    },
    lost: (_, reason) => seen.lost.push(reason),
    asked: (subjects: readonly Subject[]) => {
      seen.asked += subjects.length;
      void store.leases.release(subjects);
    },
  };
  store.leases.start(events);
  return seen;
}

test("whoever has a peer's first channel has the peer; another's commit is refused, and only that one", async () => {
  const [a, b] = [await worker("a"), await worker("b")];
  await a.commit(change(1, 1));
  const attempts = await Promise.allSettled<CommitOutcome>([
    b.commit(change(2, 1, { credits: packed(1) })),
    b.commit(change(1, 9, { credits: packed(2) })),
    b.commit(change(3, 1, { credits: packed(3) }, 1)), // another channel of that peer
    b.commit(change(4, 1, { credits: packed(4) })),
  ]);
  expect(attempts.map(({ status }) => status)).toEqual([
    "fulfilled",
    "rejected",
    "rejected",
    "fulfilled",
  ]);
  expect(attempts[1]).toMatchObject({ reason: { name: "StoreError", code: "fenced" } });
  const credited = await Promise.all([1, 2, 3, 4].map((n) => b.isCredited(referenceOf(n))));
  expect(credited).toEqual([true, false, false, true]);
  expect((await a.load()).map(storedVersion)).toEqual([1]);
  expect((await b.load()).map(storedVersion)).toEqual([1, 1]);
  expect(await b.leases.acquire(peerOf(1))).toBe(false);
  expect(await b.leases.holderOf(peerOf(1))).toBe("a");
});

test("values and channel keys of a process are its own, by its name, also after a restart", async () => {
  const [a, b] = [await worker("a"), await worker("b")];
  expect(a.keyIndices.below).toBe(b.keyIndices.from);
  for (const [store, byte] of [
    [a, 1],
    [b, 2],
  ] as const) {
    await store.setValue("next-key-index", Uint8Array.of(byte));
    await store.setValue("payout-script", Uint8Array.of(byte));
  }
  const { keyIndices } = a;
  await a.close();
  const again = await worker("a");
  expect(again.keyIndices).toEqual(keyIndices);
  expect(await again.getValue("next-key-index")).toEqual(Uint8Array.of(1));
  expect(await again.getValue("payout-script")).toEqual(Uint8Array.of(2));
});

test("a reference that one process credited is a duplicate to all others", async () => {
  const [a, b] = [await worker("a"), await worker("b")];
  await a.commit(change(1, 1, { credits: packed(7), debits: packed(8) }));
  const outcome = await b.commit(change(2, 1, { credits: packed(6, 7) }));
  expect(outcome.duplicateCredits).toEqual([1]);
  expect(await b.isDebited(referenceOf(8))).toBe(true);
});

test("a stale holder's commit fails, also when the lease is free again", async () => {
  const [a, b] = [await worker("a"), await worker("b")];
  await a.commit(change(1, 1));
  await a.leases.release([peerOf(1)]);
  expect(await b.leases.acquire(peerOf(1))).toBe(true);
  expect((await b.loadOf([peerOf(1)])).map(storedVersion)).toEqual([1]);
  await b.commit(change(1, 2));
  expect(await refusal(() => a.commit(change(1, 2)))).toBe("fenced");
  await b.commit(change(1, 3, { remove: true })); // even the channel is gone
  await b.leases.release([peerOf(1)]);
  expect(await refusal(() => a.commit(change(1, 2)))).toBe("fenced");
  expect(await a.leases.acquire(peerOf(1))).toBe(true);
  expect(await a.loadOf([peerOf(1)])).toEqual([]);
});

test("a process that is silent for too long is fenced as a whole, by the database's clock", async () => {
  const a = await worker("a", SHORT_LEASE_MS);
  await a.commit(change(1, 1));
  await a.setValue("chain-height", Uint8Array.of(0, 0, 0, 9));
  const b = await worker("b", SHORT_LEASE_MS);
  const seen = follow(b);
  await eventually(() => seen.taken === 1);
  expect(b.leases.isHeld(peerOf(1))).toBe(true);
  expect(a.leases.isHeld(peerOf(1))).toBe(false);
  await b.commit(change(1, 2));
  expect(await refusal(() => a.commit(change(1, 2)))).toBe("fenced");
  expect(await refusal(() => a.commit(change(5, 1)))).toBe("fenced");
  expect(await refusal(() => a.setValue("x", Uint8Array.of(1)))).toBe("fenced");
  expect(await refusal(() => a.load())).toBe("fenced");
  expect(storedVersion((await b.load())[0])).toBe(2);
  expect(await b.getValue("chain-height")).toBeUndefined();
  expect(await b.valueOf("a", "chain-height")).toEqual(Uint8Array.of(0, 0, 0, 9));
});

test("shares are equal after one comes, and all go to the other at once when one leaves", async () => {
  const a = await worker("a");
  for (let n = 1; n <= 5; n++) await a.commit(change(n, 1));
  const first = follow(a);
  const b = await worker("b");
  const second = follow(b);
  await eventually(async () => {
    await a.leases.beat(); // a minute's lease is renewed every twelve seconds: we do not wait
    return second.taken === 2;
  });
  expect(first.asked).toBe(2);
  expect(a.leases.held()).toHaveLength(3);
  expect((await b.leases.workers()).map(({ name, leases }) => [name, leases])).toEqual([
    ["a", 3],
    ["b", 2],
  ]);
  await a.close();
  await eventually(() => second.taken === 5); // far sooner than any lease runs out
  expect((await b.load()).map(storedVersion)).toEqual([1, 1, 1, 1, 1]);
});

test("a crowd of new peers is taken in few transactions, and none of them has to move for equal shares", async () => {
  const [a, b] = [await worker("a"), await worker("b")];
  const first = follow(a);
  const second = follow(b);
  const crowd = Array.from({ length: 200 }, (_, n) => peerOf(n + 1));
  expect(await Promise.all(crowd.map((peer) => a.leases.acquire(peer)))).not.toContain(false);
  expect(await Promise.all(crowd.map((peer) => b.leases.acquire(peer)))).not.toContain(true);
  const [rows] = await server.query(
    url,
    "SELECT count(*) AS leases, count(DISTINCT xmin::text) AS transactions FROM leases",
  );
  expect(Number(rows?.leases)).toBe(200);
  expect(Number(rows?.transactions)).toBeLessThan(5);
  await a.leases.beat();
  await b.leases.beat();
  expect([first.asked, second.taken]).toEqual([0, 0]);
});

test("shares that are nearly equal are left alone: whoever moves loses its session", async () => {
  const [a, b] = [await worker("a"), await worker("b")];
  await Promise.all(Array.from({ length: 17 }, (_, n) => a.commit(change(n + 1, 1))));
  await Promise.all(Array.from({ length: 15 }, (_, n) => b.commit(change(n + 18, 1))));
  const seen = follow(a);
  await a.leases.beat();
  expect(seen.asked).toBe(0);
  await Promise.all(Array.from({ length: 10 }, (_, n) => a.commit(change(n + 33, 1))));
  await a.leases.beat();
  expect(seen.asked).toBe(6); // of 27 and 15
});

test("whoever cannot reach the database falls silent before others take over", async () => {
  const proxy = await PostgresProxy.start(url);
  ends.push(() => proxy.close());
  url = proxy.through;
  const a = await worker("a", SHORT_LEASE_MS);
  const seen = follow(a);
  await a.commit(change(1, 1));
  expect(a.leases.isHeld(peerOf(1))).toBe(true);
  proxy.down();
  await eventually(() => seen.lost.length === 1);
  expect(a.leases.isHeld(peerOf(1))).toBe(false);
  expect(seen.lost[0]).toContain("not reached");
  expect(await refusal(() => a.commit(change(1, 2)))).toBe("io");
  proxy.up();
  await eventually(() => seen.taken === 1); // nobody else came: it is ours again, under a new fence
  await eventually(async () => (await refusalOrNone(() => a.commit(change(1, 2)))) === undefined);
  expect(storedVersion((await a.load())[0])).toBe(2);
});

async function refusalOrNone(work: () => unknown): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return String(error);
  }
}

interface Running {
  readonly name: string;
  /** By channel: the highest version that was told, and how often. */
  readonly stored: Map<number, number>;
  readonly other: string[];
  runs: number;
  kill(signal: NodeJS.Signals): Promise<unknown>;
}

function started(name: string, leaseMs: number): Running {
  const script = join(import.meta.dirname, "lease-worker.ts");
  const args = [RUNNER, script, url, name, String(leaseMs)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const running: Running = {
    name,
    stored: new Map(),
    other: [],
    runs: 0,
    kill: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
  createInterface({ input: child.stdout }).on("line", (line) => {
    const [what, n, version] = line.split(" ");
    if (what === "stored") running.stored.set(Number(n), Number(version));
    else if (what === "runs") running.runs++;
    else running.other.push(line);
  });
  ends.push(() => running.kill("SIGKILL"));
  return running;
}

test("of two processes one is killed: the other goes on, nothing is lost and nothing doubled", async () => {
  const channels = 6;
  const setup = await worker("setup");
  for (let n = 1; n <= channels; n++) {
    await setup.commit(change(n, 1, { credits: packed(n * 1_000_000 + 1) }));
  }
  await setup.close();
  const [a, b] = [started("a", SHORT_LEASE_MS), started("b", SHORT_LEASE_MS)];
  const busy = (one: Running) => [...one.stored.values()].length;
  await eventually(() => busy(a) >= 3 && busy(b) >= 3);
  await eventually(() => [...b.stored.values()].some((version) => version > 30));
  await b.kill("SIGKILL");
  const killedAtMs = performance.now();
  const orphans = [...b.stored].filter(([n, version]) => version > (a.stored.get(n) ?? 0));
  await eventually(() => orphans.every(([n, version]) => (a.stored.get(n) ?? 0) > version));
  const takeoverMs = Math.round(performance.now() - killedAtMs);
  await a.kill("SIGTERM");
  const end = await worker("end");
  await end.leases.beat();
  const stored = (await end.load()).map((one) => storedVersion(one) ?? 0);
  const [row] = await server.query(url, "SELECT count(*) AS credited FROM credits");
  const credited = Number(row?.credited);
  console.log(
    JSON.stringify({
      channels,
      payments: credited,
      takeover_ms: takeoverMs,
      lease_ms: SHORT_LEASE_MS,
    }),
  );
  for (const { stored: told } of [a, b]) {
    for (const [n, version] of told) expect(stored[n - 1]).toBeGreaterThanOrEqual(version);
  }
  expect(stored).toHaveLength(channels);
  expect(credited).toBe(stored.reduce((sum, version) => sum + version, 0));
  expect([...a.other, ...b.other]).toEqual([]);
});
