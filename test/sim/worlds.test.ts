/** Simulated worlds keep every promise, are the same twice, and catch a disk that lies. */
import { expect, test } from "vitest";
import { LATER, worldOptions } from "../../host-sim/world/options.ts";
import { runWorld } from "../../host-sim/world/run.ts";
import { commandOf, numbersOf, rangesOf, shrink } from "../../host-sim/world/shrink.ts";

/** Seeds that found something once, when there were fewer classes of faults. */
const KEPT = [11, 31, 465];
const EARLY = { without: [...LATER] };
/** A first record is lost with the power, and its channel's keys serve the next one: nothing was signed with them. */
const LOST_RECORD = [220, { without: ["carriers", "devices", "policies"], steps: 121 }] as const;
/** A few; many more live beside a whole run of the tests (scripts/worlds-beside.ts). */
const SEEDS = Array.from({ length: 5 }, (_, i) => 2_001 + i);
const TIMEOUT_MS = 240_000;

test("no promise breaks in some worlds", { timeout: TIMEOUT_MS }, async () => {
  let paid = 0;
  const kept = KEPT.map((seed) => [seed, EARLY] as const);
  for (const [seed, narrowing] of [
    LOST_RECORD,
    ...kept,
    ...SEEDS.map((seed) => [seed, {}] as const),
  ]) {
    const { failure, payments } = await runWorld(seed, narrowing);
    expect(failure, `again: ${commandOf(seed, narrowing)}`).toBeUndefined();
    paid += payments;
  }
  expect(paid).toBeGreaterThan(SEEDS.length * 10);
});

test("a seed is the same world every time, to the last line", { timeout: TIMEOUT_MS }, async () => {
  for (const seed of [9, 30]) {
    const lines: string[] = [];
    const once = await runWorld(seed, {}, (line) => void lines.push(line));
    const again = await runWorld(seed);
    expect(lines.length).toBeGreaterThan(100);
    expect(again).toEqual(once);
  }
});

test("a disk that reports a commit which it lost is caught, and the failure made small", {
  timeout: TIMEOUT_MS,
}, async () => {
  const plant = "lost-commit" as const;
  const verdict = await runWorld(3, { plant, ...EARLY });
  expect(verdict.failure?.text).toBe("n0: commitment_signed left before it was stored");
  const { narrowing } = await shrink(verdict, { plant, ...EARLY });
  const { steps, classes } = worldOptions(3, narrowing);
  expect(steps).toBeLessThan(worldOptions(3).steps);
  expect(classes.size).toBeLessThan(worldOptions(3, EARLY).classes.size);
  expect(commandOf(3, narrowing)).toContain(`npm run sim -- --seed 3 --steps ${steps}`);
});

test("steps to skip are written as ranges", () => {
  expect(rangesOf([9, 1, 2, 3])).toBe("1-3,9");
  expect(numbersOf("1-3,9")).toEqual([1, 2, 3, 9]);
  expect(() => numbersOf("3-x")).toThrow(/"3-x" is no range/);
});
