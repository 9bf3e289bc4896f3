/** How the bench times things: warmed up, in rounds of which the median counts, the floor of each round right after it. */
import { readFileSync } from "node:fs";
import type { Floor } from "./floor.ts";

export interface Effort {
  readonly rounds: number;
  /** Time of one round. */
  readonly roundMs: number;
  readonly warmUpMs: number;
}

export const FULL: Effort = { rounds: 15, roundMs: 120, warmUpMs: 2_000 };
export const QUICK: Effort = { rounds: 4, roundMs: 30, warmUpMs: 30 };

export interface Measured {
  /** Microseconds of one payment round trip, which may carry a batch. */
  readonly micros: number;
  /** Of all rounds together, in this thread's own time: other programs do not disturb it. NaN or infinite without a floor. */
  readonly floorRatio: number;
  readonly floorMicros: number;
  /** As `micros`, in this thread's own time on a processor. */
  readonly threadMicros: number;
}

interface Round {
  readonly wallMicros: number;
  readonly threadMicros: number;
}

/** Times `run`; `prepare` makes what one run takes, untimed. */
export async function measure<T>(
  effort: Effort,
  prepare: () => T,
  run: (prepared: T) => Promise<void>,
  floor?: Floor,
): Promise<Measured> {
  const first = await timed(1, prepare, run);
  const warmed = await timed(count(first, effort.warmUpMs), prepare, run);
  const perRound = count(warmed, effort.roundMs);
  const payments: Round[] = [];
  const floors: Round[] = [];
  for (let round = 0; round < effort.rounds; round++) {
    payments.push(await timed(perRound, prepare, run));
    if (floor !== undefined) floors.push(await timed(perRound, () => floor, runFloor));
  }
  const sum = (rounds: readonly Round[]) => rounds.reduce((all, one) => all + one.threadMicros, 0);
  const wall = (rounds: readonly Round[]) => median(rounds.map(({ wallMicros }) => wallMicros));
  return {
    micros: wall(payments),
    floorMicros: wall(floors),
    threadMicros: median(payments.map(({ threadMicros }) => threadMicros)),
    floorRatio: sum(payments) / sum(floors),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] as number;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

function count({ wallMicros }: Round, wantedMs: number): number {
  return Math.max(1, Math.min(4_000, Math.round((wantedMs * 1000) / wallMicros)));
}

async function timed<T>(
  times: number,
  prepare: () => T,
  run: (prepared: T) => Promise<void>,
): Promise<Round> {
  const prepared = Array.from({ length: times }, prepare);
  const wall = performance.now();
  const thread = threadMillis();
  for (const one of prepared) await run(one);
  return {
    threadMicros: ((threadMillis() - thread) * 1000) / times,
    wallMicros: ((performance.now() - wall) * 1000) / times,
  };
}

async function runFloor(floor: Floor): Promise<void> {
  floor.run();
}

/** Time that this thread spent on a processor, where the system tells it (Linux, to some milliseconds); else the clock. */
export function threadMillis(): number {
  try {
    const path = `/proc/self/task/${process.pid}/schedstat`;
    return Number(readFileSync(path, "latin1").split(" ")[0]) / 1e6;
  } catch {
    return performance.now();
  }
}
