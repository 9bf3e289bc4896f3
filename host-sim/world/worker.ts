/** A thread of `npm run sim`: runs one world after the other, and makes failures small. */
import { parentPort } from "node:worker_threads";
import type { Narrowing } from "./options.ts";
import { runWorld, type Verdict } from "./run.ts";
import { type Shrunk, shrink } from "./shrink.ts";

export interface SimRequest {
  readonly seed: number;
  readonly narrowing: Narrowing;
  /** Makes a failure of an earlier run small. */
  readonly shrinks?: Verdict;
}

export interface SimAnswer {
  readonly verdict: Verdict;
  readonly shrunk?: Shrunk;
}

parentPort?.on("message", async ({ seed, narrowing, shrinks }: SimRequest) => {
  const answer: SimAnswer = shrinks
    ? { verdict: shrinks, shrunk: await shrink(shrinks, narrowing) }
    : { verdict: await runWorld(seed, narrowing) };
  parentPort?.postMessage(answer);
});
