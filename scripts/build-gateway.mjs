/** `npm run build:gateway`: the gateway as JavaScript in dist/gateway, so that a server needs no TypeScript loader and less memory. */
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { buildProgram, ROOT } from "../cli/launch/build.mjs";

const OUT = `${ROOT}${process.argv[2] ?? "dist/gateway"}`;

rmSync(OUT, { recursive: true, force: true });
await buildProgram("cli/main.ts", OUT);
const PROGRAMS = {
  "picobolt-gateway.mjs": `/** Runs the gateway: the words and variables of \`picobolt gateway\`. */
import { main } from "./main.js";
await main(["gateway", ...process.argv.slice(2)]);
`,
  "picobolt.mjs": `/** Runs \`picobolt\`: who runs a gateway needs doctor, macaroon, seed and backup beside it. */
import { main } from "./main.js";
await main(process.argv.slice(2));
`,
};
for (const [name, text] of Object.entries(PROGRAMS)) {
  writeFileSync(`${OUT}/${name}`, `#!/usr/bin/env node\n${text}`);
  chmodSync(`${OUT}/${name}`, 0o755);
  process.stdout.write(`${OUT.slice(ROOT.length)}/${name}\n`);
}
