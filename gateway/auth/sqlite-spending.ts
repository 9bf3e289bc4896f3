/** Spending counters in the gateway's SQLite database (table `spent` of gateway/store/schema.ts). */
import type Database from "better-sqlite3";
import type { MilliSatoshi } from "../../core/primitives/brands.ts";
import { storeErrorOf } from "../store/sqlite-errors.ts";
import { MAX_COUNTERS_PER_DAY, type SpendingCounters, type SpendingLimit } from "./spending.ts";

export class SqliteSpending implements SpendingCounters {
  private readonly statements;

  /** The store's own handle: its file is open once. */
  constructor(private readonly db: Database.Database) {
    const add =
      "INSERT INTO spent (day, counter, amount_msat) VALUES (?, ?, ?) " +
      "ON CONFLICT DO UPDATE SET amount_msat = amount_msat + excluded.amount_msat";
    this.statements = {
      amount: db.prepare("SELECT amount_msat FROM spent WHERE day = ? AND counter = ?").pluck(),
      count: db.prepare("SELECT count(*) FROM spent WHERE day = ?").pluck(),
      add: db.prepare(add),
      subtract: db.prepare(
        "UPDATE spent SET amount_msat = max(0, amount_msat - ?) WHERE day = ? AND counter = ?",
      ),
      forget: db.prepare("DELETE FROM spent WHERE day < ?"),
    };
  }

  add(day: number, limits: readonly SpendingLimit[], amountMsat: MilliSatoshi): boolean {
    return this.inTransaction(() => {
      const { amount, count, add, forget } = this.statements;
      for (const { counter, limitMsat } of limits) {
        const spent = (amount.get(day, counter) as number | undefined) ?? 0;
        if (spent + amountMsat > limitMsat) return false;
      }
      // Yesterday's may still be given back; no longer than that.
      forget.run(day - 1);
      if ((count.get(day) as number) + limits.length > MAX_COUNTERS_PER_DAY) return false;
      for (const { counter } of limits) add.run(day, counter, amountMsat);
      return true;
    });
  }

  giveBack(day: number, limits: readonly SpendingLimit[], amountMsat: MilliSatoshi): void {
    this.inTransaction(() => {
      for (const { counter } of limits) this.statements.subtract.run(amountMsat, day, counter);
    });
  }

  private inTransaction<T>(work: () => T): T {
    try {
      return this.db.transaction(work).immediate();
    } catch (error) {
      throw storeErrorOf(error, this.db.name);
    }
  }
}
