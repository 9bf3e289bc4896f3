/** The FleetStore in PostgreSQL (gateway/fleet/fleet-store.ts): the tables of gateway/store/sqlite-fleet.ts. */
import { fromHex, toHex } from "../../../core/primitives/bytes.ts";
import type { FleetStore } from "../../fleet/fleet-store.ts";
import {
  type FleetDevice,
  type FleetRequest,
  type FleetSale,
  type ListedSale,
  REQUEST_STATES,
  type RequestFilter,
  SALE_KINDS,
  type SaleFilter,
  type SaleKind,
} from "../../fleet/fleet-types.ts";
import type { Rollout } from "../../fleet/rollout.ts";
import { type BodyRow, StoredBodies } from "../../fleet/stored-bodies.ts";
import type { PostgresStore, PostgresTables } from "./postgres-store.ts";
import type { Parameter, Row, Session } from "./session.ts";

type Statement = Parameters<Session["query"]>[0];

export class PostgresFleet implements FleetStore {
  private readonly tables: PostgresTables;
  private readonly stored = new StoredBodies();

  constructor(store: PostgresStore) {
    this.tables = store.tables;
  }

  get damaged(): readonly string[] {
    return this.stored.damaged;
  }

  devices(): Promise<readonly FleetDevice[]> {
    return this.bodies("device", DEVICES);
  }

  putDevice(device: FleetDevice): Promise<void> {
    return this.write(PUT_DEVICE, [[fromHex(device.nodeId), JSON.stringify(device)]]);
  }

  putRequests(requests: readonly FleetRequest[]): Promise<void> {
    return this.write(
      PUT_REQUEST,
      requests.map((one) => [
        fromHex(one.id),
        fromHex(one.nodeId),
        REQUEST_STATES.indexOf(one.state),
        one.rollout === undefined ? null : fromHex(one.rollout),
        one.finishedAt === undefined ? null : Math.floor(one.finishedAt),
        JSON.stringify(one),
      ]),
    );
  }

  waitingRequests(): Promise<readonly FleetRequest[]> {
    return this.bodies("request", WAITING);
  }

  async request(id: string): Promise<FleetRequest | undefined> {
    const [found] = await this.bodies<FleetRequest>("request", REQUEST, [fromHex(id)]);
    return found;
  }

  requests({ nodeId, state, rollout, limit }: RequestFilter): Promise<readonly FleetRequest[]> {
    return this.bodies("request", REQUESTS, [
      nodeId === undefined ? null : fromHex(nodeId),
      state === undefined ? null : REQUEST_STATES.indexOf(state),
      rollout === undefined ? null : fromHex(rollout),
      limit,
    ]);
  }

  addSales(sales: readonly FleetSale[]): Promise<void> {
    return this.write(
      ADD_SALE,
      sales.map((one) => [
        fromHex(one.nodeId),
        fromHex(one.run),
        one.number,
        one.at,
        SALE_KINDS.indexOf(one.kind),
        fromHex(one.reference),
        one.product ?? null,
        one.amountMsat ?? null,
        // TEXT takes no zero, and a device may say one.
        one.reason?.replaceAll("\0", "") ?? null,
      ]),
    );
  }

  sales({ nodeId, kind, before, limit }: SaleFilter): Promise<readonly ListedSale[]> {
    const filter = [
      nodeId === undefined ? null : fromHex(nodeId),
      kind === undefined ? null : SALE_KINDS.indexOf(kind),
      before ?? null,
      limit,
    ];
    return this.tables.read(async (session) => (await session.query(SALES, filter)).map(saleOf));
  }

  rollouts(): Promise<readonly Rollout[]> {
    return this.bodies("roll-out", ROLLOUTS);
  }

  putRollout(rollout: Rollout): Promise<void> {
    return this.write(PUT_ROLLOUT, [[fromHex(rollout.id), JSON.stringify(rollout)]]);
  }

  blob(digest: string): Promise<Uint8Array | undefined> {
    return this.tables.read(async (session) => {
      const [row] = await session.query(BLOB, [fromHex(digest)]);
      return row && new Uint8Array(row.bytes as Uint8Array);
    });
  }

  putBlob(digest: string, bytes: Uint8Array): Promise<void> {
    return this.write(PUT_BLOB, [[fromHex(digest), bytes]]);
  }

  removeBlob(digest: string): Promise<void> {
    return this.write(REMOVE_BLOB, [[fromHex(digest)]]);
  }

