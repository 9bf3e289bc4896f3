/** One connection to PostgreSQL: statements in order, transactions, and a loss that is noticed once and for all. */
import type pg from "pg";
import { StoreError } from "../../../core/node/store-error.ts";
import { isLost, isTransient, storeErrorOf } from "./errors.ts";

export type Row = Readonly<Record<string, unknown>>;
type Value = string | number | bigint | boolean | Uint8Array | null;
export type Parameter = Value | readonly Value[] | readonly Uint8Array[];

/** A busy server forks slowly, and one that is gone says so at once. */
const CONNECT_MS = 15_000;
const STATEMENT_MS = 30_000;
/** A transaction whose process sleeps must not keep those who take over waiting. */
const IDLE_IN_TRANSACTION_MS = 5_000;
/** A server that cannot be reached is not waited for any longer. */
const FAREWELL_MS = 1_000;
const MAX_TRIES = 5;

/** Statements of one text are prepared once in a session; the same text always has the same name. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export class Session {
  private failure: StoreError | undefined;

  private constructor(
    /** For people; tells no password. */
    readonly name: string,
    private readonly client: pg.Client,
  ) {
    client.on("error", (error) => this.fail(error));
    client.on("end", () => this.fail(new Error("the server ended the connection")));
  }

  static async open(url: string, application: string): Promise<Session> {
    const name = databaseName(url);
    const { default: driver } = await import("pg"); // a gateway on SQLite needs none of it
    const client = new driver.Client({
      connectionString: url,
      application_name: application,
      keepAlive: true,
      connectionTimeoutMillis: CONNECT_MS,
      statement_timeout: STATEMENT_MS,
      query_timeout: STATEMENT_MS + CONNECT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    });
    const session = new Session(name, client);
    try {
      await client.connect();
      await session.query({ name: "", text: "SET synchronous_commit = on" });
      await session.query({ name: "", text: SETTINGS });
      return session;
    } catch (error) {
      void client.end().catch(() => {});
      throw unreachable(error, name);
    }
  }

  get isLost(): boolean {
    return this.failure !== undefined;
  }

  /** Throws a StoreError, or the server's own error where the transaction may be tried again. */
  async query(statement: Statement, values: readonly Parameter[] = []): Promise<readonly Row[]> {
    if (this.failure) throw this.failure;
    const { name, text } = statement;
    try {
      const result = await this.client.query({ text, ...(name && { name }), values: [...values] });
      return result.rows as readonly Row[];
    } catch (error) {
      if (this.failure) throw this.failure;
      if (isTransient(error)) throw error;
      if (isLost(error)) throw this.fail(error);
      throw storeErrorOf(error, this.name);
    }
  }

  /** All of it is durable when it returns, or none; except where the session is lost: then nobody knows. */
  async transaction<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        await this.query(BEGIN);
        const result = await work();
        await this.query(COMMIT);
        return result;
      } catch (error) {
        if (!this.failure) await this.query(ROLLBACK).catch(() => {});
        if (!isTransient(error)) throw error;
        if (tries === MAX_TRIES) throw storeErrorOf(error, this.name);
      }
    }
  }

  /** Words of other sessions (NOTIFY). */
  async listen(channel: string, heard: () => void): Promise<void> {
    this.client.on("notification", (message) => {
      if (message.channel === channel) heard();
    });
    await this.query({ name: "", text: `LISTEN ${channel}` });
  }

  async close(): Promise<void> {
    this.failure ??= new StoreError("closed", `${this.name} is closed.`);
    const impatient = setTimeout(() => this.client.connection.stream.destroy(), FAREWELL_MS);
    await this.client.end().catch(() => {});
    clearTimeout(impatient);
  }

  /** At once, without a word: nothing may come through it any more, and whoever waits for an answer gets none. */
  abandon(reason: string): void {
    this.fail(new Error(reason));
    this.client.connection.stream.destroy();
  }

  private fail(error: unknown): StoreError {
    if (this.failure) return this.failure;
    this.failure = storeErrorOf(
      Object.assign(new Error(error instanceof Error ? error.message : String(error)), {
        code: "08006",
        cause: error,
      }),
      this.name,
    );
    void this.client.end().catch(() => {});
    return this.failure;
  }
}

/** A machine that fell off the network must not seem to be at work for two hours. */
const SETTINGS = `
  SET client_min_messages = warning;
  SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3`;
const BEGIN = { name: "begin", text: "BEGIN ISOLATION LEVEL READ COMMITTED" };
const COMMIT = { name: "commit", text: "COMMIT" };
const ROLLBACK = { name: "rollback", text: "ROLLBACK" };

/** What may be shown of a database's URL: all but the password and the options. */
export function databaseName(url: string): string {
  try {
    const { username, host, pathname } = new URL(url);
    return `postgres://${username ? `${username}@` : ""}${host}${pathname}`;
  } catch {
    throw new StoreError(
      "io",
      "The database's URL cannot be read: postgres://user:password@host:port/database is asked " +
        "for, with %-escapes where the password has signs such as @, : and /.",
    );
  }
}

/** While opening nothing was written yet: the common words of a lost connection would frighten. */
function unreachable(error: unknown, name: string): StoreError {
  const cause = error instanceof StoreError ? (error.cause ?? error) : error;
  const code = String((cause as { code?: unknown } | undefined)?.code ?? "");
  if (code !== "08006" && !isLost(cause)) return storeErrorOf(cause, name);
  const text = cause instanceof AggregateError ? String(cause.errors[0]?.message) : String(cause);
  const message = `${name} cannot be reached (${text}): does the server run, and is it this host and port?`;
  return new StoreError("io", message, { cause });
}
