/** The FleetStore in the file of the SQLite store (gateway/fleet/fleet-store.ts): what is looked for in columns, the rest as JSON. */
import type Database from "better-sqlite3";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import type { FleetStore } from "../fleet/fleet-store.ts";
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
} from "../fleet/fleet-types.ts";
import type { Rollout } from "../fleet/rollout.ts";
import { type BodyRow, StoredBodies } from "../fleet/stored-bodies.ts";
import type { SqliteTables } from "./sqlite-store.ts";

type Value = number | string | Uint8Array | null;
type Row = Readonly<Record<string, Value>>;

export class SqliteFleet implements FleetStore {
  readonly #statements: ReturnType<typeof prepare>;
  readonly #bodies = new StoredBodies();

  constructor(private readonly tables: SqliteTables) {
    this.#statements = prepare(tables.db);
  }

  get damaged(): readonly string[] {
    return this.#bodies.damaged;
  }

  devices(): readonly FleetDevice[] {
    return this.#list("device", () => this.#statements.devices.all());
  }

  putDevice(device: FleetDevice): Promise<void> {
    return this.tables.join(() => {
      this.#statements.putDevice.run(fromHex(device.nodeId), JSON.stringify(device));
    });
  }

  putRequests(requests: readonly FleetRequest[]): Promise<void> {
    return this.tables.join(() => {
      for (const one of requests) {
        this.#statements.putRequest.run({
          id: fromHex(one.id),
          node_id: fromHex(one.nodeId),
          state: REQUEST_STATES.indexOf(one.state),
          rollout: one.rollout === undefined ? null : fromHex(one.rollout),
          finished_at: one.finishedAt ?? null,
          body: JSON.stringify(one),
        });
      }
    });
  }

  waitingRequests(): readonly FleetRequest[] {
    return this.#list("request", () => this.#statements.waiting.all());
  }

  request(id: string): FleetRequest | undefined {
    return this.tables.read(() => {
      const body = this.#statements.request.get(fromHex(id)) as string | undefined;
      return body === undefined ? undefined : (JSON.parse(body) as FleetRequest);
    });
  }

  requests({ nodeId, state, rollout, limit }: RequestFilter): readonly FleetRequest[] {
    return this.#list("request", () =>
      this.#statements.requests.all({
        node_id: nodeId === undefined ? null : fromHex(nodeId),
        state: state === undefined ? null : REQUEST_STATES.indexOf(state),
        rollout: rollout === undefined ? null : fromHex(rollout),
        limit,
      }),
    );
  }

  addSales(sales: readonly FleetSale[]): Promise<void> {
    return this.tables.join(() => {
      for (const one of sales) {
        this.#statements.addSale.run({
          node_id: fromHex(one.nodeId),
          run: fromHex(one.run),
          number: one.number,
          at: one.at,
          kind: SALE_KINDS.indexOf(one.kind),
          reference: fromHex(one.reference),
          product: one.product ?? null,
          amount_msat: one.amountMsat ?? null,
          reason: one.reason ?? null,
        });
      }
    });
  }

  sales({ nodeId, kind, before, limit }: SaleFilter): readonly ListedSale[] {
    return this.tables.read(() => {
      const rows = this.#statements.sales.all({
        node_id: nodeId === undefined ? null : fromHex(nodeId),
        kind: kind === undefined ? null : SALE_KINDS.indexOf(kind),
        before: before ?? null,
        limit,
      });
      return (rows as Row[]).map(saleOf);
    });
  }

  rollouts(): readonly Rollout[] {
    return this.#list("roll-out", () => this.#statements.rollouts.all());
  }

  putRollout(rollout: Rollout): Promise<void> {
    return this.tables.join(() => {
      this.#statements.putRollout.run(fromHex(rollout.id), JSON.stringify(rollout));
    });
  }

  blob(digest: string): Uint8Array | undefined {
    return this.tables.read(() => {
      const bytes = this.#statements.blob.get(fromHex(digest)) as Uint8Array | undefined;
      return bytes && new Uint8Array(bytes);
    });
  }

  putBlob(digest: string, bytes: Uint8Array): Promise<void> {
    return this.tables.join(() => {
      this.#statements.putBlob.run(fromHex(digest), bytes);
    });
  }

  removeBlob(digest: string): Promise<void> {
    return this.tables.join(() => {
      this.#statements.removeBlob.run(fromHex(digest));
    });
  }

  prune(before: { readonly requests: number; readonly sales: number }): Promise<void> {
    return this.tables.join(() => {
      this.#statements.pruneRequests.run(before.requests);
      this.#statements.pruneSales.run(before.sales);
    });
  }

  /** After all that was given before. */
  #list<T>(what: Parameters<StoredBodies["read"]>[0], ask: () => unknown[]): readonly T[] {
    return this.tables.read(() => this.#bodies.read<T>(what, ask() as BodyRow[]));
  }
}