  async prune(before: { readonly requests: number; readonly sales: number }): Promise<void> {
    await this.write(PRUNE_REQUESTS, [[Math.floor(before.requests)]]);
    await this.write(PRUNE_SALES, [[Math.floor(before.sales)]]);
  }

  private write(statement: Statement, rows: readonly (readonly Parameter[])[]): Promise<void> {
    return this.tables.join(async (session) => {
      for (const row of rows) await session.query(statement, [...row]);
    });
  }

  private bodies<T>(
    what: Parameters<StoredBodies["read"]>[0],
    statement: Statement,
    given: readonly Parameter[] = [],
  ): Promise<readonly T[]> {
    return this.tables.read(async (session) => {
      const rows: readonly unknown[] = await session.query(statement, [...given]);
      return this.stored.read<T>(what, rows as readonly BodyRow[]);
    });
  }
}

function saleOf(row: Row): ListedSale {
  const hex = (value: unknown) => toHex(new Uint8Array(value as Uint8Array));
  return {
    sequence: Number(row.sequence),
    nodeId: hex(row.node_id),
    run: hex(row.run),
    number: Number(row.number),
    at: Number(row.at),
    kind: SALE_KINDS[Number(row.kind)] as SaleKind,
    reference: hex(row.reference),
    ...(row.product !== null && { product: Number(row.product) }),
    ...(row.amount_msat !== null && { amountMsat: Number(row.amount_msat) }),
    ...(row.reason !== null && { reason: String(row.reason) }),
  };
}

const DEVICES = { name: "fleet_devices", text: "SELECT node_id AS id, body FROM fleet_devices" };
const PUT_DEVICE = {
  name: "fleet_put_device",
  text: `INSERT INTO fleet_devices VALUES ($1, $2)
    ON CONFLICT (node_id) DO UPDATE SET body = excluded.body`,
};
const PUT_REQUEST = {
  name: "fleet_put_request",
  text: `INSERT INTO fleet_requests (id, node_id, state, rollout, finished_at, body)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE
    SET (state, finished_at, body) = ROW (excluded.state, excluded.finished_at, excluded.body)`,
};
const WAITING = {
  name: "fleet_waiting",
  text: "SELECT id, body FROM fleet_requests WHERE state = 0 ORDER BY sequence",
};
const REQUEST = {
  name: "fleet_request",
  text: "SELECT id, body FROM fleet_requests WHERE id = $1",
};
const REQUESTS = {
  name: "fleet_requests",
  text: `SELECT id, body FROM fleet_requests WHERE ($1::bytea IS NULL OR node_id = $1)
    AND ($2::smallint IS NULL OR state = $2) AND ($3::bytea IS NULL OR rollout = $3)
    ORDER BY sequence DESC LIMIT $4`,
};
const ADD_SALE = {
  name: "fleet_add_sale",
  text: `INSERT INTO fleet_sales
    (node_id, run, number, at, kind, reference, product, amount_msat, reason)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
};
const SALES = {
  name: "fleet_sales",
  text: `SELECT * FROM fleet_sales WHERE ($1::bytea IS NULL OR node_id = $1)
    AND ($2::smallint IS NULL OR kind = $2) AND ($3::bigint IS NULL OR sequence < $3)
    ORDER BY sequence DESC LIMIT $4`,
};
const ROLLOUTS = { name: "fleet_rollouts", text: "SELECT id, body FROM fleet_rollouts" };
const PUT_ROLLOUT = {
  name: "fleet_put_rollout",
  text: `INSERT INTO fleet_rollouts VALUES ($1, $2)
    ON CONFLICT (id) DO UPDATE SET body = excluded.body`,
};
const BLOB = { name: "fleet_blob", text: "SELECT bytes FROM fleet_blobs WHERE digest = $1" };
const PUT_BLOB = {
  name: "fleet_put_blob",
  text: "INSERT INTO fleet_blobs VALUES ($1, $2) ON CONFLICT DO NOTHING",
};
const REMOVE_BLOB = {
  name: "fleet_remove_blob",
  text: "DELETE FROM fleet_blobs WHERE digest = $1",
};
const PRUNE_REQUESTS = {
  name: "fleet_prune_requests",
  text: "DELETE FROM fleet_requests WHERE finished_at < $1",
};
const PRUNE_SALES = { name: "fleet_prune_sales", text: "DELETE FROM fleet_sales WHERE at < $1" };
