/** The gateway's embedded Store: SQLite in WAL mode with synchronous=FULL (DESIGN §6, core/ports/store.ts). */
import type Database from "better-sqlite3";
import { PACKED_PAYMENT_BYTES, REFERENCE_BYTES } from "../../core/node/reference-set.ts";
import { StoreError } from "../../core/node/store-error.ts";
import type { CommitOutcome, Store, StoreCommit, StoredChannel } from "../../core/ports/store.ts";
import { channelId } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import { type OpenOptions, openDatabase } from "./schema.ts";
import { storeErrorOf } from "./sqlite-errors.ts";

export interface SqliteStoreOptions extends OpenOptions {
  /** Commits that arrive in one turn of the event loop share a transaction, hence a disk flush (default true). */
  readonly grouped?: boolean;
}

/** One transaction takes at most this many commits. */
export const MAX_GROUPED_COMMITS = 1000;
/** Rows that one statement takes: fewer crossings into C, 2.5 times as fast as row by row. */
const ROWS_PER_INSERT = 50;
const NO_DUPLICATES: CommitOutcome = { duplicateCredits: [] };

/** What rows belong to: a read waits for the disk only where what is pending is of the same part. */
export type StorePart = "answers" | "ledger" | "credits" | "debits" | "values" | "channels";

/** Other tables of the same file, written in the store's own transactions (gateway/store/sqlite-ledger.ts). */
export interface SqliteTables {
  readonly db: Database.Database;
  /**
   * Rows that go into the next transaction. No commit that is given later becomes durable without them: where writing
   * fails, the promise says so, and they stand at the head of the transaction after it. `part`: all that they touch.
   */
  join(work: () => void, part?: StorePart): Promise<void>;
  /** Sees all that was given before; of `part` alone where that is all it looks at. */
  read<T>(work: () => T, part?: StorePart): T;
}

export interface SqliteStore extends Store {
  readonly tables: SqliteTables;
}

interface Pending {
  /** Undefined where a bulk insert met duplicates, which it cannot name. */
  apply(bulk: boolean): CommitOutcome | undefined;
  readonly isOwed: boolean;
  /** Undefined: any. */
  readonly parts: readonly StorePart[] | undefined;
  resolve(outcome: CommitOutcome): void;
  reject(error: unknown): void;
}

type Applied = Pick<Pending, "apply">;

/** Opens or creates the store; throws a StoreError where the file is in use, newer, foreign, damaged or unreachable. */
export function openSqliteStore(path: string, options: SqliteStoreOptions = {}): SqliteStore {
  return new FileStore(path, openDatabase(path, options), options.grouped ?? true);
}

class FileStore implements SqliteStore {
  readonly name: string;
  readonly tables: SqliteTables;
  private readonly statements: Statements;
  private readonly nextArchive = new Map<string, number>();
  private pending: Pending[] = [];
  /** Rows whose transaction failed: in the next one they come first. */
  private owed: Applied[] = [];
  private shut: StoreError | undefined;

  constructor(
    private readonly path: string,
    private readonly db: Database.Database,
    private readonly grouped: boolean,
  ) {
    this.name = `sqlite:${path}`;
    this.statements = prepareStatements(db);
    this.tables = {
      db,
      join: async (work, part) => {
        const apply = () => {
          work();
          return NO_DUPLICATES;
        };
        await this.take({ apply, isOwed: true, parts: part && [part] });
      },
      read: (work, part) => this.read(part, work),
    };
  }

  load(): readonly StoredChannel[] {
    return this.guarded(() => {
      this.flush();
      const rows = this.statements.channels.all() as { channel_id: Buffer; record: Buffer }[];
      return rows.map((row) => ({
        channelId: channelId(new Uint8Array(row.channel_id)),
        record: new Uint8Array(row.record),
        archive: (this.statements.archive.all(row.channel_id) as Buffer[]).map(
          (entry) => new Uint8Array(entry),
        ),
      }));
    });
  }

  commit(change: StoreCommit): Promise<CommitOutcome> | CommitOutcome {
    if (this.shut) throw this.shut;
    const record = change.remove ? new Uint8Array(0) : change.record();
    checkPacked(change.credits);
    checkPacked(change.debits);
    const apply = (bulk: boolean) => this.apply(change, record, bulk);
    return this.take({ apply, isOwed: false, parts: partsOf(change) });
  }

  private take(one: Omit<Pending, "resolve" | "reject">): Promise<CommitOutcome> | CommitOutcome {
    if (this.shut) throw this.shut;
    if (!this.grouped) return this.written([one])[0]!;
    return new Promise((resolve, reject) => {
      if (this.pending.length === 0) setImmediate(() => this.flush());
      this.pending.push({ ...one, resolve, reject });
      if (this.pending.length >= MAX_GROUPED_COMMITS) this.flush();
    });
  }

