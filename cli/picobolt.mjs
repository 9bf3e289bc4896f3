#!/usr/bin/env node
/** The `picobolt` command: registers the TypeScript loader and hands over to main.ts. */
import { register } from "tsx/esm/api";

register();
const { main } = await import("./main.ts");
await main(process.argv.slice(2));
