/** How the bench times things: warmed up, in rounds of which the median counts, the floor of each round right after it. */
import type { Floor } from "./floor.ts";

export interface Effort {
  readonly rounds: number;
  /** Time of one round. */
  readonly roundMs: number;
  readonly warmUpMs: number;
}

export const FULL: Effort = { rounds: 15, roundMs: 120, warmUpMs: 600 };
export const QUICK: Effort = { rounds: 3, roundMs: 15, warmUpMs: 30 };

export interface Measured {
  /** Microseconds of one payment round trip, which may carry a batch. */
  readonly micros: number;
  /** Median of the rounds' own ratios, so that a busy machine hurts both sides alike; NaN without a floor. */
  readonly floorRatio: number;
  readonly floorMicros: number;
}

/** Times `run`; `prepare` makes what one run takes, untimed. */
export async function measure<T>(
  effort: Effort,
  prepare: () => T,
  run: (prepared: T) => Promise<void>,
  floor?: Floor,
): Promise<Measured> {
  const first = await timed(1, prepare, run);
  const warm = count(first, effort.warmUpMs);
  const warmed = await timed(warm, prepare, run);
  const perRound = count(warmed, effort.roundMs);
  const times: number[] = [];
  const floors: number[] = [];
  for (let round = 0; round < effort.rounds; round++) {
    times.push(await timed(perRound, prepare, run));
    if (floor !== undefined) floors.push(timedFloor(perRound, floor));
  }
  const ratios = floors.map((time, i) => (times[i] as number) / time);
  return { micros: median(times), floorMicros: median(floors), floorRatio: median(ratios) };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] as number;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

function count(micros: number, wantedMs: number): number {
  return Math.max(1, Math.min(2_000, Math.round((wantedMs * 1000) / micros)));
}

async function timed<T>(
  times: number,
  prepare: () => T,
  run: (prepared: T) => Promise<void>,
): Promise<number> {
  const prepared = Array.from({ length: times }, prepare);
  const start = performance.now();
  for (const one of prepared) await run(one);
  return ((performance.now() - start) * 1000) / times;
}

function timedFloor(times: number, floor: Floor): number {
  const start = performance.now();
  for (let i = 0; i < times; i++) floor.run();
  return ((performance.now() - start) * 1000) / times;
}
