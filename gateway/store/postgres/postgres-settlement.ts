/** The journal of settlement and income by day in PostgreSQL: the tables of gateway/store/sqlite-settlement.ts and sqlite-income.ts. */
import { fromHex, toHex } from "../../../core/primitives/bytes.ts";
import type { IncomeChannel, IncomeDay, IncomeEntry, IncomeRows } from "../../settlement/income.ts";
import {
  type Action,
  type ActionFilter,
  type ActionKind,
  type ActionState,
  type Bodies,
  MAX_ACTIONS,
  type SettlementJournal,
} from "../../settlement/journal.ts";
import type { PostgresStore, PostgresTables } from "./postgres-store.ts";

export class PostgresJournal implements SettlementJournal {
  private readonly tables: PostgresTables;

  constructor(store: Pick<PostgresStore, "tables">) {
    this.tables = store.tables;
  }

  put<K extends ActionKind>({ kind, id, state, createdAt, body }: Action<K>): Promise<void> {
    const row = [kind, id, state, createdAt, JSON.stringify(body)];
    return this.tables.join(async (session) => {
      await session.query(PUT, row);
    });
  }

  list<K extends ActionKind>(kind: K, filter: ActionFilter = {}): Promise<readonly Action<K>[]> {
    const { state = null, from = null, limit = MAX_ACTIONS } = filter;
    const asked = [kind, state, from, Math.min(limit, MAX_ACTIONS)];
    return this.tables.read(async (session) =>
      (await session.query(LIST, asked)).map((row) => ({
        kind,
        id: String(row.id),
        state: row.state as ActionState,
        createdAt: Number(row.created_at),
        body: JSON.parse(String(row.body)) as Bodies[K],
      })),
    );
  }
}

export class PostgresIncome implements IncomeRows {
  private readonly tables: PostgresTables;

  constructor(store: Pick<PostgresStore, "tables">) {
    this.tables = store.tables;
  }

  channels(): Promise<readonly IncomeChannel[]> {
    return this.tables.read(async (session) =>
      (await session.query(CHANNELS)).map((row) => ({
        channelId: toHex(row.channel_id as Uint8Array),
        nodeId: toHex(row.node_id as Uint8Array),
        isGateway: row.is_gateway === true,
        openedMsat: Number(row.opened_msat),
        balanceMsat: Number(row.balance_msat),
        isClosed: row.is_closed === true,
      })),
    );
  }

  book(channel: IncomeChannel, entry: IncomeEntry | undefined): Promise<void> {
    const { openedMsat, balanceMsat, isGateway, isClosed } = channel;
    const id = fromHex(channel.channelId);
    const row = [id, fromHex(channel.nodeId), isGateway, openedMsat, balanceMsat, isClosed];
    return this.tables.join(async (session) => {
      await session.query(PUT_CHANNEL, row);
      if (!entry) return;
      const { day, receivedMsat, paidMsat, onChainSat } = entry;
      await session.query(ADD_DAY, [day, id, receivedMsat, paidMsat, onChainSat]);
    });
  }

  days(from: number, until: number): Promise<readonly IncomeDay[]> {
    return this.tables.read(async (session) =>
      (await session.query(DAYS, [from, until])).map((row) => ({
        day: Number(row.day),
        nodeId: toHex(row.node_id as Uint8Array),
        isGateway: row.is_gateway === true,
        receivedMsat: Number(row.received),
        paidMsat: Number(row.paid),
        onChainSat: Number(row.on_chain),
      })),
    );
  }
}

const PUT = {
  name: "settlement_put",
  text: `INSERT INTO settlement_actions (kind, id, state, created_at, body)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, id) DO UPDATE
    SET (state, body) = ROW (excluded.state, excluded.body)`,
};
const LIST = {
  name: "settlement_list",
  text: `SELECT id, state, created_at, body FROM settlement_actions WHERE kind = $1
    AND ($2::text IS NULL OR state = $2) AND ($3::bigint IS NULL OR created_at >= $3)
    ORDER BY sequence DESC LIMIT $4`,
};
const CHANNELS = { name: "income_channels", text: "SELECT * FROM income_channels" };
const PUT_CHANNEL = {
  name: "income_put_channel",
  text: `INSERT INTO income_channels VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (channel_id) DO UPDATE SET (is_gateway, balance_msat, is_closed) =
      ROW (excluded.is_gateway, excluded.balance_msat, excluded.is_closed)`,
};
const ADD_DAY = {
  name: "income_add_day",
  text: `INSERT INTO income_days AS known VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (day, channel_id) DO UPDATE SET
      received_msat = known.received_msat + excluded.received_msat,
      paid_msat = known.paid_msat + excluded.paid_msat,
      on_chain_sat = known.on_chain_sat + excluded.on_chain_sat`,
};
const DAYS = {
  name: "income_days",
  text: `SELECT day, node_id, bool_or(is_gateway) AS is_gateway, sum(received_msat) AS received,
    sum(paid_msat) AS paid, sum(on_chain_sat) AS on_chain
    FROM income_days JOIN income_channels USING (channel_id)
    WHERE day >= $1 AND day < $2 GROUP BY day, node_id ORDER BY day, node_id`,
};
