/** The tables of the SQLite store, and their migrations by `user_version` (DESIGN §6). */
import { closeSync, existsSync, fsyncSync, openSync } from "node:fs";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import { StoreError } from "../../core/node/store-error.ts";
import { storeErrorOf } from "./sqlite-errors.ts";

/** "pbol" in the file's header, so that `file` and we know whose it is. */
export const APPLICATION_ID = 0x70626f6c;

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
  `
  CREATE TABLE spent (
    day INTEGER NOT NULL,
    counter BLOB NOT NULL CHECK (length(counter) = 16),
    amount_msat INTEGER NOT NULL CHECK (amount_msat >= 0),
    PRIMARY KEY (day, counter)
  ) WITHOUT ROWID;
  `,
  // A watchtower: who may store, what it was given (a slot: 16 bytes of a txid and 208 sealed ones), and what it punishes.
  `
  CREATE TABLE tower_clients (
    client BLOB PRIMARY KEY CHECK (length(client) = 33),
    max_slots INTEGER NOT NULL,
    used_slots INTEGER NOT NULL CHECK (used_slots BETWEEN 0 AND max_slots)
  ) WITHOUT ROWID;
  CREATE TABLE tower_channels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    client BLOB NOT NULL REFERENCES tower_clients (client),
    tag BLOB NOT NULL CHECK (length(tag) = 16),
    slots INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    UNIQUE (client, tag)
  );
  CREATE TABLE tower_slots (
    hint BLOB NOT NULL CHECK (length(hint) = 16),
    channel INTEGER NOT NULL REFERENCES tower_channels (id) ON DELETE CASCADE,
    sealed BLOB NOT NULL CHECK (length(sealed) = 208)
  );
  CREATE INDEX tower_slots_by_hint ON tower_slots (hint);
  CREATE INDEX tower_slots_by_channel ON tower_slots (channel);
  CREATE TABLE tower_breaches (
    txid BLOB NOT NULL CHECK (length(txid) = 32),
    channel INTEGER NOT NULL,
    height INTEGER NOT NULL,
    raw BLOB NOT NULL,
    kit BLOB NOT NULL,
    PRIMARY KEY (txid, channel)
  ) WITHOUT ROWID;
  `,
  `
  CREATE TABLE payment_parties (
    id INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL UNIQUE CHECK (length(bytes) IN (32, 33))
  );
  CREATE TABLE payments (
    sequence INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2),
    status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 2),
    payment_hash BLOB NOT NULL CHECK (length(payment_hash) = 32),
    preimage BLOB CHECK (length(preimage) = 32),
    amount_msat INTEGER NOT NULL CHECK (amount_msat >= 0),
    fee_msat INTEGER NOT NULL CHECK (fee_msat >= 0),
    failure INTEGER,
    incoming INTEGER REFERENCES payment_parties (id),
    incoming_htlc INTEGER,
    outgoing INTEGER REFERENCES payment_parties (id),
    destination INTEGER REFERENCES payment_parties (id),
    created_at INTEGER NOT NULL,
    resolved_at INTEGER,
    retry BLOB
  );
  CREATE UNIQUE INDEX payments_by_hash ON payments (payment_hash, kind);
  CREATE INDEX payments_pending ON payments (sequence) WHERE status = 0;
  CREATE TABLE invoices (
    payment_hash BLOB PRIMARY KEY CHECK (length(payment_hash) = 32),
    preimage BLOB NOT NULL CHECK (length(preimage) = 32),
    payment_secret BLOB NOT NULL CHECK (length(payment_secret) = 32),
    amount_msat INTEGER CHECK (amount_msat > 0),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    min_final_cltv_expiry_delta INTEGER NOT NULL,
    memo TEXT NOT NULL,
    description_hash BLOB CHECK (length(description_hash) = 32)
  ) WITHOUT ROWID;
  `,
  // Calls of the API that move money, by the key that their caller gave (gateway/api/idempotency.ts).
  `
  CREATE TABLE api_answers (
    key BLOB PRIMARY KEY CHECK (length(key) = 32),
    request BLOB NOT NULL CHECK (length(request) = 32),
    created_at_ms INTEGER NOT NULL,
    note TEXT,
    answer TEXT
  ) WITHOUT ROWID;
  CREATE INDEX api_answers_by_age ON api_answers (created_at_ms);
  `,
  // Settlement (gateway/settlement): what it began and how that ended, and what each channel's peer got and gave by day.
  `
  CREATE TABLE settlement_actions (
    sequence INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed')),
    created_at INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (kind, id)
  );
  CREATE INDEX settlement_pending ON settlement_actions (kind) WHERE state = 'pending';
  CREATE TABLE income_channels (
    channel_id BLOB PRIMARY KEY CHECK (length(channel_id) = 32),
    node_id BLOB NOT NULL CHECK (length(node_id) = 33),
    is_gateway INTEGER NOT NULL,
    opened_msat INTEGER NOT NULL,
    balance_msat INTEGER NOT NULL,
    is_closed INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE income_days (
    day INTEGER NOT NULL,
    channel_id BLOB NOT NULL REFERENCES income_channels (channel_id),
    received_msat INTEGER NOT NULL,
    paid_msat INTEGER NOT NULL,
    on_chain_sat INTEGER NOT NULL,
    PRIMARY KEY (day, channel_id)
  ) WITHOUT ROWID;
  `,
  // The fleet: devices, what waits for them, what they sold, roll-outs, and images and price lists by their SHA-256.
  `
  CREATE TABLE fleet_devices (
    node_id BLOB PRIMARY KEY CHECK (length(node_id) = 33),
    body TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE fleet_requests (
    sequence INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    node_id BLOB NOT NULL CHECK (length(node_id) = 33),
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
    rollout BLOB CHECK (length(rollout) = 16),
    finished_at REAL,
    body TEXT NOT NULL
  );
  CREATE INDEX fleet_requests_by_device ON fleet_requests (node_id);
  CREATE INDEX fleet_requests_waiting ON fleet_requests (sequence) WHERE state = 0;
  CREATE TABLE fleet_sales (
    sequence INTEGER PRIMARY KEY,
    node_id BLOB NOT NULL CHECK (length(node_id) = 33),
    run BLOB NOT NULL CHECK (length(run) = 8),
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3),
    reference BLOB NOT NULL,
    product INTEGER,
    amount_msat INTEGER CHECK (amount_msat >= 0),
    reason TEXT,
    UNIQUE (node_id, run, number)
  );
  CREATE TABLE fleet_rollouts (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    body TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE fleet_blobs (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    bytes BLOB NOT NULL
  );
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
