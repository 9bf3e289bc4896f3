/** Answers of the API by their idempotency keys, for all gateways that share a PostgreSQL database (table `api_answers`). */
import type { AnswerStore, KeptAnswer } from "../../api/idempotency.ts";
import type { PostgresStore, PostgresTables } from "./postgres-store.ts";

export class PostgresAnswers implements AnswerStore {
  private readonly tables: PostgresTables;

  constructor(store: PostgresStore) {
    this.tables = store.tables;
  }

  get(key: Uint8Array): Promise<KeptAnswer | undefined> {
    return this.tables.read(async (session) => {
      const [row] = await session.query(GET, [key]);
      return (
        row && {
          request: new Uint8Array(row.request as Uint8Array),
          createdAtMs: Number(row.created_at_ms),
          ...(row.note !== null && { note: String(row.note) }),
          ...(row.answer !== null && { answer: String(row.answer) }),
        }
      );
    });
  }

  put(key: Uint8Array, { request, createdAtMs, note, answer }: KeptAnswer): Promise<void> {
    const row = [key, request, createdAtMs, note ?? null, answer ?? null];
    return this.tables.join(async (session) => {
      await session.query(PUT, row);
    });
  }

  remove(key: Uint8Array): Promise<void> {
    return this.tables.join(async (session) => {
      await session.query(REMOVE, [key]);
    });
  }

  count(): Promise<number> {
    return this.tables.read(async (session) => Number((await session.query(COUNT))[0]?.count));
  }

  expire(beforeMs: number): Promise<void> {
    return this.tables.join(async (session) => {
      await session.query(EXPIRE, [beforeMs]);
    });
  }
}

const GET = { name: "get_answer", text: "SELECT * FROM api_answers WHERE key = $1" };
const PUT = {
  name: "put_answer",
  text: `INSERT INTO api_answers VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key) DO UPDATE
    SET (request, created_at_ms, note, answer) =
      ROW (excluded.request, excluded.created_at_ms, excluded.note, excluded.answer)`,
};
const REMOVE = { name: "remove_answer", text: "DELETE FROM api_answers WHERE key = $1" };
const COUNT = { name: "count_answers", text: "SELECT count(*) AS count FROM api_answers" };
const EXPIRE = { name: "expire_answers", text: "DELETE FROM api_answers WHERE created_at_ms < $1" };
