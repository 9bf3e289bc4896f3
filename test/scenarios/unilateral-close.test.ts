/** One side publishes its commitment, at every point of a channel's life (BOLT 5): both get what is theirs. */
import { expect, it } from "vitest";
import { satoshi } from "../../core/primitives/brands.ts";
import { payment } from "../support/node-pair.ts";
import type { Scenario } from "../support/scenario.ts";
import { CHANNEL_TYPES, scenarios } from "../support/scenario-lab.ts";

const SIDES = ["a", "b"] as const;
const CASES = CHANNEL_TYPES.flatMap((type) => SIDES.map((side) => [type, side] as const));

/** The closer is alone with the chain: the other side learns of it there. */
async function closeAlone(s: Scenario, side: "a" | "b"): Promise<void> {
  s.disconnect();
  await s.forceClose(side);
  await s.mine(1);
  const other = side === "a" ? "b" : "a";
  expect(s[side].events("onChain").at(-1)?.ending).toBe("local");
  expect(s[other].events("onChain").at(-1)?.ending).toBe("remote");
}

scenarios("a unilateral close", (on) => {
  it.each(CASES)("%s, idle, by %s", async (channelType, side) => {
    const s = await on.make(`idle ${channelType} ${side}`, { channelType });
    s.push("a", 100_000_000);
    s.push("b", 1_000_500);

    await closeAlone(s, side);
    const end = await s.toTheEnd();

    // The opener pays the commitment's fee and its anchors; fractions of a satoshi are nobody's.
    expect(end.b).toBe(598_999);
    expect(401_000 - end.a).toBeLessThan(channelType === "zero_fee_commitments" ? 2 : 2_000);
    expect(s.troubles).toEqual([]);
  });

  it.each(CASES)("%s, before channel_ready, by %s", async (channelType, side) => {
    const s = await on.make(`unready ${channelType} ${side}`, {
      channelType,
      policyA: { minimumDepth: 3 },
      policyB: { minimumDepth: 3 },
    });
    expect(s[side].record(s.id).phase).toBe("awaiting-funding");

    await closeAlone(s, side);
    const end = await s.toTheEnd();

    expect(end.b).toBe(500_000);
    expect(s.troubles).toEqual([]);
  });

  it("before the funding confirms waits for it", async () => {
    const s = await on.make("unfunded", { confirm: false });
    s.disconnect();
    await s.forceClose("a");
    await s.mine(3);

    const end = await s.toTheEnd();

    expect(end).toMatchObject({ a: 500_000, b: 500_000, shared: 0 });
    expect(s.troubles).toEqual([]);
  });

  it.each(CASES)("%s, an update half signed, by %s", async (channelType, side) => {
    const s = await on.make(`half signed ${channelType} ${side}`, { channelType });
    s.a.node.command(s.id, { type: "push", payments: payment(100_000_000) });
    // Bob has the new commitment; alice has yet to hear that he revoked the old one.
    s.flowUntil(() => s.b.record(s.id).localNumber === 1);
    expect(s.a.record(s.id).awaitingRevocation).toBe(true);

    await closeAlone(s, side);
    const end = await s.toTheEnd();

    // Alice's own newest commitment does not know the push, bob's does.
    expect(end.b).toBe(side === "a" ? 500_000 : 600_000);
    expect(s.troubles).toEqual([]);
  });

  it("by the payee, who keeps the old commitment that is not revoked", async () => {
    const s = await on.make("half signed, old");
    s.a.node.command(s.id, { type: "push", payments: payment(100_000_000) });
    s.flowUntil(() => s.a.record(s.id).awaitingRevocation);
    expect(s.b.record(s.id).localNumber).toBe(0);

    await closeAlone(s, "b");
    const end = await s.toTheEnd();

    expect(end.b).toBe(500_000);
    expect(s.troubles).toEqual([]);
  });

  it.each(CASES)("%s, HTLCs both ways, by %s", async (channelType, side) => {
    const s = await on.make(`htlcs ${channelType} ${side}`, { channelType });
    const toBob = await s.addHtlc({ from: "a" });
    await s.addHtlc({ from: "a", amountMsat: 30_000_000 });
    const toAlice = await s.addHtlc({ from: "b", amountMsat: 20_000_000 });
    await s.addHtlc({ from: "b", amountMsat: 10_000_000 });

    s.disconnect();
    s.fulfill(toBob);
    s.fulfill(toAlice);
    await s.forceClose(side);
    const end = await s.toTheEnd();

    // Alice: her half without both offers, one of them back, and bob's fulfilled one.
    const fees = channelType === "zero_fee_commitments" ? 0 : 4_000;
    expect(470_000 - end.a).toBeGreaterThanOrEqual(0);
    expect(470_000 - end.a).toBeLessThanOrEqual(fees);
    expect(end.b).toBe(530_000);
    for (const node of [s.a, s.b]) {
      expect(node.events("htlcFulfilled").length).toBe(1);
      expect(node.events("htlcFailed").length).toBe(1);
    }
    expect(s.troubles).toEqual([]);
  });

  it.each(SIDES)("during shutdown, by %s", async (side) => {
    const s = await on.make(`shutdown ${side}`);
    const htlc = await s.addHtlc({ from: "a" });
    s.a.node.command(s.id, { type: "close", feeratePerKw: 500 });
    await s.rest();
    expect(s.b.record(s.id).phase).toBe("closing");

    await closeAlone(s, side);
    s.b.node.command(s.id, { type: "fulfillHtlc", htlcId: htlc.id, preimage: htlc.preimage });
    const end = await s.toTheEnd();

    expect(end).toMatchObject({ a: 450_000, b: 550_000 });
    expect(s.b.events("rejected")).toEqual([]);
    expect(s.troubles).toEqual([]);
  });

  it.each(CHANNEL_TYPES)("%s, by both at once: one of them confirms", async (channelType) => {
    const s = await on.make(`both ${channelType}`, { channelType });
    // The error that tells of the close makes the other publish too.
    await s.forceClose("a");
    expect(s.b.events("forceClosing").length).toBe(1);

    const end = await s.toTheEnd();

    expect(end.b).toBe(500_000);
    const endings = [s.a, s.b].map((node) => node.events("closed")[0]?.ending);
    expect(endings.sort()).toEqual(["local", "remote"]);
    expect(s.troubles).toEqual([]);
  });

  it("gives up what is not worth its fee, and says so", async () => {
    const s = await on.make("dust", {
      pushMsat: 400_000,
      policyA: { dustLimitSatoshis: satoshi(354) },
    });

    await closeAlone(s, "a");
    const end = await s.toTheEnd();

    const given = s.b.events("closed")[0]?.outputs.find(({ kind }) => kind === "to-remote");
    expect(given).toMatchObject({ status: "abandoned", amount: 400 });
    expect(given?.reason).toMatch(/400 sat are not worth the fee/);
    expect(end.left.map(({ amount }) => amount)).toEqual([400]);
    expect(s.troubles).toEqual([]);
  });
});
