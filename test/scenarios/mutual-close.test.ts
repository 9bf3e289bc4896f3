/** A channel that both sides agree to end (BOLT 2 "Channel Close"): on both chains, to the last satoshi. */
import { expect, it } from "vitest";
import { CHANNEL_TYPES, scenarios } from "../support/scenario-lab.ts";

scenarios("a mutual close", (on) => {
  it.each(CHANNEL_TYPES)("%s: pays both balances, the closer pays the fee", async (channelType) => {
    const s = await on.make(`mutual ${channelType}`, { channelType });
    s.push("a", 100_000_000);

    s.a.node.command(s.id, { type: "close", feeratePerKw: 500 });
    await s.rest();
    const end = await s.toTheEnd();

    expect(end.b).toBe(600_000);
    expect(end.a + end.shared).toBe(400_000);
    expect(end.shared).toBeGreaterThan(300);
    expect(s.a.events("closed")[0]?.ending).toBe("mutual");
    expect(s.b.events("closed")[0]?.ending).toBe("mutual");
    expect(s.troubles).toEqual([]);
  });

  it.each(CHANNEL_TYPES)("%s: waits for HTLCs under way", async (channelType) => {
    const s = await on.make(`mutual pending ${channelType}`, { channelType });
    const toBob = await s.addHtlc({ from: "a" });
    const toAlice = await s.addHtlc({ from: "b", amountMsat: 20_000_000 });

    s.b.node.command(s.id, { type: "close", feeratePerKw: 500 });
    await s.rest();
    await s.mine(1);
    expect(s.a.events("closing")).toEqual([]);
    s.fulfill(toBob);
    s.a.node.command(s.id, { type: "failHtlc", htlcId: toAlice.id, reason: new Uint8Array(1) });
    await s.rest();
    expect(s.a.events("closing").length).toBe(1);
    const end = await s.toTheEnd();

    expect(end.a).toBe(450_000);
    expect(end.b + end.shared).toBe(550_000);
    expect(s.b.events("htlcFailed").length).toBe(1);
    expect(s.troubles).toEqual([]);
  });

  it("whose closer dies before it is in a block is published by the other", async () => {
    const s = await on.make("mutual, closer dies");
    s.a.node.command(s.id, { type: "close", feeratePerKw: 500 });
    s.flow();
    await s.a.stop();
    await s.rest();

    const end = await s.toTheEnd([s.b]);

    expect(end.b).toBe(500_000);
    await s.a.restart();
    expect(s.a.events("closed").at(-1)?.ending).toBe("mutual");
    expect(s.troubles).toEqual([]);
  });
});
