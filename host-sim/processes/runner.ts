/** What Node runs to have a program of the project in a process of its own: the path of its TypeScript file and its words follow. */
import { fileURLToPath } from "node:url";

export const RUNNER = fileURLToPath(new URL("../../scripts/run.mjs", import.meta.url));
