/** Both nodes die after every block and start again from what they stored: the chain tells them the rest (BOLT 5). */
import { expect, it } from "vitest";
import type { ChainNode } from "../support/chain-node.ts";
import type { Scenario } from "../support/scenario.ts";
import { scenarios } from "../support/scenario-lab.ts";

const MAX_BLOCKS = 40;

async function toTheEndWithRestarts(s: Scenario, sides: readonly ChainNode[]) {
  for (let i = 0; i < MAX_BLOCKS; i++) {
    if (sides.every(({ node }) => node.channels().length === 0)) return s.account();
    await s.mine(1);
    for (const side of sides) {
      await side.stop();
      await side.restart();
    }
  }
  throw new Error(`no end after ${MAX_BLOCKS} blocks`);
}

scenarios("restarts", (on) => {
  it("change nothing about HTLCs on chain", async () => {
    const s = await on.make("restarts");
    const toBob = await s.addHtlc({ from: "a", expiresIn: 12 });
    await s.addHtlc({ from: "b", amountMsat: 20_000_000, expiresIn: 12 });
    s.disconnect();
    s.fulfill(toBob);
    await s.forceClose("a");

    const end = await toTheEndWithRestarts(s, [s.a, s.b]);

    expect(end).toMatchObject({ a: 450_000, b: 550_000 });
    expect(s.a.events("htlcFulfilled").length).toBe(1);
    expect(s.b.events("htlcFailed").length).toBe(1);
    expect(s.a.events("fundingReorganised")).toEqual([]); // it was only read again
    expect(s.troubles).toEqual([]);
  });

  it("change nothing about a punishment", async () => {
    const s = await on.make("restarts, revoked", { channelType: "anchors" });
    const toBob = await s.addHtlc({ from: "a", expiresIn: 30 });
    const ghost = await s.ghost("b");
    s.fulfill(toBob);
    s.push("b", 400_000_000);
    ghost.node.command(s.id, { type: "forceClose" });
    await ghost.publisher.idle();
    await ghost.stop();
    await s.b.stop();

    const end = await toTheEndWithRestarts(s, [s.a]);

    expect(end.b).toBe(0);
    expect(s.troubles).toEqual([]);
  });
});
