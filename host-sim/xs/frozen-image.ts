/** The frozen-image rules (DESIGN §5): what a bundle may not do if its modules are to lie in flash, preloaded by Moddable. */
import { parseAst } from "rollup/parseAst";
import type { XsBridge } from "./bridge.ts";
import { capturedAssignments, moduleScopeOf, reassignableNames } from "./module-scope.ts";

/** Contents that flash cannot change, held where the freeze could not reach them to prove that nobody writes. */
const CHANGING_CONTENTS = /\[\[(ArrayBufferData|(Weak)?(Map|Set)Data|DateValue)\]\]$/;
const CLOSURE_VARIABLE = /\[\[Environment\]\]\.([^.[]+)$/;

/** Module-level `let` and `var`, which would be constants in flash. */
export function reassignableModuleVariables(code: string): readonly string[] {
  return reassignableNames(moduleScopeOf(parseAst(code)).statements);
}

/** Freezes the module state inside the worker and returns one line for each breach of the rules. */
export async function freezeImage(
  bridge: XsBridge,
  coreScript: string,
): Promise<readonly string[]> {
  const misplaced = await lines(bridge, "freeze");
  const assigned = capturedAssignments(parseAst(coreScript));
  const writable = await writableLines(bridge);
  return [
    ...misplaced,
    ...writable.filter((line) => CHANGING_CONTENTS.test(line)),
    // Parameters and functions are variables too; they matter where somebody assigns to them.
    ...writable.filter((line) => assigned.has(CLOSURE_VARIABLE.exec(line)?.[1] ?? "")),
  ];
}

/** What is still writable; after work it must be the same list, or something at module level has grown. */
export function writableLines(bridge: XsBridge): Promise<readonly string[]> {
  return lines(bridge, "writable-state");
}

async function lines(bridge: XsBridge, name: string): Promise<readonly string[]> {
  const { parts } = await bridge.call(name);
  return parts.map((part) => Buffer.from(part).toString("latin1"));
}
