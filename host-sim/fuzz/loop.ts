/** One target's fuzzing for a while: mutate, run, keep what reaches something new. */

import { Random } from "../random.ts";
import type { Coverage } from "./coverage.ts";
import { mutated } from "./mutate.ts";
import { type FuzzTarget, findingOf, SLOW_MS } from "./target.ts";

export interface Finding {
  readonly target: string;
  readonly input: Uint8Array;
  /** The error's stack, or how long it took. */
  readonly text: string;
}

export interface Slice {
  readonly target: FuzzTarget;
  readonly corpus: readonly Uint8Array[];
  readonly seed: number;
  readonly milliseconds: number;
  /** At most so many inputs; for tests, which count instead of measuring. */
  readonly maxExecutions?: number;
  /** It stops when it has so many. */
  readonly maxFindings?: number;
}

export interface SliceResult {
  readonly executions: number;
  /** Inputs that reached something new, oldest first. */
  readonly added: readonly Uint8Array[];
  readonly findings: readonly Finding[];
  /** Pairs of counter and magnitude that were seen. */
  readonly seen: number;
}

/** Told of every input before it runs: whoever ends us where one never returns, knows which. */
export type Beat = (input: Uint8Array) => void;

const USUAL_FINDINGS = 4;
const CLOCK_EVERY = 64;

export async function fuzzSlice(
  slice: Slice,
  coverage: Coverage,
  beat: Beat,
): Promise<SliceResult> {
  const { target, seed, milliseconds, maxExecutions = Number.POSITIVE_INFINITY } = slice;
  const random = new Random(seed);
  const corpus: Uint8Array[] = [];
  const added: Uint8Array[] = [];
  const findings = new Map<string, Finding>();
  const until = performance.now() + milliseconds;
  const { dictionary = [], maxBytes } = target;
  const { maxFindings = USUAL_FINDINGS } = slice;
  let executions = 0;
  const attempt = async (input: Uint8Array): Promise<boolean> => {
    executions++;
    beat(input);
    coverage.clear();
    const text = await outcome(target, input);
    if (text === undefined) return coverage.isNew();
    const place = placeOf(text);
    if (!findings.has(place)) findings.set(place, { target: target.name, input, text });
    return false;
  };
  for (const input of [...target.seeds(), ...slice.corpus]) {
    if (input.length <= maxBytes && (await attempt(input))) corpus.push(input);
  }
  while (executions < maxExecutions && findings.size < maxFindings) {
    if (executions % CLOCK_EVERY === 0 && performance.now() > until) break;
    const input = mutated({ random, corpus, dictionary, maxBytes });
    if (!(await attempt(input))) continue;
    corpus.push(input);
    added.push(input);
  }
  return { executions, added, findings: [...findings.values()], seen: coverage.seenCount };
}

async function outcome(target: FuzzTarget, input: Uint8Array): Promise<string | undefined> {
  const limit = target.slowMs ?? SLOW_MS;
  let took = 0;
  // A machine that was busy elsewhere is no finding: all of three runs must be slow.
  for (let run = 0; run < 3; run++) {
    const startedAt = performance.now();
    const error = await findingFast(target, input);
    took = performance.now() - startedAt;
    if (error !== undefined) return describe(target, input, error);
    if (took <= limit) return undefined;
  }
  return `SlowInput: ${input.length} bytes took ${Math.round(took)} ms three times, ${limit} are allowed`;
}

/** Most inputs end in a refusal, and what a refusal costs is mostly its stack, which nobody reads. */
function findingFast(target: FuzzTarget, input: Uint8Array): unknown | Promise<unknown> {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return findingOf(target, input);
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** With the stack of a second run; where that one ends well, the first is told. */
async function describe(target: FuzzTarget, input: Uint8Array, first: unknown): Promise<string> {
  const again = await findingOf(target, input);
  const error = again ?? first;
  const text = error instanceof Error ? (error.stack ?? String(error)) : String(error);
  return again === undefined ? `not at a second run: ${text}` : text;
}

/** Where it was thrown: the words of one error may hold numbers of the input's. */
function placeOf(text: string): string {
  const frames = text.split("\n").filter((line) => line.startsWith("    at "));
  return frames.length > 0 ? frames.slice(0, 4).join(" ") : text.replace(/\d+/g, "");
}