  isDebited(reference: Uint8Array): boolean {
    return this.read("debits", () => this.statements.debited.get(reference) !== undefined);
  }

  isAnyDebited(payments: Uint8Array): boolean {
    checkPacked(payments);
    return this.read("debits", () => anyOf(this.statements.anyDebited, payments));
  }

  isCredited(reference: Uint8Array): boolean {
    return this.read("credits", () => this.statements.credited.get(reference) !== undefined);
  }

  getValue(key: string): Uint8Array | undefined {
    const value = this.read("values", () => this.statements.value.get(key)) as Buffer | undefined;
    return value && new Uint8Array(value);
  }

  setValue(key: string, value: Uint8Array): Promise<void> | void {
    if (this.shut) throw this.shut;
    const bytes = value.slice();
    const apply = () => {
      this.statements.setValue.run(key, bytes);
      return NO_DUPLICATES;
    };
    const outcome = this.take({ apply, isOwed: false, parts: ["values"] });
    return outcome instanceof Promise ? outcome.then(() => {}) : undefined;
  }

  close(): void {
    if (!this.db.open) return;
    this.flush();
    this.db.close();
    this.shut ??= new StoreError("closed", `${this.path} is closed.`);
  }

  private read<T>(part: StorePart | undefined, work: () => T): T {
    // Rows that are owed are anybody's.
    const isOfIt = ({ parts }: Pending) => !part || !parts || parts.includes(part);
    const isBehind = this.owed.length > 0 || this.pending.some(isOfIt);
    return this.guarded(() => {
      if (isBehind) this.flush();
      return work();
    });
  }

  /** Writes what is pending; each waiting commit hears of its own outcome or of the common failure. */
  private flush(): void {
    const group = this.pending;
    if (group.length === 0) return;
    this.pending = [];
    let outcomes: readonly CommitOutcome[];
    try {
      outcomes = this.written(group);
    } catch (error) {
      for (const { reject } of group) reject(error);
      return;
    }
    group.forEach(({ resolve }, i) => {
      resolve(outcomes[i]!);
    });
  }

  private written(group: readonly Pick<Pending, "apply" | "isOwed">[]): readonly CommitOutcome[] {
    const owed = this.owed;
    try {
      const outcomes = this.guarded(() => this.write([...owed, ...group]));
      this.owed = [];
      return outcomes.slice(owed.length);
    } catch (error) {
      this.owed = [...owed, ...group.filter(({ isOwed }) => isOwed)];
      throw error;
    }
  }

  /** Durable when it returns: COMMIT flushes the log. */
  private write(group: readonly Applied[]): CommitOutcome[] {
    const { begin, commit, rollback } = this.statements;
    for (const bulk of [true, false]) {
      begin.run();
      try {
        const outcomes = group.map((one) => one.apply(bulk));
        if (outcomes.every((outcome) => outcome !== undefined)) {
          commit.run();
          return outcomes;
        }
        rollback.run(); // a bulk insert met a duplicate: again, row by row, to learn which
      } catch (error) {
        if (this.db.inTransaction) rollback.run();
        this.nextArchive.clear();
        throw error;
      }
      this.nextArchive.clear();
    }
    throw new StoreError("io", `A commit to ${this.path} could not be applied.`);
  }

  /** Undefined where a bulk insert met duplicates, which it cannot name. */
  private apply(change: StoreCommit, record: Uint8Array, bulk: boolean): CommitOutcome | undefined {
    const { statements } = this;
    if (change.remove) {
      statements.removeChannel.run(change.channelId);
      this.nextArchive.delete(toHex(change.channelId));
    } else {
      statements.putChannel.run(change.channelId, record);
      if (change.archive?.length) this.append(change.channelId, change.archive);
    }
    for (const { key, bytes } of change.values ?? []) statements.setValue.run(key, bytes);
    const debited = change.debits && insertPacked(statements.debits, change.debits, bulk);
    if (change.debits && !debited) return undefined;
    if (!change.credits) return NO_DUPLICATES;
    const duplicateCredits = insertPacked(statements.credits, change.credits, bulk);
    return duplicateCredits && { duplicateCredits };
  }

  private append(id: Uint8Array, entries: readonly Uint8Array[]): void {
    const key = toHex(id);
    let next = this.nextArchive.get(key) ?? (this.statements.nextArchive.get(id) as number);
    for (const entry of entries) this.statements.putArchive.run(id, next++, entry);
    this.nextArchive.set(key, next);
  }

