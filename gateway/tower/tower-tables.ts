/** What a watchtower keeps, in tables of the gateway's SQLite file (gateway/store/schema.ts): clients, their slots, and breaches under way. */
import type Database from "better-sqlite3";
import type { Crypto } from "../../core/ports/crypto.ts";
import { type PublicKey, publicKey, type Txid, txid } from "../../core/primitives/brands.ts";
import { emptyDigest, type Holding, nextDigest } from "../../core/tower/receipt.ts";
import { HINT_BYTES } from "../../core/tower/slot.ts";
import type { SqliteTables } from "../store/sqlite-store.ts";

export interface TowerAccount {
  readonly maxSlots: number;
  readonly usedSlots: number;
}

export type Kept =
  | ({ readonly ok: true; readonly freeSlots: number } & Holding)
  | { readonly ok: false; readonly why: "not-registered" | "quota" | "full" };

/** One client's slot under a hint. */
export interface FoundSlot {
  readonly channel: number;
  readonly slot: Uint8Array;
}

export interface StoredBreach {
  readonly txid: Txid;
  /** Of the table tower_channels: the client's. */
  readonly channel: number;
  readonly height: number;
  /** The revoked commitment. */
  readonly raw: Uint8Array;
  readonly kit: Uint8Array;
}

export interface TowerLimits {
  readonly maxSlotsPerClient: number;
  /** Of all clients together. */
  readonly maxSlots: number;
}

export class TowerTables {
  readonly #statements: ReturnType<typeof prepare>;

  constructor(
    private readonly tables: SqliteTables,
    private readonly crypto: Crypto,
    private readonly limits: TowerLimits,
  ) {
    this.#statements = prepare(tables.db);
  }

  /** A client that is known keeps what it was granted. */
  async register(client: PublicKey): Promise<TowerAccount> {
    let account: TowerAccount | undefined;
    await this.tables.join(() => {
      this.#statements.register.run(client, this.limits.maxSlotsPerClient);
      account = this.#account(client);
    });
    return account as TowerAccount;
  }

  /**
   * Adds the slots from number `from` on, those that are there already passed over (rule `bounded`: never beyond the client's
   * quota). Durable when it resolves.
   */
  async keep(
    client: PublicKey,
    update: {
      readonly tag: Uint8Array;
      readonly from: number;
      readonly slots: readonly Uint8Array[];
    },
  ): Promise<Kept> {
    let kept: Kept | undefined;
    await this.tables.join(() => {
      kept = this.#keep(client, update);
    });
    return kept as Kept;
  }

  async forget(client: PublicKey, tag: Uint8Array): Promise<void> {
    await this.tables.join(() => {
      const { channel, removeChannel, useSlots } = this.#statements;
      const row = channel.get(client, tag) as ChannelRow | undefined;
      if (!row) return;
      removeChannel.run(row.id);
      useSlots.run(-row.slots, client);
    });
  }

