/** Income by day in the file of the SQLite store (gateway/settlement/income.ts). */
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import type { IncomeChannel, IncomeDay, IncomeEntry, IncomeRows } from "../settlement/income.ts";
import type { SqliteStore, SqliteTables } from "./sqlite-store.ts";

interface ChannelRow {
  readonly channel_id: Buffer;
  readonly node_id: Buffer;
  readonly is_gateway: number;
  readonly opened_msat: number;
  readonly balance_msat: number;
  readonly is_closed: number;
}

interface DayRow {
  readonly day: number;
  readonly node_id: Buffer;
  readonly is_gateway: number;
  readonly received: number;
  readonly paid: number;
  readonly on_chain: number;
}

const PUT_CHANNEL = `INSERT INTO income_channels VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT (channel_id) DO UPDATE SET is_gateway = excluded.is_gateway,
  balance_msat = excluded.balance_msat, is_closed = excluded.is_closed`;
const ADD_DAY = `INSERT INTO income_days VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (day, channel_id) DO UPDATE SET received_msat = received_msat + excluded.received_msat,
  paid_msat = paid_msat + excluded.paid_msat, on_chain_sat = on_chain_sat + excluded.on_chain_sat`;
const DAYS = `SELECT day, node_id, max(is_gateway) AS is_gateway, sum(received_msat) AS received,
  sum(paid_msat) AS paid, sum(on_chain_sat) AS on_chain
  FROM income_days JOIN income_channels USING (channel_id)
  WHERE day >= ? AND day < ? GROUP BY day, node_id ORDER BY day, node_id`;

export class SqliteIncome implements IncomeRows {
  private readonly tables: SqliteTables;
  private readonly statements: ReturnType<typeof prepare>;

  constructor(store: Pick<SqliteStore, "tables">) {
    this.tables = store.tables;
    this.statements = prepare(store.tables);
  }

  channels(): readonly IncomeChannel[] {
    return this.tables.read(() =>
      (this.statements.channels.all() as ChannelRow[]).map((row) => ({
        channelId: toHex(row.channel_id),
        nodeId: toHex(row.node_id),
        isGateway: row.is_gateway === 1,
        openedMsat: row.opened_msat,
        balanceMsat: row.balance_msat,
        isClosed: row.is_closed === 1,
      })),
    );
  }

  book(channel: IncomeChannel, entry: IncomeEntry | undefined): Promise<void> {
    const { openedMsat, balanceMsat, isGateway, isClosed } = channel;
    const id = fromHex(channel.channelId);
    const node = fromHex(channel.nodeId);
    return this.tables.join(() => {
      const { putChannel, addDay } = this.statements;
      putChannel.run(id, node, isGateway ? 1 : 0, openedMsat, balanceMsat, isClosed ? 1 : 0);
      if (!entry) return;
      addDay.run(entry.day, id, entry.receivedMsat, entry.paidMsat, entry.onChainSat);
    });
  }

  days(from: number, until: number): readonly IncomeDay[] {
    return this.tables.read(() =>
      (this.statements.days.all(from, until) as DayRow[]).map((row) => ({
        day: row.day,
        nodeId: toHex(row.node_id),
        isGateway: row.is_gateway === 1,
        receivedMsat: row.received,
        paidMsat: row.paid,
        onChainSat: row.on_chain,
      })),
    );
  }
}

function prepare({ db }: SqliteTables) {
  return {
    channels: db.prepare("SELECT * FROM income_channels"),
    putChannel: db.prepare(PUT_CHANNEL),
    addDay: db.prepare(ADD_DAY),
    days: db.prepare(DAYS),
  };
}
