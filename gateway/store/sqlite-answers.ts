/** Answers of the API by their idempotency keys, in the file of the SQLite store (table `api_answers`). */
import type { AnswerStore, KeptAnswer } from "../api/idempotency.ts";
import type { SqliteStore, SqliteTables } from "./sqlite-store.ts";

interface Row {
  readonly request: Uint8Array;
  readonly created_at_ms: number;
  readonly note: string | null;
  readonly answer: string | null;
}

export class SqliteAnswers implements AnswerStore {
  private rows: number | undefined;
  private readonly tables: SqliteTables;
  private readonly statements;

  constructor(store: SqliteStore) {
    this.tables = store.tables;
    const { db } = this.tables;
    this.statements = {
      get: db.prepare("SELECT * FROM api_answers WHERE key = ?"),
      put: db.prepare("INSERT OR REPLACE INTO api_answers VALUES (?, ?, ?, ?, ?)"),
      remove: db.prepare("DELETE FROM api_answers WHERE key = ?"),
      count: db.prepare("SELECT count(*) FROM api_answers").pluck(),
      expire: db.prepare("DELETE FROM api_answers WHERE created_at_ms < ?"),
    };
  }

  get(key: Uint8Array): KeptAnswer | undefined {
    return this.read(() => {
      const row = this.statements.get.get(key) as Row | undefined;
      return (
        row && {
          request: new Uint8Array(row.request),
          createdAtMs: row.created_at_ms,
          ...(row.note !== null && { note: row.note }),
          ...(row.answer !== null && { answer: row.answer }),
        }
      );
    });
  }

  put(key: Uint8Array, { request, createdAtMs, note, answer }: KeptAnswer): Promise<void> {
    const isNew = note === undefined && answer === undefined;
    if (isNew && this.rows !== undefined) this.rows++;
    return this.join(() => {
      this.statements.put.run(key, request, createdAtMs, note ?? null, answer ?? null);
    });
  }

  remove(key: Uint8Array): Promise<void> {
    if (this.rows !== undefined) this.rows--;
    return this.join(() => {
      this.statements.remove.run(key);
    });
  }

  /** SQLite would count them one by one each time. */
  count(): number {
    this.rows ??= this.read(() => this.statements.count.get() as number);
    return this.rows;
  }

  expire(beforeMs: number): Promise<void> {
    this.rows = undefined;
    return this.join(() => {
      this.statements.expire.run(beforeMs);
    });
  }

  private join(work: () => void): Promise<void> {
    return this.tables.join(work, "answers");
  }

  private read<T>(work: () => T): T {
    return this.tables.read(work, "answers");
  }
}