  hasHint(hint: Uint8Array): boolean {
    return this.tables.read(() => this.#statements.hasHint.get(hint) !== undefined);
  }

  slots(hint: Uint8Array): readonly FoundSlot[] {
    const rows = this.tables.read(() => this.#statements.byHint.all(hint)) as SlotRow[];
    return rows.map(({ channel, sealed }) => {
      const slot = new Uint8Array(HINT_BYTES + sealed.length);
      slot.set(hint);
      slot.set(sealed, HINT_BYTES);
      return { channel, slot };
    });
  }

  clientOf(channel: number): PublicKey | undefined {
    const found = this.tables.read(() => this.#statements.clientOf.get(channel));
    return found === undefined ? undefined : publicKey(new Uint8Array(found as Buffer));
  }

  breaches(): readonly StoredBreach[] {
    const rows = this.tables.read(() => this.#statements.breaches.all()) as BreachRow[];
    return rows.map((row) => ({
      txid: txid(new Uint8Array(row.txid)),
      channel: row.channel,
      height: row.height,
      raw: new Uint8Array(row.raw),
      kit: new Uint8Array(row.kit),
    }));
  }

  async keepBreach({ txid: id, channel, height, raw, kit }: StoredBreach): Promise<void> {
    await this.tables.join(() => {
      this.#statements.putBreach.run(id, channel, height, raw, kit);
    });
  }

  async dropBreach({ txid: id, channel }: Pick<StoredBreach, "txid" | "channel">): Promise<void> {
    await this.tables.join(() => {
      this.#statements.dropBreach.run(id, channel);
    });
  }

  totals(): { readonly clients: number; readonly slots: number; readonly breaches: number } {
    return this.tables.read(() => this.#statements.totals.get()) as ReturnType<
      TowerTables["totals"]
    >;
  }

  #keep(
    client: PublicKey,
    {
      tag,
      from,
      slots,
    }: {
      readonly tag: Uint8Array;
      readonly from: number;
      readonly slots: readonly Uint8Array[];
    },
  ): Kept {
    const { channel, addChannel, addSlot, setChannel, useSlots, allSlots } = this.#statements;
    const account = this.#account(client);
    if (!account) return { ok: false, why: "not-registered" };
    const row = channel.get(client, tag) as ChannelRow | undefined;
    let count = row?.slots ?? 0;
    let digest: Uint8Array = row ? new Uint8Array(row.digest) : emptyDigest();
    const isNext = from <= count;
    const added = isNext ? slots.slice(count - from) : [];
    const free = account.maxSlots - account.usedSlots;
    if (added.length > free) return { ok: false, why: "quota" };
    const all = allSlots.get() as number;
    if (added.length > 0 && all + added.length > this.limits.maxSlots) {
      return { ok: false, why: "full" };
    }
    if (added.length > 0) {
      const id = row?.id ?? Number(addChannel.run(client, tag, digest).lastInsertRowid);
      for (const slot of added) {
        addSlot.run(slot.subarray(0, HINT_BYTES), id, slot.subarray(HINT_BYTES));
        digest = nextDigest(this.crypto, digest, slot);
        count++;
      }
      setChannel.run(count, digest, id);
      useSlots.run(added.length, client);
    }
    return { ok: true, tag, count, digest, freeSlots: free - added.length };
  }

  #account(client: PublicKey): TowerAccount | undefined {
    const row = this.#statements.account.get(client) as
      | { max_slots: number; used_slots: number }
      | undefined;
    return row && { maxSlots: row.max_slots, usedSlots: row.used_slots };
  }
}

interface ChannelRow {
  readonly id: number;
  readonly slots: number;
  readonly digest: Buffer;
}
interface SlotRow {
  readonly channel: number;
  readonly sealed: Buffer;
}
interface BreachRow {
  readonly txid: Buffer;
  readonly channel: number;
  readonly height: number;
  readonly raw: Buffer;
  readonly kit: Buffer;
}

function prepare(db: Database.Database) {
  return {
    register: db.prepare(
      "INSERT INTO tower_clients VALUES (?, ?, 0) ON CONFLICT (client) DO NOTHING",
    ),
    account: db.prepare("SELECT max_slots, used_slots FROM tower_clients WHERE client = ?"),
    useSlots: db.prepare("UPDATE tower_clients SET used_slots = used_slots + ? WHERE client = ?"),
    allSlots: db.prepare("SELECT coalesce(sum(used_slots), 0) FROM tower_clients").pluck(),
    channel: db.prepare(
      "SELECT id, slots, digest FROM tower_channels WHERE client = ? AND tag = ?",
    ),
    addChannel: db.prepare(
      "INSERT INTO tower_channels (client, tag, slots, digest) VALUES (?, ?, 0, ?)",
    ),
    setChannel: db.prepare("UPDATE tower_channels SET slots = ?, digest = ? WHERE id = ?"),
    removeChannel: db.prepare("DELETE FROM tower_channels WHERE id = ?"),
    clientOf: db.prepare("SELECT client FROM tower_channels WHERE id = ?").pluck(),
    addSlot: db.prepare("INSERT INTO tower_slots VALUES (?, ?, ?)"),
    hasHint: db.prepare("SELECT 1 FROM tower_slots WHERE hint = ? LIMIT 1").pluck(),
    byHint: db.prepare("SELECT channel, sealed FROM tower_slots WHERE hint = ?"),
    breaches: db.prepare("SELECT txid, channel, height, raw, kit FROM tower_breaches"),
    putBreach: db.prepare("INSERT OR REPLACE INTO tower_breaches VALUES (?, ?, ?, ?, ?)"),
    dropBreach: db.prepare("DELETE FROM tower_breaches WHERE txid = ? AND channel = ?"),
    totals: db.prepare(
      `SELECT (SELECT count(*) FROM tower_clients) AS clients,
        (SELECT coalesce(sum(used_slots), 0) FROM tower_clients) AS slots,
        (SELECT count(*) FROM tower_breaches) AS breaches`,
    ),
  };
}
