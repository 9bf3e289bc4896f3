/** Two nodes, two updates, one lost link and one lost process anywhere: every interleaving ends in agreement (BOLT 2 "Normal Operation", "Message Retransmission"). */
import { describe, expect, test } from "vitest";
import { explore } from "./explore.ts";
import { nameOf } from "./plan.ts";
import { someCases } from "./sets.ts";
import { Stage } from "./stage.ts";

describe("every order of messages, of a lost link and of a power cut", { timeout: 240_000 }, () => {
  test.each(
    someCases.map((one) => ({ ...one, name: `${nameOf(one.plan)} over ${one.channelType}` })),
  )("$name", async ({ channelType, plan }) => {
    const found = explore(await Stage.make(channelType, plan), { cuts: 1, crashes: 1 });

    const { states, transitions, ends, endings } = found;
    console.log(`${nameOf(plan)}: ${states} states, ${transitions} transitions, ${ends} ends`);
    // A lost link may take either update with it, and no other way of ending was found.
    expect(endings).toContain("done, done");
    expect(endings).toContain("not done, not done");
    expect(transitions).toBeGreaterThan(states);
    expect(states).toBeGreaterThan(4_000);
  });

  test("with nothing that fails both updates always happen", async () => {
    for (const { channelType, plan } of someCases) {
      const found = explore(await Stage.make(channelType, plan), { cuts: 0, crashes: 0 });
      expect(found.endings).toEqual(["done, done"]);
    }
  });
});
