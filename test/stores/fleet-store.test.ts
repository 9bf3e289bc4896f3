/** What the fleet keeps, in both kinds of store: as it was put, in order, and there after a restart. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { FleetStore } from "../../gateway/fleet/fleet-store.ts";
import type { FleetRequest, FleetSale } from "../../gateway/fleet/fleet-types.ts";
import type { Rollout } from "../../gateway/fleet/rollout.ts";
import { PostgresFleet } from "../../gateway/store/postgres/postgres-fleet.ts";
import { openPostgresStore } from "../../gateway/store/postgres/postgres-store.ts";
import { SqliteFleet } from "../../gateway/store/sqlite-fleet.ts";
import { openSqliteStore } from "../../gateway/store/sqlite-store.ts";
import { TestPostgres } from "../../host-sim/postgres/postgres-server.ts";

const COFFEE = `02${"ab".repeat(32)}`;
const TEA = `03${"cd".repeat(32)}`;
const RUN = "01".repeat(8);
const ROLLOUT = "0a".repeat(16);
const DIGEST = "ef".repeat(32);

const request = (n: number, more: Partial<FleetRequest> = {}): FleetRequest => ({
  id: n.toString(16).padStart(32, "0"),
  nodeId: n % 2 === 0 ? COFFEE : TEA,
  kind: "settings",
  body: { changes: { name: `zero \0 and ☕ ${n}` } },
  createdAt: 1_000.25,
  expiresAt: 2_000,
  state: "waiting",
  attempts: 0,
  ...more,
});
const sale = (number: number, more: Partial<FleetSale> = {}): FleetSale => ({
  nodeId: COFFEE,
  run: RUN,
  number,
  at: 1_000 + number,
  kind: "delivered",
  reference: "ee".repeat(16),
  product: 7,
  amountMsat: 1_500_000,
  ...more,
});

interface Opened {
  readonly fleet: FleetStore;
  /** Runs the SQL. */
  damage(text: string): Promise<void>;
  close(): Promise<unknown> | unknown;
}

