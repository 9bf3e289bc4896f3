/** The records of a running gateway, where `database_url` says: the store, and what else is kept in the same database. */
import { rmSync } from "node:fs";
import type Database from "better-sqlite3";
import { StoreError } from "../../core/node/store-error.ts";
import type { Store } from "../../core/ports/store.ts";
import { equal } from "../../core/primitives/bytes.ts";
import type { AnswerStore } from "../api/idempotency.ts";
import type { SpendingCounters } from "../auth/spending.ts";
import { SqliteSpending } from "../auth/sqlite-spending.ts";
import type { FleetStore } from "../fleet/fleet-store.ts";
import type { Ledger } from "../payments/ledger.ts";
import type { IncomeRows } from "../settlement/income.ts";
import type { SettlementJournal } from "../settlement/journal.ts";
import { parseDatabaseUrl } from "../store/open-store.ts";
import { PostgresAnswers } from "../store/postgres/postgres-answers.ts";
import { PostgresFleet } from "../store/postgres/postgres-fleet.ts";
import { PostgresLedger } from "../store/postgres/postgres-ledger.ts";
import { PostgresIncome, PostgresJournal } from "../store/postgres/postgres-settlement.ts";
import { PostgresSpending } from "../store/postgres/postgres-spending.ts";
import { openPostgresStore, type PostgresStore } from "../store/postgres/postgres-store.ts";
import { SqliteAnswers } from "../store/sqlite-answers.ts";
import { SqliteFleet } from "../store/sqlite-fleet.ts";
import { SqliteIncome } from "../store/sqlite-income.ts";
import { SqliteLedger } from "../store/sqlite-ledger.ts";
import { SqliteJournal } from "../store/sqlite-settlement.ts";
import { openSqliteStore, type SqliteTables } from "../store/sqlite-store.ts";
import { idleSettings } from "./idle-settings.ts";
import { SettingRefused } from "./setting-kinds.ts";
import type { Config } from "./settings.ts";

export interface ServiceStore {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly answers: AnswerStore;
  readonly spending: SpendingCounters;
  /** Absent where several processes share the records: the fleet is one process's, … */
  readonly fleet?: FleetStore;
  /** … and so is settlement. */
  readonly settlement?: { readonly journal: SettlementJournal; readonly income: IncomeRows };
  /** What this gateway keeps as a watchtower; absent where several processes would each hold a part of it. */
  readonly tower?: SqliteTables;
  /** Where the records are a file of this process alone. */
  readonly sqlite?: { readonly db: Database.Database; readonly tables: SqliteTables };
  /** What the node's own end does not close. */
  close?(): Promise<void>;
  /** Where several processes may share them. */
  readonly postgres?: PostgresStore;
}

export interface ServiceStoreOptions {
  readonly config: Config;
  readonly network: string;
  /** Without `database_url`: the file in the data folder. */
  readonly usualPath: string;
  /** A tower's, where the records are elsewhere: it has nothing to do with the channels, and is lost without harm to them. */
  readonly towerPath: string;
  readonly nodeId: Uint8Array;
}

const NODE_ID = "node-id";

/** @throws StoreError: what is wrong with the database, or with asking for it like that. @throws SettingRefused */
export async function openServiceStore(options: ServiceStoreOptions): Promise<ServiceStore> {
  const { config, network, usualPath } = options;
  const url = parseDatabaseUrl(config.database_url ?? usualPath);
  if (url.kind === "postgres") return openShared(url.url, options);
  if (config["worker.name"] !== undefined) {
    const advice = "several gateways can share PostgreSQL alone (DATABASE_URL=postgres://…)";
    throw new StoreError("locked", `${url.path} is a file for one process: ${advice}.`);
  }
  // The simulated chain begins anew with each start: channels of the last one are on no chain at all.
  if (network === "sim") {
    for (const end of ["", "-wal"]) rmSync(`${url.path}${end}`, { force: true });
  }
  const store = openSqliteStore(url.path);
  const { tables } = store;
  return {
    store,
    ledger: new SqliteLedger(store),
    answers: new SqliteAnswers(store),
    spending: new SqliteSpending(tables.db),
    fleet: new SqliteFleet(tables),
    settlement: { journal: new SqliteJournal(store), income: new SqliteIncome(store) },
    tower: tables,
    sqlite: { db: tables.db, tables },
  };
}

async function openShared(url: string, options: ServiceStoreOptions): Promise<ServiceStore> {
  const { config, network } = options;
  const worker = config["worker.name"];
  const leaseMs = config["worker.lease_seconds"] * 1_000;
  refuseUnshared(config, network);
  const store = await openPostgresStore(url, { leaseMs, ...(worker !== undefined && { worker }) });
  try {
    await demandSameNode(store, options.nodeId);
  } catch (cause) {
    await store.close();
    throw cause;
  }
  const tower =
    store.isSole && config["tower.serve"] ? openSqliteStore(options.towerPath) : undefined;
  return {
    store,
    ...(tower && { tower: tower.tables, close: async () => void (await tower.close()) }),
    ledger: new PostgresLedger(store),
    answers: new PostgresAnswers(store),
    spending: new PostgresSpending(store),
    ...(store.isSole && {
      fleet: new PostgresFleet(store),
      settlement: { journal: new PostgresJournal(store), income: new PostgresIncome(store) },
    }),
    postgres: store,
  };
}

function refuseUnshared(config: Config, network: string): void {
  const refuse = (what: string, why: string) => {
    throw new StoreError("locked", `${what} does not go with PostgreSQL: ${why}.`);
  };
  if (network === "sim") {
    refuse(
      "The simulated chain",
      "it begins anew with each start and lives in one process; say where bitcoind is (BITCOIND_URL)",
    );
  }
  if (config["worker.name"] !== undefined && config["tower.node_id"] !== undefined) {
    refuse(
      "tower.node_id with worker.name",
      "one process of several would talk to the tower, for its own channels alone",
    );
  }
  const idle = idleSettings(config);
  if (idle.length > 0) throw new SettingRefused(`${idle.join(". ")}.`);
}

/** Keys of all channels follow from the seed: a process with another one could run none of them. */
async function demandSameNode(store: PostgresStore, nodeId: Uint8Array): Promise<void> {
  const [row] = await store.tables.read(async (session) => {
    await session.query(ENTER_NODE, [NODE_ID, nodeId]);
    return session.query(NODE, [NODE_ID]);
  });
  if (row && equal(new Uint8Array(row.value as Uint8Array), nodeId)) return;
  const message =
    `${store.name} belongs to a gateway with another seed: give this process the same seed ` +
    "(copy its file, or enter its words), or a database of its own.";
  throw new StoreError("foreign", message);
}

const ENTER_NODE = {
  name: "enter_node",
  text: "INSERT INTO settings (worker, name, value) VALUES (0, $1, $2) ON CONFLICT DO NOTHING",
};
const NODE = { name: "node", text: "SELECT value FROM settings WHERE worker = 0 AND name = $1" };
