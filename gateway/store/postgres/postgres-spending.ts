/** Spending counters of the gateways that share a PostgreSQL database (table `spent` of ./schema.ts). */
import type { MilliSatoshi } from "../../../core/primitives/brands.ts";
import {
  MAX_COUNTERS_PER_DAY,
  type SpendingCounters,
  type SpendingLimit,
} from "../../auth/spending.ts";
import type { PostgresStore, PostgresTables } from "./postgres-store.ts";

export class PostgresSpending implements SpendingCounters {
  private readonly tables: PostgresTables;

  constructor(store: PostgresStore) {
    this.tables = store.tables;
  }

  async add(
    day: number,
    limits: readonly SpendingLimit[],
    amountMsat: MilliSatoshi,
  ): Promise<boolean> {
    let isWithin = false;
    let isGivenUp = false;
    const written = this.tables.join(async (session) => {
      isWithin = false;
      // It failed, and nothing was paid: in the transaction after it nothing is counted.
      if (isGivenUp) return;
      // One process at a time: two that add at once must not both find room.
      await session.query(TAKE_TURN);
      await session.query(FORGET, [day - 1]); // yesterday's may still be given back
      const counters = limits.map(({ counter }) => counter);
      const rows = await session.query(SPENT, [day, counters]);
      const spent = new Map(rows.map((row) => [keyOf(row.counter), Number(row.amount_msat)]));
      for (const { counter, limitMsat } of limits) {
        if ((spent.get(keyOf(counter)) ?? 0) + amountMsat > limitMsat) return;
      }
      const [count] = await session.query(COUNT, [day]);
      if (Number(count?.count) + limits.length > MAX_COUNTERS_PER_DAY) return;
      for (const counter of counters) await session.query(ADD, [day, counter, amountMsat]);
      isWithin = true;
    });
    try {
      await written;
    } catch (cause) {
      isGivenUp = true;
      throw cause;
    }
    return isWithin;
  }

  giveBack(day: number, limits: readonly SpendingLimit[], amountMsat: MilliSatoshi): Promise<void> {
    return this.tables.join(async (session) => {
      for (const { counter } of limits) await session.query(SUBTRACT, [day, counter, amountMsat]);
    });
  }
}

function keyOf(counter: unknown): string {
  return Buffer.from(counter as Uint8Array).toString("hex");
}

/** Of advisory locks. */
const SPENDING = 0x70626f73;
const TAKE_TURN = { name: "spending_turn", text: `SELECT pg_advisory_xact_lock(${SPENDING})` };
const FORGET = { name: "forget_spent", text: "DELETE FROM spent WHERE day < $1" };
const SPENT = {
  name: "spent",
  text: "SELECT counter, amount_msat FROM spent WHERE day = $1 AND counter = ANY ($2::bytea[])",
};
const COUNT = { name: "count_spent", text: "SELECT count(*) AS count FROM spent WHERE day = $1" };
const ADD = {
  name: "add_spent",
  text: `INSERT INTO spent (day, counter, amount_msat) VALUES ($1, $2, $3)
    ON CONFLICT (day, counter) DO UPDATE SET amount_msat = spent.amount_msat + excluded.amount_msat`,
};
const SUBTRACT = {
  name: "subtract_spent",
  text: `UPDATE spent SET amount_msat = greatest(0, amount_msat - $3)
    WHERE day = $1 AND counter = $2`,
};
