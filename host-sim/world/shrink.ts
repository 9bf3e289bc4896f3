/** Makes a failure small: fewer steps, fewer classes of faults, fewer actions, as long as the same promise breaks. */
import { CLASSES, type Narrowing, worldOptions } from "./options.ts";
import { runWorld, type Verdict } from "./run.ts";

export interface Shrunk {
  readonly narrowing: Narrowing;
  readonly verdict: Verdict;
  readonly runs: number;
}

const MAX_RUNS = 80;

/** `verdict` is of the world as it was first drawn. */
export async function shrink(verdict: Verdict, given: Narrowing = {}): Promise<Shrunk> {
  const { seed, failure } = verdict;
  if (!failure) return { narrowing: given, verdict, runs: 0 };
  let best: Shrunk = { narrowing: given, verdict, runs: 0 };
  let runs = 0;
  const tries = async (narrowing: Narrowing): Promise<boolean> => {
    if (runs >= MAX_RUNS) return false;
    runs++;
    const next = await runWorld(seed, narrowing);
    if (next.failure?.checker !== failure.checker) return false;
    best = { narrowing, verdict: next, runs };
    return true;
  };
  for (const steps of fewerSteps(worldOptions(seed, given).steps, failure.step)) {
    if (await tries({ ...best.narrowing, steps })) break;
  }
  for (const name of CLASSES) {
    const { without = [] } = best.narrowing;
    const isOn = worldOptions(seed, best.narrowing).classes.has(name);
    if (isOn) await tries({ ...best.narrowing, without: [...without, name] });
  }
  const { steps } = worldOptions(seed, best.narrowing);
  for (let size = Math.ceil(steps / 2); size >= 1 && runs < MAX_RUNS; size = size >> 1) {
    for (let from = 1; from <= steps; from += size) {
      const { skipped = [] } = best.narrowing;
      const more = range(from, Math.min(steps, from + size - 1));
      if (more.every((step) => skipped.includes(step))) continue;
      await tries({ ...best.narrowing, skipped: [...new Set([...skipped, ...more])] });
    }
  }
  return { ...best, runs };
}

/** The command that runs it again. */
export function commandOf(seed: number, { without, steps, skipped, plant }: Narrowing): string {
  const words = ["npm run sim --", `--seed ${seed}`];
  if (steps !== undefined) words.push(`--steps ${steps}`);
  if (without && without.length > 0) words.push(`--without ${without.join()}`);
  if (skipped && skipped.length > 0) words.push(`--skip ${rangesOf(skipped)}`);
  if (plant) words.push(`--plant ${plant}`);
  return [...words, "--trace"].join(" ");
}

/** "1-4,7" */
export function rangesOf(numbers: readonly number[]): string {
  const sorted = [...numbers].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length; i++) {
    const from = sorted[i] as number;
    while (sorted[i + 1] === (sorted[i] as number) + 1) i++;
    const to = sorted[i] as number;
    parts.push(from === to ? String(from) : `${from}-${to}`);
  }
  return parts.join();
}

export function numbersOf(ranges: string): readonly number[] {
  return ranges.split(",").flatMap((part) => {
    const [from, to = from] = part.split("-").map(Number) as [number, number?];
    if (!(from >= 0) || !(to >= from)) throw new RangeError(`"${part}" is no range of steps`);
    return range(from, to);
  });
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** The shortest first. */
function fewerSteps(steps: number, failedAt: number): readonly number[] {
  const all = [steps >> 3, steps >> 2, steps >> 1, (steps * 3) >> 2, failedAt];
  return all.filter((count) => count > 0 && count < steps).sort((a, b) => a - b);
}
