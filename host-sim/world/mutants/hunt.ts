/** Runs worlds of a mutant until a checker notices it, or as many as it states. */
import { rmSync } from "node:fs";
import { LATER, type Narrowing, worldOptions } from "../options.ts";
import { buildWorker, SimThread } from "../pool.ts";
import type { Failure } from "../world.ts";
import type { Mutant } from "./mutant.ts";
import { mutating } from "./patch.ts";

export interface Hunted {
  readonly name: string;
  readonly breaks: string;
  readonly caught: boolean;
  /** That noticed it. */
  readonly checker?: string;
  readonly text?: string;
  readonly seed?: number;
  /** Worlds that it took, of those stated. */
  readonly worlds: number;
  readonly seeds: number;
  readonly seconds: number;
}

/** Beyond it a mutant would state nothing. */
const MAX_SEED = 100_000;

/** Without the classes that came later, unless it needs them: its seeds stay what they are when others are added. */
function narrowingOf({ needs = [] }: Mutant): Narrowing {
  return { without: [...LATER].filter((name) => !needs.includes(name)) };
}

/** Those in which it must be caught, in the order in which they are tried. */
export function seedsOf({ seeds, first, needs = [] }: Mutant): readonly number[] {
  const chosen = first === undefined ? [] : [first];
  for (let seed = 1; chosen.length < seeds && seed < MAX_SEED; seed++) {
    const { classes } = worldOptions(seed);
    if (seed !== first && needs.every((name) => classes.has(name))) chosen.push(seed);
  }
  return chosen;
}

export async function hunt(mutant: Mutant): Promise<Hunted> {
  const startedAt = performance.now();
  const { name, breaks, seeds } = mutant;
  const file = await buildWorker(`mutant-${name}`, [mutating(mutant)]);
  const thread = new SimThread(file);
  let worlds = 0;
  let found: { readonly seed: number; readonly failure: Failure } | undefined;
  const narrowing = narrowingOf(mutant);
  for (const seed of seedsOf(mutant)) {
    const { verdict } = await thread.run({ seed, narrowing });
    worlds++;
    if (!verdict.failure) continue;
    found = { seed, failure: verdict.failure };
    break;
  }
  await thread.end();
  rmSync(file, { force: true });
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  const sums = { name, breaks, worlds, seeds, seconds };
  if (!found) return { ...sums, caught: false };
  const { checker, text } = found.failure;
  return { ...sums, caught: true, checker, text, seed: found.seed };
}
