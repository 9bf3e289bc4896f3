/** Fetches and builds what the tests need beside npm's packages, into .cache: the XS worker and a bitcoind. */
import { buildXsWorker } from "../host-sim/xs/build.ts";

const steps: readonly (readonly [string, () => Promise<string>])[] = [
  ["XS worker", () => buildXsWorker()],
];

for (const [name, prepare] of steps) {
  try {
    console.log(`${name}: ${await prepare()}`);
  } catch (error) {
    console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
