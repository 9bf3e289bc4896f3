/** A cheater publishes a commitment that it has revoked (BOLT 5 "Revoked Transaction Close Handling"): it loses everything. */
import { expect, it } from "vitest";
import type { ChainNode } from "../support/chain-node.ts";
import type { Scenario } from "../support/scenario.ts";
import { CHANNEL_TYPES, scenarios } from "../support/scenario-lab.ts";

/** Bob's copy from before he paid most of his half to alice, and what it would gain him. */
async function cheater(s: Scenario): Promise<ChainNode> {
  const ghost = await s.ghost("b");
  s.push("b", 400_000_000);
  expect(s.a.record(s.id).base.toLocalMsat).toBeGreaterThan(850_000_000);
  return ghost;
}

/** Old state with HTLCs both ways, all of them settled in the newest one; the cheater knows what it needs to claim them. */
async function cheaterWithHtlcs(s: Scenario): Promise<ChainNode> {
  const toBob = await s.addHtlc({ from: "a", expiresIn: 30 });
  const toAlice = await s.addHtlc({ from: "b", amountMsat: 30_000_000, expiresIn: 6 });
  const ghost = await s.ghost("b");
  ghost.node.command(s.id, {
    type: "fulfillHtlc",
    htlcId: toBob.id,
    preimage: toBob.preimage,
  });
  s.fulfill(toBob);
  s.fulfill(toAlice);
  s.push("b", 300_000_000);
  expect(s.a.record(s.id).base.htlcs).toEqual([]);
  return ghost;
}

async function cheat(s: Scenario, ghost: ChainNode): Promise<void> {
  ghost.node.command(s.id, { type: "forceClose" });
  await ghost.publisher.idle();
  expect(ghost.stepsOf("published").length).toBe(1);
}

/** Nothing for bob; what is not alice's went into the fees of the cheater's own transactions. */
async function expectEverything(s: Scenario, victim = s.a): Promise<void> {
  const end = await s.toTheEnd([victim]);
  expect(end.b).toBe(0);
  const left = end.left.reduce((sum, { amount }) => sum + amount, 0);
  expect(end.a + end.shared + end.anchorsSpent + left).toBe(1_000_000);
  expect(end.shared + left).toBeLessThan(3_000);
  expect(victim.events("closed")[0]?.ending).toBe("revoked");
  expect(s.troubles).toEqual([]);
}

scenarios("a revoked commitment", (on) => {
  it.each(CHANNEL_TYPES)("%s: is punished at once", async (channelType) => {
    const s = await on.make(`revoked ${channelType}`, { channelType });
    const ghost = await cheater(s);

    await cheat(s, ghost);
    await s.mine(1);
    expect(s.a.events("onChain").at(-1)?.ending).toBe("revoked");
    expect(s.a.stepsOf("published").map(({ purpose }) => purpose)).toEqual(["penalty"]);

    await expectEverything(s);
  });

  it.each(CHANNEL_TYPES)("%s: by the opener, against the acceptor", async (channelType) => {
    const s = await on.make(`revoked by opener ${channelType}`, { channelType });
    const ghost = await s.ghost("a");
    s.push("a", 400_000_000);

    await cheat(s, ghost);
    const end = await s.toTheEnd([s.b]);

    expect(end.a).toBe(0);
    expect(end.b).toBeGreaterThan(997_000);
    expect(s.troubles).toEqual([]);
  });

  it.each(CHANNEL_TYPES)("%s: loses its HTLCs too", async (channelType) => {
    const s = await on.make(`revoked htlcs ${channelType}`, { channelType });
    const ghost = await cheaterWithHtlcs(s);

    await cheat(s, ghost);
    await ghost.stop(); // it does not even try
    await expectEverything(s);
  });

  it.each(CHANNEL_TYPES)("%s: races with its second stage, and loses that", async (channelType) => {
    const s = await on.make(`revoked race ${channelType}`, { channelType });
    const ghost = await cheaterWithHtlcs(s);
    await s.mine(6); // what the cheater offered has expired

    await s.a.stop();
    await cheat(s, ghost);
    await s.mine(2); // the commitment, then HTLC-success and HTLC-timeout
    await s.a.restart();
    const kinds =
      s.a
        .events("onChain")
        .at(-1)
        ?.outputs.map(({ kind }) => kind) ?? [];
    expect(kinds.filter((kind) => kind === "second-stage").length).toBe(2);

    await expectEverything(s);
  });

  it.each(CHANNEL_TYPES)("%s: races in the mempool, and loses", async (channelType) => {
    const s = await on.make(`revoked mempool race ${channelType}`, { channelType });
    const ghost = await cheaterWithHtlcs(s);
    await s.mine(6);

    await s.a.stop();
    await cheat(s, ghost);
    await s.mine(1);
    expect((await on.lab.mempool()).length).toBeGreaterThanOrEqual(1);
    await s.a.restart(); // the cheater's second stage is in the mempool before the penalties

    await expectEverything(s);
  });

  it("is punished by a victim that comes back within the delay", async () => {
    const s = await on.make("revoked, victim away");
    const ghost = await cheater(s);
    await s.a.stop();
    await cheat(s, ghost);
    await s.mine(4); // to_self_delay is 6

    await s.a.restart();

    await expectEverything(s);
  });

  it("takes the money when its victim stays away", async () => {
    const s = await on.make("revoked, victim away too long");
    const ghost = await cheater(s);
    await s.a.stop();
    await cheat(s, ghost);
    await s.mine(8);

    await s.a.restart();
    const end = await s.toTheEnd();

    expect(end).toMatchObject({ a: 500_000, b: 500_000 });
    const lost = s.a.events("closed")[0]?.outputs.find(({ kind }) => kind === "to-local");
    expect(lost).toMatchObject({ status: "theirs", amount: 500_000 });
  });

  it.each(CHANNEL_TYPES)("%s: is punished from seed and record alone", async (channelType) => {
    const s = await on.make(`revoked, restored ${channelType}`, { channelType });
    const ghost = await cheaterWithHtlcs(s);
    await s.mine(6);
    await s.a.stop();
    await cheat(s, ghost);
    await s.mine(2);

    await s.restore("a");

    await expectEverything(s);
  });
});
