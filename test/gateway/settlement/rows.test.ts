/** What settlement wrote down is there after a restart, in the file as in PostgreSQL: what it began, and what each device got by day. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ServiceStore } from "../../../gateway/run/service-store.ts";
import type { IncomeChannel } from "../../../gateway/settlement/income.ts";
import type { Action } from "../../../gateway/settlement/journal.ts";
import {
  PostgresIncome,
  PostgresJournal,
} from "../../../gateway/store/postgres/postgres-settlement.ts";
import { openPostgresStore } from "../../../gateway/store/postgres/postgres-store.ts";
import { SqliteIncome } from "../../../gateway/store/sqlite-income.ts";
import { SqliteJournal } from "../../../gateway/store/sqlite-settlement.ts";
import { openSqliteStore } from "../../../gateway/store/sqlite-store.ts";
import { TestPostgres } from "../../../host-sim/postgres/postgres-server.ts";

type Rows = NonNullable<ServiceStore["settlement"]> & { close(): Promise<void> };

const folder = mkdtempSync(join(tmpdir(), "picobolt-rows-"));
let server: TestPostgres;
beforeAll(async () => {
  server = await TestPostgres.start();
});
afterAll(async () => {
  await server?.close();
  rmSync(folder, { recursive: true });
});

async function inFile(): Promise<Rows> {
  const store = openSqliteStore(join(folder, "rows.sqlite"));
  const rows = { journal: new SqliteJournal(store), income: new SqliteIncome(store) };
  return { ...rows, close: async () => void (await store.close()) };
}

let url: string | undefined;
async function inPostgres(): Promise<Rows> {
  url ??= await server.database();
  const store = await openPostgresStore(url, {});
  const rows = { journal: new PostgresJournal(store), income: new PostgresIncome(store) };
  return { ...rows, close: async () => void (await store.close()) };
}

function sweep(id: string, createdAt: number): Action<"sweep"> {
  const body = { txid: id, raw: "00", amountSat: 2 ** 40, feeSat: 1, coins: 3, index: 4 };
  return { kind: "sweep", id, state: "pending", createdAt, body: { ...body, sinceHeight: 5 } };
}

const channel: IncomeChannel = {
  channelId: "aa".repeat(32),
  nodeId: `02${"bb".repeat(32)}`,
  isGateway: false,
  openedMsat: 0,
  balanceMsat: 2 ** 45,
  isClosed: false,
};

describe.each([
  ["a file", inFile],
  ["PostgreSQL", inPostgres],
] as const)("in %s", (_, open) => {
  it("actions: the newest first, by state, age and number; put again one replaces itself", async () => {
    let { journal, close } = await open();
    const [a, b, c] = [sweep("a", 10), sweep("b", 20), sweep("c", 30)];
    for (const one of [a, b, c]) await journal.put(one);
    await journal.put({ ...b, state: "succeeded", body: { ...b.body, feeSat: 9 } });
    await close();
    ({ journal, close } = await open());
    expect(await journal.list("sweep", { state: "pending" })).toEqual([c, a]);
    expect(await journal.list("sweep", { from: 20, limit: 5 })).toMatchObject([
      { id: "c" },
      { id: "b", state: "succeeded", body: { feeSat: 9 } },
    ]);
    expect(await journal.list("sweep", { limit: 1 })).toEqual([c]);
    expect(await journal.list("open")).toEqual([]);
    await close();
  });

  it("income: a day adds up, per device and not per channel", async () => {
    let { income, close } = await open();
    const other = { ...channel, channelId: "cc".repeat(32), isGateway: true };
    const entry = { channelId: channel.channelId, day: 20_000, paidMsat: 5, onChainSat: 0 };
    await income.book(channel, { ...entry, receivedMsat: 2 ** 44 });
    await income.book({ ...channel, isClosed: true }, { ...entry, receivedMsat: 7, onChainSat: 3 });
    await income.book(other, { ...entry, channelId: other.channelId, receivedMsat: 1 });
    await income.book(other, undefined);
    await close();
    ({ income, close } = await open());
    expect(await income.channels()).toEqual([{ ...channel, isClosed: true }, other]);
    const sums = { receivedMsat: 2 ** 44 + 8, paidMsat: 15, onChainSat: 3 };
    const day = { day: 20_000, nodeId: channel.nodeId, isGateway: true, ...sums };
    expect(await income.days(20_000, 20_001)).toEqual([day]);
    expect(await income.days(20_001, 30_000)).toEqual([]);
    await close();
  });
});
