/** One chain for all stories of a file, one scenario at a time. */
import { afterAll, afterEach, beforeAll } from "vitest";
import { type ChainLab, createLab, describeOnChains } from "./chain-lab.ts";
import { Scenario, type ScenarioOptions } from "./scenario.ts";

export const CHANNEL_TYPES = ["zero_fee_commitments", "anchors", "static_remotekey"] as const;

const START_TIMEOUT_MS = 330_000; // a first run may download the node

export interface ScenarioLab {
  readonly lab: ChainLab;
  /** A fresh pair of nodes with a channel; stopped after the test. */
  make(title: string, options?: ScenarioOptions): Promise<Scenario>;
}

/** The stories of `tell`, on each chain. */
export function scenarios(title: string, tell: (on: ScenarioLab) => void): void {
  describeOnChains(title, (kind) => {
    let lab: ChainLab | undefined;
    const made: Scenario[] = [];
    beforeAll(async () => {
      lab = await createLab({ chain: kind });
    }, START_TIMEOUT_MS);
    afterEach(async () => {
      for (const scenario of made.splice(0)) await scenario.close();
    });
    afterAll(() => lab?.close());
    tell({
      get lab() {
        if (!lab) throw new Error("the chain is not there yet");
        return lab;
      },
      async make(name, options) {
        const scenario = await Scenario.make(this.lab, name, options);
        made.push(scenario);
        return scenario;
      },
    });
  });
}
