/** Chains for tests: `createLab` opens one, `describeOnChains` runs the same story on the simulated chain and on a real node. */
import { describe } from "vitest";
import { BitcoindUnavailable, findBitcoind } from "../../gateway/chain/bitcoind/provision.ts";
import { createLab } from "../../host-sim/chain/create-lab.ts";
import type { ChainLab, LabKind } from "../../host-sim/chain/lab.ts";

export type { ChainLab, LabKind };
export { createLab };

/** Runs `story` on both chains; without a bitcoind its half is skipped, and the title says why. */
export function describeOnChains(title: string, story: (kind: LabKind) => void): void {
  describe(`${title} (sim)`, () => story("sim"));
  const absence = bitcoindAbsence();
  if (absence === undefined) describe(`${title} (bitcoind)`, () => story("bitcoind"));
  else describe.skip(`${title} (bitcoind: ${absence})`, () => story("bitcoind"));
}

/** Why there is no bitcoind to test with; undefined where there is one. PICOBOLT_NO_BITCOIND=<why> says so explicitly. */
export function bitcoindAbsence(): string | undefined {
  const told = process.env.PICOBOLT_NO_BITCOIND;
  if (told !== undefined && told !== "") return `skipped, PICOBOLT_NO_BITCOIND=${told}`;
  try {
    findBitcoind();
    return undefined;
  } catch (error) {
    if (error instanceof BitcoindUnavailable) return error.message;
    throw error;
  }
}
