/** The corpus on disk: one file for each target, one input in hex a line, small enough to be read in a review. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";

export const CORPUS = join(import.meta.dirname, "../../test/fuzz/corpus");

export function loadCorpus(target: string, folder = CORPUS): readonly Uint8Array[] {
  let text: string;
  try {
    text = readFileSync(join(folder, `${target}.hex`), "utf8");
  } catch {
    return [];
  }
  return text.split("\n").filter(Boolean).map(fromHex);
}

/** Shortest first, each line once. */
export function saveCorpus(target: string, inputs: readonly Uint8Array[], folder = CORPUS): void {
  mkdirSync(folder, { recursive: true });
  const lines = [...new Set(inputs.map(toHex))].sort(
    (a, b) => a.length - b.length || (a < b ? -1 : 1),
  );
  writeFileSync(join(folder, `${target}.hex`), `${lines.join("\n")}\n`);
}
