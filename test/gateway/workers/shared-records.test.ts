/** What the processes on one PostgreSQL share beside channels: limits, answers, payments, and the places of devices. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { nobleCrypto } from "../../../core/crypto/noble.ts";
import { channelId, publicKey } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { topicName } from "../../../core/transport/mqtt-topics.ts";
import { PostgresAnswers } from "../../../gateway/store/postgres/postgres-answers.ts";
import { PostgresLedger } from "../../../gateway/store/postgres/postgres-ledger.ts";
import { PostgresSpending } from "../../../gateway/store/postgres/postgres-spending.ts";
import {
  openPostgresStore,
  type PostgresStore,
} from "../../../gateway/store/postgres/postgres-store.ts";
import { storedChannels } from "../../../gateway/store/postgres/stored-channels.ts";
import { DevicePlaces } from "../../../gateway/workers/device-places.ts";
import { TestPostgres } from "../../../host-sim/postgres/postgres-server.ts";
import { PATIENT } from "../../support/patience.ts";
import { PostgresProxy } from "../../support/postgres-proxy.ts";
import { idempotencyContract } from "../api/idempotency-contract.ts";
import { limit, msat, spendingContract, TODAY } from "../auth/spending-contract.ts";
import { payment } from "../payments/ledger-contract.ts";

const LEASE_MS = 60_000;

let server: TestPostgres;
const stores: PostgresStore[] = [];
beforeAll(async () => {
  server = await TestPostgres.start();
});
afterAll(async () => {
  for (const store of stores) await store.close();
  await server?.close();
});

async function opened(url: string, worker?: string): Promise<PostgresStore> {
  const named = worker === undefined ? {} : { worker, leaseMs: LEASE_MS };
  const store = await openPostgresStore(url, named);
  stores.push(store);
  return store;
}

async function two(): Promise<readonly [PostgresStore, PostgresStore]> {
  const url = await server.database();
  return [await opened(url, "a"), await opened(url, "b")];
}

spendingContract("limits in PostgreSQL", async () => {
  return new PostgresSpending(await opened(await server.database()));
});

idempotencyContract("answers in PostgreSQL", async () => {
  const url = await server.database();
  return async () => {
    const store = await opened(url);
    return { answers: new PostgresAnswers(store), close: () => store.close() };
  };
});

test("a limit is one for all processes, also where they spend at the same moment", async () => {
  const all = (await two()).map((store) => new PostgresSpending(store));
  const daily = [limit(1, 1_000)];
  const asked = all.flatMap((one) =>
    Array.from({ length: 10 }, () => one.add(TODAY, daily, msat(100))),
  );
  expect((await Promise.all(asked)).filter((isWithin) => isWithin)).toHaveLength(10);
});

test("what could not be counted is not counted later: nothing was paid for it", async () => {
  const wire = await PostgresProxy.start(await server.database());
  const spending = new PostgresSpending(await opened(wire.through));
  const daily = [limit(1, 1_000)];
  wire.cut = "before-commit";
  await expect(spending.add(TODAY, daily, msat(600))).rejects.toThrow(/was lost/);
  await vi.waitFor(() => spending.giveBack(TODAY - 9, daily, msat(1)), PATIENT);
  expect(await spending.add(TODAY, daily, msat(1_000))).toBe(true);
  await stores.pop()?.close();
  await wire.close();
});

test("a payment is claimed by one process, and taken up by another once that one is gone", async () => {
  const [a, b] = await two();
  const ledgers = [new PostgresLedger(a), new PostgresLedger(b)] as const;
  const sent = (n: number) => {
    const { incoming: _, ...one } = payment(n, { kind: "sent", status: "pending" });
    return one;
  };
  const claims = await Promise.all(ledgers.map((ledger) => ledger.claim(sent(1))));
  expect(claims.filter((isOurs) => isOurs)).toHaveLength(1);
  await ledgers[0].claim(sent(2));
  await ledgers[0].put({ ...sent(1), status: "failed" });
  expect(await ledgers[1].claim(sent(1))).toBe(true);
  expect(await ledgers[1].orphans(false)).toEqual([]);
  await a.close();
  expect((await ledgers[1].orphans(false)).map(({ createdAt }) => createdAt)).toEqual([
    sent(2).createdAt,
  ]);
  expect(await ledgers[1].orphans(false)).toEqual([]);
});

test("a device is answered by whoever has its lease; without one by one process, the same in all eyes", async () => {
  const [a, b] = await two();
  const places = [a, b].map((store) => new DevicePlaces({ store, nowMs: () => 0 }));
  const crypto = nobleCrypto();
  const peers = Array.from({ length: 12 }, (_, n) =>
    publicKey(Uint8Array.of(2, ...crypto.sha256(Uint8Array.of(n)))),
  );
  const leased = peers.slice(0, 4);
  for (const peer of leased) {
    expect(await a.leases.acquire(peer)).toBe(true);
    places[0]?.served(peer, true);
  }
  const answers = await Promise.all(
    peers.map((peer) => Promise.all(places.map((one) => one.isOurs(topicName(toHex(peer)))))),
  );
  for (const answer of answers.slice(0, 4)) expect(answer).toEqual([true, false]);
  for (const answer of answers.slice(4)) expect(answer.filter((isOurs) => isOurs)).toHaveLength(1);
});

test("a channel is known to all processes, whoever runs it", async () => {
  const [a, b] = await two();
  const id = channelId(new Uint8Array(32).fill(9));
  const remoteNodeId = new Uint8Array(33).fill(2);
  await a.commit({ channelId: id, live: { remoteNodeId }, record: () => new Uint8Array(3) });
  const other = new Uint8Array(32).fill(8);
  expect(await storedChannels(b.tables, [other, id])).toEqual([new Uint8Array(id)]);
});
