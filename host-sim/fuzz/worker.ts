/** The fuzzer's thread: this file is bundled, with everything that targets run instrumented (build.ts). */
import { parentPort, workerData } from "node:worker_threads";
import { Coverage } from "./coverage.ts";
import { fuzzSlice } from "./loop.ts";
import { reached } from "./minimise.ts";
import { targetNamed } from "./targets/all.ts";

/** What the main thread asks for. */
export interface SliceRequest {
  readonly target: string;
  readonly corpus: readonly Uint8Array[];
  readonly seed: number;
  readonly milliseconds: number;
  readonly maxFindings?: number;
  /** Instead of fuzzing: the smallest of these inputs that reach everything that all of them reach. */
  readonly minimises?: boolean;
}

/** Shared with the main thread: inputs begun, the length of the one that runs, and its bytes. */
export const SHARED_HEAD = 2;
const { shared } = workerData as { readonly shared: SharedArrayBuffer };
const head = new Int32Array(shared, 0, SHARED_HEAD);
const bytes = new Uint8Array(shared, SHARED_HEAD * 4);

function beat(input: Uint8Array): void {
  const length = Math.min(input.length, bytes.length);
  bytes.set(input.subarray(0, length));
  head[1] = length;
  head[0] = ((head[0] as number) + 1) | 0;
}

parentPort?.on("message", async ({ target: name, ...slice }: SliceRequest) => {
  const target = targetNamed(name);
  const coverage = new Coverage();
  if (slice.minimises) {
    parentPort?.postMessage({ kept: await reached(target, slice.corpus, coverage, beat) });
    return;
  }
  parentPort?.postMessage(await fuzzSlice({ ...slice, target }, coverage, beat));
});
