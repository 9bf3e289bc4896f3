/** The journal of settlement in the file of the SQLite store (gateway/settlement/journal.ts). */
import {
  type Action,
  type ActionFilter,
  type ActionKind,
  type ActionState,
  type Bodies,
  MAX_ACTIONS,
  type SettlementJournal,
} from "../settlement/journal.ts";
import type { SqliteStore, SqliteTables } from "./sqlite-store.ts";

interface Row {
  readonly id: string;
  readonly state: ActionState;
  readonly created_at: number;
  readonly body: string;
}

const PUT = `INSERT INTO settlement_actions (kind, id, state, created_at, body) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (kind, id) DO UPDATE SET state = excluded.state, body = excluded.body`;
const LIST = `SELECT id, state, created_at, body FROM settlement_actions WHERE kind = @kind
  AND (@state IS NULL OR state = @state) AND (@from IS NULL OR created_at >= @from)
  ORDER BY sequence DESC LIMIT @limit`;

export class SqliteJournal implements SettlementJournal {
  private readonly tables: SqliteTables;

  constructor(store: Pick<SqliteStore, "tables">) {
    this.tables = store.tables;
  }

  put<K extends ActionKind>({ kind, id, state, createdAt, body }: Action<K>): Promise<void> {
    const { db } = this.tables;
    return this.tables.join(() => {
      db.prepare(PUT).run(kind, id, state, createdAt, JSON.stringify(body));
    });
  }

  list<K extends ActionKind>(kind: K, filter: ActionFilter = {}): readonly Action<K>[] {
    const { state = null, from = null, limit = MAX_ACTIONS } = filter;
    const named = { kind, state, from, limit: Math.min(limit, MAX_ACTIONS) };
    return this.tables.read(() =>
      (this.tables.db.prepare(LIST).all(named) as Row[]).map((row) => ({
        kind,
        id: row.id,
        state: row.state,
        createdAt: row.created_at,
        body: JSON.parse(row.body) as Bodies[K],
      })),
    );
  }
}