function saleOf(row: Row): ListedSale {
  const hex = (value: Value | undefined) => toHex(new Uint8Array(value as Uint8Array));
  return {
    sequence: row.sequence as number,
    nodeId: hex(row.node_id),
    run: hex(row.run),
    number: row.number as number,
    at: row.at as number,
    kind: SALE_KINDS[row.kind as number] as SaleKind,
    reference: hex(row.reference),
    ...(row.product !== null && { product: row.product as number }),
    ...(row.amount_msat !== null && { amountMsat: row.amount_msat as number }),
    ...(row.reason !== null && { reason: row.reason as string }),
  };
}

function prepare(db: Database.Database) {
  return {
    devices: db.prepare("SELECT node_id AS id, body FROM fleet_devices"),
    putDevice: db.prepare(
      `INSERT INTO fleet_devices VALUES (?, ?)
       ON CONFLICT (node_id) DO UPDATE SET body = excluded.body`,
    ),
    putRequest: db.prepare(
      `INSERT INTO fleet_requests (id, node_id, state, rollout, finished_at, body)
       VALUES (@id, @node_id, @state, @rollout, @finished_at, @body)
       ON CONFLICT (id) DO UPDATE SET state = excluded.state,
       finished_at = excluded.finished_at, body = excluded.body`,
    ),
    waiting: db.prepare("SELECT id, body FROM fleet_requests WHERE state = 0 ORDER BY sequence"),
    request: db.prepare("SELECT body FROM fleet_requests WHERE id = ?").pluck(),
    requests: db.prepare(
      `SELECT id, body FROM fleet_requests WHERE (@node_id IS NULL OR node_id = @node_id)
       AND (@state IS NULL OR state = @state) AND (@rollout IS NULL OR rollout = @rollout)
       ORDER BY sequence DESC LIMIT @limit`,
    ),
    addSale: db.prepare(
      `INSERT INTO fleet_sales (node_id, run, number, at, kind, reference, product, amount_msat, reason)
       VALUES (@node_id, @run, @number, @at, @kind, @reference, @product, @amount_msat, @reason)
       ON CONFLICT DO NOTHING`,
    ),
    sales: db.prepare(
      `SELECT * FROM fleet_sales WHERE (@node_id IS NULL OR node_id = @node_id)
       AND (@kind IS NULL OR kind = @kind) AND (@before IS NULL OR sequence < @before)
       ORDER BY sequence DESC LIMIT @limit`,
    ),
    rollouts: db.prepare("SELECT id, body FROM fleet_rollouts"),
    putRollout: db.prepare(
      `INSERT INTO fleet_rollouts VALUES (?, ?)
       ON CONFLICT (id) DO UPDATE SET body = excluded.body`,
    ),
    blob: db.prepare("SELECT bytes FROM fleet_blobs WHERE digest = ?").pluck(),
    putBlob: db.prepare("INSERT INTO fleet_blobs VALUES (?, ?) ON CONFLICT DO NOTHING"),
    removeBlob: db.prepare("DELETE FROM fleet_blobs WHERE digest = ?"),
    pruneRequests: db.prepare("DELETE FROM fleet_requests WHERE finished_at < ?"),
    pruneSales: db.prepare("DELETE FROM fleet_sales WHERE at < ?"),
  };
}
