/** The program beside a device's own bundle inside the XS worker: drives the node that dist/core.js exports. */
import { listen } from "./agent-calls.ts";
import { serveNode } from "./node-calls.ts";
import type { CoreParts } from "./portable-node.ts";

/** Called with the bundle's exports when it is loaded. */
export function run(core: CoreParts): void {
  serveNode(core);
  listen();
}