let server: TestPostgres;
let folder: string;
beforeAll(async () => {
  server = await TestPostgres.start();
  folder = mkdtempSync(join(tmpdir(), "picobolt-fleet-store-"));
});
afterAll(async () => {
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

const kinds: readonly (readonly [string, () => Promise<() => Promise<Opened>>])[] = [
  [
    "SQLite",
    async () => {
      const path = join(folder, "fleet.sqlite");
      return async () => {
        const store = openSqliteStore(path);
        const damage = async (text: string) => void store.tables.db.exec(text);
        return { fleet: new SqliteFleet(store.tables), damage, close: () => store.close() };
      };
    },
  ],
  [
    "PostgreSQL",
    async () => {
      const url = await server.database();
      return async () => {
        const store = await openPostgresStore(url);
        const damage = (text: string) =>
          store.tables.join(async (session) => void (await session.query({ name: "", text })));
        return { fleet: new PostgresFleet(store), damage, close: () => store.close() };
      };
    },
  ],
];

describe.each(kinds)("in %s", (_, prepare) => {
  let open: () => Promise<Opened>;
  let fleet: FleetStore;
  let opened: Opened;
  const reopen = async () => {
    await opened?.close();
    opened = await open();
    fleet = opened.fleet;
  };
  beforeAll(async () => {
    open = await prepare();
    await reopen();
  });
  afterAll(() => opened?.close());

  test("devices and roll-outs are what was put last", async () => {
    const device = { nodeId: COFFEE, name: "coffee", groups: ["halls"], addedAt: 1.5 };
    await fleet.putDevice({ ...device, name: "before" });
    await fleet.putDevice(device);
    const rollout = { id: ROLLOUT, state: "running", parts: [] } as unknown as Rollout;
    await fleet.putRollout(rollout);
    await fleet.putRollout({ ...rollout, state: "halted", reason: "☠ \0" });
    await reopen();
    expect(await fleet.devices()).toEqual([device]);
    expect(await fleet.rollouts()).toEqual([{ ...rollout, state: "halted", reason: "☠ \0" }]);
  });

  test("requests wait in their order, and are found by device, state and roll-out", async () => {
    await fleet.putRequests([request(1), request(2, { rollout: ROLLOUT }), request(3), request(4)]);
    const done = request(3, { state: "succeeded", finishedAt: 1_500.5 });
    await fleet.putRequests([done]);
    await reopen();
    expect(await fleet.waitingRequests()).toEqual([
      request(1),
      request(2, { rollout: ROLLOUT }),
      request(4),
    ]);
    expect(await fleet.request(done.id)).toEqual(done);
    expect(await fleet.request("ff".repeat(16))).toBeUndefined();
    const ids = async (filter: object) =>
      (await fleet.requests({ limit: 10, ...filter })).map(({ id }) => Number(`0x${id}`));
    expect(await ids({})).toEqual([4, 3, 2, 1]);
    expect(await ids({ limit: 1 })).toEqual([4]);
    expect(await ids({ nodeId: TEA })).toEqual([3, 1]);
    expect(await ids({ state: "succeeded" })).toEqual([3]);
    expect(await ids({ rollout: ROLLOUT })).toEqual([2]);
  });

  test("a sale that is fetched twice is there once", async () => {
    const refund = sale(2, { kind: "refunded", reason: "the motor \u2620 jams" });
    const { product: _, amountMsat: __, ...owed } = sale(3, { kind: "owed", nodeId: TEA });
    await fleet.addSales([sale(1), refund]);
    await fleet.addSales([refund, owed]);
    await reopen();
    const all = await fleet.sales({ limit: 10 });
    expect(all.map(({ sequence: _sequence, ...one }) => one)).toEqual([owed, refund, sale(1)]);
    expect(await fleet.sales({ limit: 10, kind: "refunded" })).toMatchObject([refund]);
    expect(await fleet.sales({ limit: 10, nodeId: TEA })).toMatchObject([owed]);
    const [, second] = all;
    expect(await fleet.sales({ limit: 10, before: second?.sequence as number })).toHaveLength(1);
  });

  test("images are kept until they are removed; what is old is forgotten, and what waits is not", async () => {
    const bytes = new Uint8Array(100_000).map((__, index) => index % 251);
    await fleet.putBlob(DIGEST, bytes);
    await fleet.putBlob(DIGEST, bytes);
    await reopen();
    expect(await fleet.blob(DIGEST)).toEqual(bytes);
    await fleet.removeBlob(DIGEST);
    expect(await fleet.blob(DIGEST)).toBeUndefined();
    await fleet.prune({ requests: 1_600, sales: 1_003 });
    expect(await fleet.requests({ limit: 10 })).toHaveLength(3);
    expect(await fleet.sales({ limit: 10 })).toHaveLength(1);
  });

  test("a damaged row is passed over and named, and stays as it is", async () => {
    await fleet.putDevice({ nodeId: TEA, name: "tea", groups: [], addedAt: 2 });
    await opened.damage("UPDATE fleet_devices SET body = substr(body, 1, 20)");
    await fleet.putDevice({ nodeId: COFFEE, name: "coffee", groups: [], addedAt: 2 });
    await opened.damage("UPDATE fleet_rollouts SET body = 'null'");
    await reopen();
    expect(await fleet.devices()).toMatchObject([{ nodeId: COFFEE }]);
    expect(await fleet.rollouts()).toEqual([]);
    expect(fleet.damaged).toHaveLength(2);
    expect(fleet.damaged.join()).toContain(`device ${TEA} is damaged in the store`);
    expect(fleet.damaged.join()).toContain(`roll-out ${ROLLOUT}`);
    await reopen();
    expect(await fleet.devices()).toHaveLength(1);
    expect(fleet.damaged).toHaveLength(1);
  });
});
