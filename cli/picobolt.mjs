#!/usr/bin/env node
/** The `picobolt` command: hands over to main.ts. */
import { launch } from "./launch/launch.mjs";

const { main } = await launch("cli/main.ts");
await main(process.argv.slice(2));
