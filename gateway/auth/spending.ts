/** How much was sent today under each caveat of an amount per day: durable before the payment leaves. */
import type { MilliSatoshi } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";

export interface SpendingLimit {
  /** 16 bytes that stand for the caveat in its macaroon: all that is attenuated from there shares it. */
  readonly counter: Uint8Array;
  readonly limitMsat: MilliSatoshi;
}

export interface SpendingCounters {
  /**
   * Adds the amount to all of them, or to none where one would exceed its limit; durable when it returns.
   * `day` counts from 1 January 1970, in UTC.
   */
  add(
    day: number,
    limits: readonly SpendingLimit[],
    amountMsat: MilliSatoshi,
  ): Promise<boolean> | boolean;
  /** For a payment that failed. */
  giveBack(
    day: number,
    limits: readonly SpendingLimit[],
    amountMsat: MilliSatoshi,
  ): Promise<void> | void;
}

/** Whoever attenuates can make counters without end: so many are kept for one day, and further ones refused. */
export const MAX_COUNTERS_PER_DAY = 100_000;

/** For tests and for gateways that send nothing: it forgets with its process. */
export class VolatileSpending implements SpendingCounters {
  private day = 0;
  private readonly spent = new Map<string, number>();

  add(day: number, limits: readonly SpendingLimit[], amountMsat: MilliSatoshi): boolean {
    if (day > this.day) {
      this.spent.clear();
      this.day = day;
    }
    const sums = limits.map(({ counter }) => (this.spent.get(toHex(counter)) ?? 0) + amountMsat);
    if (sums.some((sum, index) => sum > (limits[index] as SpendingLimit).limitMsat)) return false;
    if (this.spent.size + limits.length > MAX_COUNTERS_PER_DAY) return false;
    limits.forEach(({ counter }, index) => {
      this.spent.set(toHex(counter), sums[index] as number);
    });
    return true;
  }

  giveBack(day: number, limits: readonly SpendingLimit[], amountMsat: MilliSatoshi): void {
    if (day !== this.day) return;
    for (const { counter } of limits) {
      const spent = this.spent.get(toHex(counter)) ?? 0;
      this.spent.set(toHex(counter), Math.max(0, spent - amountMsat));
    }
  }
}
