/** `node scripts/run.mjs <program.ts> [words]`: a program of the project in its own process, built at most once. */
import { relative, resolve } from "node:path";
import { launch } from "../cli/launch/launch.mjs";

process.argv.splice(1, 1);
const [, program] = process.argv;
await launch(relative(resolve(import.meta.dirname, ".."), resolve(program)));