  /** Turns SQLite's errors into ours. After a failed write or flush nobody knows what the disk holds: shut. */
  private guarded<T>(work: () => T): T {
    if (this.shut) throw this.shut;
    try {
      return work();
    } catch (error) {
      const failure = storeErrorOf(error, this.path);
      if (failure.code === "io" || failure.code === "corrupt") this.shut = failure;
      throw failure;
    }
  }
}

function partsOf({ credits, debits, values }: StoreCommit): readonly StorePart[] {
  const parts: StorePart[] = ["channels"];
  if (credits) parts.push("credits");
  if (debits) parts.push("debits");
  if (values) parts.push("values");
  return parts;
}

function checkPacked(payments: Uint8Array | undefined): void {
  assert(
    !payments || payments.length % PACKED_PAYMENT_BYTES === 0,
    "packed payments have 24 bytes each",
  );
}

interface Insert {
  readonly one: Database.Statement;
  readonly many: Database.Statement;
}

/** Indices of the payments that were there before; undefined where a bulk insert met any. */
function insertPacked(
  insert: Insert,
  payments: Uint8Array,
  bulk: boolean,
): readonly number[] | undefined {
  const count = payments.length / PACKED_PAYMENT_BYTES;
  const duplicates: number[] = [];
  let index = 0;
  if (bulk) {
    for (; index + ROWS_PER_INSERT <= count; index += ROWS_PER_INSERT) {
      const columns: Uint8Array[] = [];
      for (let i = index; i < index + ROWS_PER_INSERT; i++) columns.push(...columnsOf(payments, i));
      if (insert.many.run(...columns).changes !== ROWS_PER_INSERT) return undefined;
    }
  }
  for (; index < count; index++) {
    if (insert.one.run(...columnsOf(payments, index)).changes === 0) duplicates.push(index);
  }
  return duplicates;
}

/** The last statement's rest is filled with its first reference again. */
function anyOf(statement: Database.Statement, payments: Uint8Array): boolean {
  const count = payments.length / PACKED_PAYMENT_BYTES;
  for (let index = 0; index < count; index += ROWS_PER_INSERT) {
    const references = Array.from({ length: ROWS_PER_INSERT }, (_, i) => {
      const at = (index + i < count ? index + i : index) * PACKED_PAYMENT_BYTES;
      return payments.subarray(at, at + REFERENCE_BYTES);
    });
    if (statement.get(references) !== undefined) return true;
  }
  return false;
}

function columnsOf(payments: Uint8Array, index: number): [Uint8Array, Uint8Array] {
  const at = index * PACKED_PAYMENT_BYTES;
  const amountAt = at + REFERENCE_BYTES;
  return [payments.subarray(at, amountAt), payments.subarray(amountAt, at + PACKED_PAYMENT_BYTES)];
}

type Statements = ReturnType<typeof prepareStatements>;

function prepareStatements(db: Database.Database) {
  const insertInto = (table: "credits" | "debits"): Insert => ({
    one: db.prepare(`INSERT OR IGNORE INTO ${table} VALUES (?, ?)`),
    many: db.prepare(
      `INSERT OR IGNORE INTO ${table} VALUES ${Array(ROWS_PER_INSERT).fill("(?, ?)").join(", ")}`,
    ),
  });
  return {
    begin: db.prepare("BEGIN IMMEDIATE"),
    commit: db.prepare("COMMIT"),
    rollback: db.prepare("ROLLBACK"),
    channels: db.prepare("SELECT channel_id, record FROM channels ORDER BY channel_id"),
    archive: db.prepare("SELECT entry FROM archive WHERE channel_id = ? ORDER BY sequence").pluck(),
    putChannel: db.prepare(
      "INSERT INTO channels VALUES (?, ?) ON CONFLICT (channel_id) DO UPDATE SET record = excluded.record",
    ),
    removeChannel: db.prepare("DELETE FROM channels WHERE channel_id = ?"),
    nextArchive: db
      .prepare("SELECT coalesce(max(sequence) + 1, 0) FROM archive WHERE channel_id = ?")
      .pluck(),
    putArchive: db.prepare("INSERT INTO archive VALUES (?, ?, ?)"),
    credits: insertInto("credits"),
    debits: insertInto("debits"),
    credited: db.prepare("SELECT 1 FROM credits WHERE reference = ?"),
    debited: db.prepare("SELECT 1 FROM debits WHERE reference = ?"),
    anyDebited: db.prepare(
      `SELECT 1 FROM debits WHERE reference IN (${Array(ROWS_PER_INSERT).fill("?").join(", ")}) LIMIT 1`,
    ),
    value: db.prepare("SELECT value FROM settings WHERE name = ?").pluck(),
    setValue: db.prepare(
      "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    ),
  };
}
