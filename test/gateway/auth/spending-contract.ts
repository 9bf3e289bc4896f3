/** What all spending counters do, wherever they are kept. */
import { describe, expect, test } from "vitest";
import { milliSatoshi } from "../../../core/primitives/brands.ts";
import type { SpendingCounters, SpendingLimit } from "../../../gateway/auth/spending.ts";

export const msat = milliSatoshi;
export const TODAY = 20_000;

export const limit = (name: number, limitMsat: number): SpendingLimit => ({
  counter: new Uint8Array(16).fill(name),
  limitMsat: msat(limitMsat),
});
const [a, b] = [limit(1, 1000), limit(2, 500)];

/** Each time new and empty. */
export function spendingContract(
  name: string,
  make: () => SpendingCounters | Promise<SpendingCounters>,
): void {
  describe(name, () => {
    test("all limits or none, to the last millisatoshi", async () => {
      const spending = await make();
      expect(await spending.add(TODAY, [a, b], msat(500))).toBe(true);
      expect(await spending.add(TODAY, [a, b], msat(1))).toBe(false);
      expect(await spending.add(TODAY, [a], msat(500))).toBe(true);
      expect(await spending.add(TODAY, [a], msat(1))).toBe(false);
      await spending.giveBack(TODAY, [a], msat(200));
      expect(await spending.add(TODAY, [a], msat(200))).toBe(true);
      expect(await spending.add(TODAY + 1, [a, b], msat(500))).toBe(true);
    });

    test("the largest amount that there is does not wrap around", async () => {
      const spending = await make();
      const all = { ...a, limitMsat: msat(Number.MAX_SAFE_INTEGER) };
      expect(await spending.add(TODAY, [all], msat(Number.MAX_SAFE_INTEGER))).toBe(true);
      expect(await spending.add(TODAY, [all], msat(1))).toBe(false);
    });

    test("of many at once there are as many as the limit has room for, and no more comes back than went", async () => {
      const spending = await make();
      const all = Array.from({ length: 20 }, () => spending.add(TODAY, [a, b], msat(100)));
      expect((await Promise.all(all)).filter((isWithin) => isWithin)).toHaveLength(5);
      await spending.giveBack(TODAY, [a], msat(2_000));
      expect(await spending.add(TODAY, [a], msat(1001))).toBe(false);
      expect(await spending.add(TODAY, [a], msat(1000))).toBe(true);
    });
  });
}
