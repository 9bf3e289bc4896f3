/** The tables of the PostgreSQL store, and their migrations: those of SQLite (gateway/store/schema.ts), and who works on what. */
import { StoreError } from "../../../core/node/store-error.ts";
import type { Session } from "./session.ts";

/** Of advisory locks, so that two processes that start at once do not migrate together. */
const MIGRATION_LOCK = 0x70626f6c;

/** Entry i brings a database from version i to i + 1. Never change one that was released; add another. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE workers (
    number INTEGER PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL UNIQUE,
    epoch BIGINT NOT NULL,
    is_sole BOOLEAN NOT NULL,
    stopped BOOLEAN NOT NULL,
    alive_until TIMESTAMPTZ NOT NULL,
    session INTEGER NOT NULL,
    session_start TIMESTAMPTZ NOT NULL
  );
  CREATE SEQUENCE fences;
  CREATE TABLE leases (
    subject BYTEA PRIMARY KEY,
    worker INTEGER REFERENCES workers (number),
    fence BIGINT NOT NULL,
    former INTEGER REFERENCES workers (number)
  );
  CREATE INDEX leases_by_worker ON leases (worker);
  CREATE TABLE channels (
    channel_id BYTEA PRIMARY KEY CHECK (length(channel_id) = 32),
    subject BYTEA NOT NULL REFERENCES leases (subject),
    record BYTEA NOT NULL
  );
  CREATE INDEX channels_by_subject ON channels (subject);
  CREATE TABLE archive (
    channel_id BYTEA NOT NULL REFERENCES channels (channel_id) ON DELETE CASCADE,
    sequence BIGINT GENERATED ALWAYS AS IDENTITY,
    entry BYTEA NOT NULL,
    PRIMARY KEY (channel_id, sequence)
  );
  CREATE TABLE credits (
    reference BYTEA PRIMARY KEY CHECK (length(reference) = 16),
    amount_msat BYTEA NOT NULL CHECK (length(amount_msat) = 8)
  );
  CREATE TABLE debits (
    reference BYTEA PRIMARY KEY CHECK (length(reference) = 16),
    amount_msat BYTEA NOT NULL CHECK (length(amount_msat) = 8)
  );
  CREATE TABLE settings (
    worker INTEGER NOT NULL,
    name TEXT NOT NULL,
    value BYTEA NOT NULL,
    PRIMARY KEY (worker, name)
  );
  `,
  // A memo is bytes: TEXT takes no zero, and an invoice may.
  `
  CREATE TABLE payment_parties (
    id INTEGER PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    bytes BYTEA NOT NULL UNIQUE CHECK (length(bytes) IN (32, 33))
  );
  CREATE TABLE payments (
    sequence BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    amount_msat BIGINT NOT NULL CHECK (amount_msat >= 0),
    fee_msat BIGINT NOT NULL CHECK (fee_msat >= 0),
    incoming_htlc BIGINT,
    created_at BIGINT NOT NULL,
    resolved_at BIGINT,
    incoming INTEGER REFERENCES payment_parties (id),
    outgoing INTEGER REFERENCES payment_parties (id),
    destination INTEGER REFERENCES payment_parties (id),
    failure INTEGER,
    kind SMALLINT NOT NULL CHECK (kind BETWEEN 0 AND 2),
    status SMALLINT NOT NULL CHECK (status BETWEEN 0 AND 2),
    payment_hash BYTEA NOT NULL CHECK (length(payment_hash) = 32),
    preimage BYTEA CHECK (length(preimage) = 32),
    retry BYTEA
  );
  CREATE UNIQUE INDEX payments_by_hash ON payments (payment_hash, kind);
  CREATE INDEX payments_pending ON payments (sequence) WHERE status = 0;
  CREATE TABLE invoices (
    payment_hash BYTEA PRIMARY KEY CHECK (length(payment_hash) = 32),
    preimage BYTEA NOT NULL CHECK (length(preimage) = 32),
    payment_secret BYTEA NOT NULL CHECK (length(payment_secret) = 32),
    amount_msat BIGINT CHECK (amount_msat > 0),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    min_final_cltv_expiry_delta INTEGER NOT NULL,
    memo BYTEA NOT NULL,
    description_hash BYTEA CHECK (length(description_hash) = 32)
  );
  CREATE INDEX invoices_by_age ON invoices (created_at);
  `,
  // What several processes must know of each other: limits, answers, who pays what, HTLCs that one offers for another.
  `
  CREATE TABLE spent (
    day INTEGER NOT NULL,
    counter BYTEA NOT NULL CHECK (length(counter) = 16),
    amount_msat BIGINT NOT NULL CHECK (amount_msat >= 0),
    PRIMARY KEY (day, counter)
  );
  CREATE TABLE api_answers (
    key BYTEA PRIMARY KEY CHECK (length(key) = 32),
    request BYTEA NOT NULL CHECK (length(request) = 32),
    created_at_ms BIGINT NOT NULL,
    note TEXT,
    answer TEXT
  );
  CREATE INDEX api_answers_by_age ON api_answers (created_at_ms);
  ALTER TABLE payments ADD COLUMN sender INTEGER REFERENCES workers (number);
  CREATE INDEX payments_by_sender ON payments (sender) WHERE status = 0 AND kind = 1;
  CREATE TABLE entrusted_htlcs (
    payment_hash BYTEA PRIMARY KEY CHECK (length(payment_hash) = 32),
    subject BYTEA NOT NULL,
    state SMALLINT NOT NULL CHECK (state BETWEEN 0 AND 4),
    amount_msat BIGINT,
    cltv_expiry BIGINT,
    onion BYTEA,
    channel_id BYTEA,
    answer BYTEA
  );
  CREATE INDEX entrusted_by_subject ON entrusted_htlcs (subject) WHERE state < 2;
  CREATE INDEX leases_by_topic_name ON leases (substr(subject, 2, 8));
  `,
  // The fleet, as in SQLite.
  `
  CREATE TABLE fleet_devices (
    node_id BYTEA PRIMARY KEY CHECK (length(node_id) = 33),
    body TEXT NOT NULL
  );
  CREATE TABLE fleet_requests (
    sequence BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id BYTEA NOT NULL UNIQUE CHECK (length(id) = 16),
    node_id BYTEA NOT NULL CHECK (length(node_id) = 33),
    state SMALLINT NOT NULL CHECK (state BETWEEN 0 AND 2),
    rollout BYTEA CHECK (length(rollout) = 16),
    finished_at BIGINT,
    body TEXT NOT NULL
  );
  CREATE INDEX fleet_requests_by_device ON fleet_requests (node_id);
  CREATE INDEX fleet_requests_waiting ON fleet_requests (sequence) WHERE state = 0;
  CREATE TABLE fleet_sales (
    sequence BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    node_id BYTEA NOT NULL CHECK (length(node_id) = 33),
    run BYTEA NOT NULL CHECK (length(run) = 8),
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind SMALLINT NOT NULL CHECK (kind BETWEEN 0 AND 3),
    reference BYTEA NOT NULL,
    product BIGINT,
    amount_msat BIGINT CHECK (amount_msat >= 0),
    reason TEXT,
    UNIQUE (node_id, run, number)
  );
  CREATE TABLE fleet_rollouts (
    id BYTEA PRIMARY KEY CHECK (length(id) = 16),
    body TEXT NOT NULL
  );
  CREATE TABLE fleet_blobs (
    digest BYTEA PRIMARY KEY CHECK (length(digest) = 32),
    bytes BYTEA NOT NULL
  );
  `,
  // Settlement, as in SQLite.
  `
  CREATE TABLE settlement_actions (
    sequence BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed')),
    created_at BIGINT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (kind, id)
  );
  CREATE INDEX settlement_pending ON settlement_actions (kind) WHERE state = 'pending';
  CREATE TABLE income_channels (
    channel_id BYTEA PRIMARY KEY CHECK (length(channel_id) = 32),
    node_id BYTEA NOT NULL CHECK (length(node_id) = 33),
    is_gateway BOOLEAN NOT NULL,
    opened_msat BIGINT NOT NULL,
    balance_msat BIGINT NOT NULL,
    is_closed BOOLEAN NOT NULL
  );
  CREATE TABLE income_days (
    day INTEGER NOT NULL,
    channel_id BYTEA NOT NULL REFERENCES income_channels (channel_id),
    received_msat BIGINT NOT NULL,
    paid_msat BIGINT NOT NULL,
    on_chain_sat BIGINT NOT NULL,
    PRIMARY KEY (day, channel_id)
  );
  `,
];

export const POSTGRES_SCHEMA_VERSION = MIGRATIONS.length;

/** Brings the database to this version; throws a StoreError where it is another program's, newer, or not durable. */
export async function migrate(session: Session): Promise<void> {
  const ask = (text: string) => session.query({ name: "", text });
  const [fsync] = await ask("SHOW fsync");
  if (fsync?.fsync !== "on") {
    const message = `The server of ${session.name} runs with fsync=off and would lose money with a power cut: switch it on.`;
    throw new StoreError("io", message);
  }
  await session.transaction(async () => {
    await ask(`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`);
    const tables = await ask(
      "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename",
    );
    const isOurs = tables.some(({ tablename }) => tablename === "picobolt");
    if (!isOurs && tables.length > 0) {
      const message =
        `${session.name} has tables of another program (${String(tables[0]?.tablename)} …): ` +
        "make a database for picobolt alone (CREATE DATABASE).";
      throw new StoreError("foreign", message);
    }
    if (!isOurs) await ask("CREATE TABLE picobolt (version INTEGER NOT NULL)");
    const [row] = isOurs ? await ask("SELECT version FROM picobolt") : [];
    const version = Number(row?.version ?? 0);
    if (version > POSTGRES_SCHEMA_VERSION) {
      const message =
        `${session.name} was written by a newer picobolt (schema ${version}, this one knows ` +
        `${POSTGRES_SCHEMA_VERSION}): start that newer version. It must not go back to an older one.`;
      throw new StoreError("newer-format", message);
    }
    for (const statements of MIGRATIONS.slice(version)) await ask(statements);
    if (version === POSTGRES_SCHEMA_VERSION) return;
    await ask("DELETE FROM picobolt");
    await ask(`INSERT INTO picobolt VALUES (${POSTGRES_SCHEMA_VERSION})`);
  });
}
