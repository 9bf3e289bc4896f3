/** Fetches and builds what the tests need beside npm's packages, into .cache: the XS worker and a bitcoind. */
import { provideBitcoind } from "../gateway/chain/bitcoind/provision.ts";
import { buildXsCryptoWorker, buildXsWorker } from "../host-sim/xs/build.ts";

const steps: readonly (readonly [string, () => Promise<string>])[] = [
  ["XS worker", () => buildXsWorker()],
  ["XS worker with crypto in C", () => buildXsCryptoWorker()],
  ["bitcoind", bitcoind],
];

for (const [name, prepare] of steps) {
  try {
    console.log(`${name}: ${await prepare()}`);
  } catch (error) {
    console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}

/** PICOBOLT_NO_BITCOIND=<why> does without: the tests on a real node are then skipped by name. */
async function bitcoind(): Promise<string> {
  const without = process.env.PICOBOLT_NO_BITCOIND;
  if (without !== undefined && without !== "") return `none (${without})`;
  const { command, leadingArguments, origin } = await provideBitcoind({ onProgress: console.log });
  const program = leadingArguments.at(-1) ?? command;
  return `${program} (${origin})`;
}
