/** The check of the records: read without SQLite's locks and without a write, so that it may look while a gateway runs. */
import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import Database from "better-sqlite3";
import { parseDatabaseUrl } from "../store/open-store.ts";
import { APPLICATION_ID, SCHEMA_VERSION } from "../store/schema.ts";
import { type Check, type CheckResult, failed, messageOf, ok, warning } from "./check.ts";

export interface StoreCheckOptions {
  /** As `database_url`: a path or a URL. */
  readonly place: string;
  /** The process that has it open, where one does. */
  readonly holder: number | undefined;
}

const TIMEOUT_MS = 5_000;
/** Places in SQLite's header (sqlite.org/fileformat.html §1.3). */
const MAGIC = "SQLite format 3\0";
const USER_VERSION_AT = 60;
const APPLICATION_ID_AT = 68;
const WRITE_VERSION_AT = 18;
const HEADER_BYTES = 100;
/** Beyond it only the header is looked at. */
const MOST_READ_BYTES = 256 * 1024 * 1024;
const BACKUP_ADVICE = "keep a copy of it, and see docs/OPERATIONS.md, Restoring a gateway";

export function storeCheck(options: StoreCheckOptions): Check {
  return {
    name: "store",
    run: () => {
      const url = parseDatabaseUrl(options.place);
      return url.kind === "postgres" ? postgresResult(url.url) : fileResult(url.path, options);
    },
  };
}

async function postgresResult(url: string): Promise<CheckResult> {
  const { default: pg } = await import("pg");
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  });
  client.on("error", () => {}); // told by the call that meets it
  try {
    await client.connect();
    await client.query("SELECT 1");
    return ok("PostgreSQL answers");
  } catch (cause) {
    return failed(
      `PostgreSQL does not answer: ${messageOf(cause)}`,
      "start it, or correct the URL (DATABASE_URL)",
    );
  } finally {
    await client.end().catch(() => undefined);
  }
}

function fileResult(path: string, { holder }: StoreCheckOptions): CheckResult {
  if (!existsSync(path)) return ok("there is none yet; the first start makes it");
  const { size, mode } = statSync(path);
  // A file whose writer was killed before its first checkpoint is empty: all is in the log beside it.
  const waiting = existsSync(`${path}-wal`) ? statSync(`${path}-wal`).size : 0;
  if (size === 0) return ok(`${path}: new${heldBy(holder)}`);
  let bytes: Buffer;
  try {
    bytes = size <= MOST_READ_BYTES ? readFileSync(path) : headerOf(path);
  } catch (cause) {
    return failed(`${path} cannot be read: ${messageOf(cause)}`, "look at its owner and mode");
  }
  if (bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) {
    return failed(`${path} is damaged or not a database`, BACKUP_ADVICE);
  }
  const application = bytes.readUInt32BE(APPLICATION_ID_AT);
  if (application !== 0 && application !== APPLICATION_ID) {
    return failed(`${path} is a database of another program`, "choose another file (DATABASE_URL)");
  }
  const version = bytes.readUInt32BE(USER_VERSION_AT);
  if (version > SCHEMA_VERSION) {
    return failed(
      `${path} was written by a newer picobolt (schema ${version}, this one knows ${SCHEMA_VERSION})`,
      "start that newer version: there is no way back to an older one",
    );
  }
  if ((mode & 0o077) !== 0) {
    return warning(`${path} is open to others`, `chmod 600 ${path}: it holds secrets`);
  }
  if (holder !== undefined) return ok(`${path}${heldBy(holder)}`);
  const isWhole = waiting === 0 && size <= MOST_READ_BYTES;
  if (!isWhole) return ok(`${path}; its pages are checked when the gateway opens it`);
  const damage = damageOf(bytes);
  if (damage === undefined) return ok(`${path}, every page in order`);
  return failed(`${path} is damaged: ${damage}`, BACKUP_ADVICE);
}

function heldBy(holder: number | undefined): string {
  return holder === undefined ? "" : `, in use by the gateway that runs (process ${holder})`;
}

function headerOf(path: string): Buffer {
  const file = openSync(path, "r");
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    readSync(file, header, 0, HEADER_BYTES, 0);
    return header;
  } finally {
    closeSync(file);
  }
}

/** In memory: opening the file itself would make SQLite's side files. */
function damageOf(bytes: Buffer): string | undefined {
  bytes.fill(1, WRITE_VERSION_AT, WRITE_VERSION_AT + 2); // a copy in memory has no log beside it
  let db: Database.Database | undefined;
  try {
    db = new Database(bytes);
    const answer = db.pragma("quick_check(1)", { simple: true });
    return answer === "ok" ? undefined : String(answer);
  } catch (cause) {
    return messageOf(cause);
  } finally {
    db?.close();
  }
}
