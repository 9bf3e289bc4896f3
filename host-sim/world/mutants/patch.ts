/** Applies a mutant to the text of production code, in memory alone: the files stay as they are. */
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { Plugin } from "esbuild";
import type { Mutant } from "./mutant.ts";

export const ROOT = join(import.meta.dirname, "../../..");

/** A mutant that no longer fits the code it was written for. */
export class MutantError extends Error {
  override readonly name = "MutantError";
}

/** The changed text of each file that the mutant touches, by its path from the root. */
export function patched({ name, edits }: Mutant): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const { file, old, new: text } of edits) {
    const before = files.get(file) ?? readFileSync(join(ROOT, file), "utf8");
    const times = before.split(old).length - 1;
    if (times !== 1) {
      throw new MutantError(
        `mutant ${name}: its old text stands ${times} times in ${file}, not once: ` +
          "write the mutant anew for the code as it is (host-sim/world/mutants)",
      );
    }
    files.set(
      file,
      before.replace(old, () => text),
    );
  }
  return files;
}

/** For esbuild: reads the changed text in the place of the file. */
export function mutating(mutant: Mutant): Plugin {
  const files = patched(mutant);
  return {
    name: `mutant-${mutant.name}`,
    setup({ onLoad }) {
      onLoad({ filter: /\/(core|firmware|gateway)\/.*\.ts$/ }, ({ path }) => {
        const contents = files.get(relative(ROOT, path));
        return contents === undefined ? undefined : { contents, loader: "ts" };
      });
    },
  };
}
