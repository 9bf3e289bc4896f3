/** The tables of the SQLite store, and their migrations by `user_version` (DESIGN §6). */
import { closeSync, existsSync, fsyncSync, openSync } from "node:fs";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import { StoreError } from "../../core/node/store-error.ts";
import { storeErrorOf } from "./sqlite-errors.ts";

/** "pbol" in the file's header, so that `file` and we know whose it is. */
const APPLICATION_ID = 0x70626f6c;

/** Entry i brings a file from version i to i + 1. Never change one that was released; add another. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE channels (
    channel_id BLOB PRIMARY KEY CHECK (length(channel_id) = 32),
    record BLOB NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE archive (
    channel_id BLOB NOT NULL REFERENCES channels (channel_id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    entry BLOB NOT NULL,
    PRIMARY KEY (channel_id, sequence)
  ) WITHOUT ROWID;
  CREATE TABLE credits (
    reference BLOB PRIMARY KEY CHECK (length(reference) = 16),
    amount_msat BLOB NOT NULL CHECK (length(amount_msat) = 8)
  ) WITHOUT ROWID;
  CREATE TABLE debits (
    reference BLOB PRIMARY KEY CHECK (length(reference) = 16),
    amount_msat BLOB NOT NULL CHECK (length(amount_msat) = 8)
  ) WITHOUT ROWID;
  CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
  ) WITHOUT ROWID;
  `,
];

export const SCHEMA_VERSION = MIGRATIONS.length;

export interface OpenOptions {
  /** The database may not grow beyond this; further writes are a StoreError "full". */
  readonly maxBytes?: number;
}

/** Opens or creates the file, takes its lock for as long as it is open, and brings it to this version. */
export function openDatabase(path: string, options: OpenOptions = {}): Database.Database {
  let db: Database.Database | undefined;
  try {
    if (path !== ":memory:" && !existsSync(path)) createPrivate(path);
    db = new Database(path, { timeout: 0 });
    configure(db, options);
    migrate(db, path);
    return db;
  } catch (error) {
    db?.close();
    throw storeErrorOf(error, path);
  }
}

/** Records hold secrets of revoked states: the file is its owner's alone, and its name is durable. */
function createPrivate(path: string): void {
  try {
    closeSync(openSync(path, "ax", 0o600));
    const folder = openSync(dirname(path), "r");
    fsyncSync(folder);
    closeSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOSPC") {
      throw Object.assign(new Error("ENOSPC"), { code: "SQLITE_FULL" });
    }
    throw Object.assign(new Error(String(error)), { code: "SQLITE_CANTOPEN" });
  }
}

function configure(db: Database.Database, options: OpenOptions): void {
  // Exclusive: a second process, or a second store in this one, is refused; and no shared-memory file.
  db.pragma("locking_mode = EXCLUSIVE");
  db.exec("BEGIN EXCLUSIVE; COMMIT");
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  db.pragma("fullfsync = ON"); // macOS: fsync alone does not reach the platter there
  db.pragma("checkpoint_fullfsync = ON");
  db.pragma("foreign_keys = ON");
  db.pragma("trusted_schema = OFF");
  db.pragma("cell_size_check = ON");
  if (options.maxBytes !== undefined) {
    const pageSize = db.pragma("page_size", { simple: true }) as number;
    db.pragma(`max_page_count = ${Math.max(1, Math.floor(options.maxBytes / pageSize))}`);
  }
}

function migrate(db: Database.Database, path: string): void {
  const version = db.pragma("user_version", { simple: true }) as number;
  const application = db.pragma("application_id", { simple: true }) as number;
  const tables = db.prepare("SELECT count(*) FROM sqlite_schema").pluck().get() as number;
  const ours = application === APPLICATION_ID;
  if (!ours && (tables > 0 || version !== 0 || application !== 0)) {
    const message = `${path} is a database of another program: choose another file.`;
    throw new StoreError("foreign", message);
  }
  if (version > SCHEMA_VERSION) {
    const message =
      `${path} was written by a newer picobolt (schema ${version}, this one knows ` +
      `${SCHEMA_VERSION}): start that newer version. It must not go back to an older one.`;
    throw new StoreError("newer-format", message);
  }
  if (version === SCHEMA_VERSION) return;
  db.transaction(() => {
    db.pragma(`application_id = ${APPLICATION_ID}`);
    for (const statements of MIGRATIONS.slice(version)) db.exec(statements);
    db.pragma(`user_version = ${SCHEMA_VERSION}`);
  })();
}
