/** A small corpus that reaches what a large one reached. */
import type { Coverage } from "./coverage.ts";
import type { Beat } from "./loop.ts";
import { type FuzzTarget, findingOf } from "./target.ts";

/** Inputs and bytes in all that one target keeps in the repository. */
const MAX_INPUTS = 96;
const MAX_BYTES = 12_000;

/** Those inputs, shortest first, that reach something that no shorter one and none of the seeds reach. */
export async function reached(
  target: FuzzTarget,
  corpus: readonly Uint8Array[],
  coverage: Coverage,
  beat: Beat,
): Promise<readonly Uint8Array[]> {
  const isNew = async (input: Uint8Array): Promise<boolean> => {
    beat(input);
    coverage.clear();
    return (await findingOf(target, input)) === undefined && coverage.isNew();
  };
  for (const seed of target.seeds()) await isNew(seed);
  const kept: Uint8Array[] = [];
  let room = MAX_BYTES;
  for (const input of [...corpus].sort((a, b) => a.length - b.length)) {
    if (kept.length === MAX_INPUTS || input.length > room) break;
    if (!(await isNew(input))) continue;
    kept.push(input);
    room -= input.length;
  }
  return kept;
}
