/** The feerate of a claim: cheap while there is time, replaceable at every step, and never without bounds. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type FeeSchedule,
  feerateAt,
  MIN_FEERATE_PER_KW,
  REPLACEMENT_STEP_PER_KW,
} from "../../../core/chain/monitor/fees.ts";
import type { MonitorPolicy } from "../../../core/chain/monitor/watched.ts";
import { blockHeight } from "../../../core/primitives/brands.ts";

function schedule(blocks: number, urgency: FeeSchedule["urgency"]): FeeSchedule {
  return { start: blockHeight(100), deadline: blockHeight(100 + blocks), urgency };
}

function policy(economy: number, soon: number, now: number): MonitorPolicy {
  return { feeratesPerKw: { economy, soon, now }, irrevocableDepth: 100 };
}

const at = (plan: FeeSchedule, tip: number, rates: MonitorPolicy, ceiling?: number) =>
  feerateAt(plan, blockHeight(tip), rates, ceiling);

describe("the feerate of a claim", () => {
  it("starts at economy, is at soon half-way, and at now when the deadline comes", () => {
    const plan = schedule(144, "contested");
    const rates = policy(1000, 5000, 20_000);
    expect(at(plan, 100, rates)).toBe(1000);
    expect(at(plan, 172, rates)).toBe(5000);
    expect(at(plan, 244, rates)).toBe(20_000);
  });

  it("keeps rising after the deadline where someone else can take the output, else not", () => {
    const rates = policy(1000, 5000, 20_000);
    expect(at(schedule(144, "contested"), 247, rates)).toBeGreaterThan(30_000);
    expect(at(schedule(144, "patient"), 5000, rates)).toBe(
      at(schedule(144, "patient"), 244, rates),
    );
  });

  it("does not pay now's rate for what nobody else can take", () => {
    expect(at(schedule(144, "patient"), 244, policy(1000, 5000, 90_000))).toBeLessThan(10_000);
  });

  it("is at least what nodes relay", () => {
    expect(at(schedule(144, "patient"), 100, policy(0, 0, 0))).toBe(MIN_FEERATE_PER_KW);
  });

  it("stays where it is rather than reach its ceiling by a step too small to replace", () => {
    const plan = schedule(12, "contested");
    const flat = policy(1000, 1000, 1000);
    expect(at(plan, 101, flat, 1500)).toBe(1253);
    expect(at(plan, 112, flat, 1500)).toBe(1253);
    expect(at(plan, 112, flat, 1506)).toBe(1506);
  });

  it("at each tip either stays the same or rises enough to replace, and obeys its ceiling", () => {
    const rate = fc.integer({ min: 0, max: 100_000 });
    const inputs = fc.record({
      blocks: fc.integer({ min: 0, max: 2016 }),
      urgency: fc.constantFrom("contested" as const, "patient" as const),
      rates: fc.tuple(rate, rate, rate),
      ceiling: fc.integer({ min: 1, max: 500_000 }),
    });
    fc.assert(
      fc.property(inputs, ({ blocks, urgency, rates, ceiling }) => {
        const plan = schedule(blocks, urgency);
        let before = at(plan, 90, policy(...rates), ceiling);
        for (let tip = 91; tip < 110 + blocks + 10; tip += 1 + Math.floor(blocks / 50)) {
          const after = at(plan, tip, policy(...rates), ceiling);
          expect(after).toBeLessThanOrEqual(ceiling);
          expect(after === before || after >= before + REPLACEMENT_STEP_PER_KW).toBe(true);
          before = after;
        }
      }),
      { numRuns: 100 },
    );
  });
});
