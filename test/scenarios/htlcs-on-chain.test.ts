/** HTLCs that the chain has to settle (BOLT 5 "HTLC Output Handling"), in the offerer's commitment and in the other's. */
import { expect, it } from "vitest";
import type { ChannelType } from "../../core/transactions/terms.ts";
import type { MadeHtlc } from "../support/scenario.ts";
import { CHANNEL_TYPES, scenarios } from "../support/scenario-lab.ts";

/** What alice, the opener, may lose to fees beside those of transactions that pay her alone. */
function most(channelType: ChannelType): number {
  return channelType === "zero_fee_commitments" ? 0 : 3_000;
}

scenarios("an HTLC on chain", (on) => {
  it.each(CHANNEL_TYPES)(
    "%s: expires, and comes back by its offerer's commitment",
    async (type) => {
      const s = await on.make(`timeout local ${type}`, { channelType: type });
      await s.addHtlc({ from: "a", expiresIn: 5 });
      s.disconnect();

      await s.mine(6);
      expect(s.a.events("forceClosing")[0]?.reason).toMatch(/HTLC 0 that we offered expired/);
      expect(s.a.events("htlcFailed")).toEqual([]);
      const end = await s.toTheEnd();

      const endings = s.a.events("closed")[0]?.outputs ?? [];
      expect(endings).toContainEqual(
        expect.objectContaining({ kind: "second-stage", status: "claimed" }),
      );
      expect(s.a.events("htlcFailed").map(({ htlcId }) => htlcId)).toEqual([0]);
      expect(500_000 - end.a).toBeLessThanOrEqual(most(type));
      expect(end.b).toBe(500_000);
      expect(s.troubles).toEqual([]);
    },
  );

  it.each(CHANNEL_TYPES)(
    "%s: expires, and comes back from the other's commitment",
    async (type) => {
      const s = await on.make(`timeout remote ${type}`, { channelType: type });
      await s.addHtlc({ from: "a", expiresIn: 8 });
      s.disconnect();
      await s.forceClose("b");
      await s.mine(3);
      expect(s.a.stepsOf("published").some(({ purpose }) => purpose === "htlc-timeout")).toBe(
        false,
      );

      const end = await s.toTheEnd();

      expect(s.a.stepsOf("published").some(({ purpose }) => purpose === "htlc-timeout")).toBe(true);
      expect(s.a.events("htlcFailed").map(({ htlcId }) => htlcId)).toEqual([0]);
      expect(500_000 - end.a).toBeLessThanOrEqual(most(type));
      expect(end.b).toBe(500_000);
      expect(s.troubles).toEqual([]);
    },
  );

  it.each(CHANNEL_TYPES)("%s: is claimed in time by its receiver's commitment", async (type) => {
    const s = await on.make(`success local ${type}`, { channelType: type });
    const htlc = await s.addHtlc({ from: "a", expiresIn: 10 });
    s.disconnect();
    s.fulfill(htlc);

    await s.mine(6);
    expect(s.b.events("forceClosing")[0]?.reason).toMatch(/expires at/);
    const end = await s.toTheEnd();

    expect(s.b.stepsOf("published").some(({ purpose }) => purpose === "htlc-success")).toBe(true);
    expect(s.a.events("htlcFulfilled").map(({ preimage }) => preimage)).toEqual([htlc.preimage]);
    expect(s.a.events("htlcFailed")).toEqual([]);
    expect(450_000 - end.a).toBeLessThanOrEqual(most(type));
    expect(end.b).toBe(550_000);
    expect(s.troubles).toEqual([]);
  });

  it.each(CHANNEL_TYPES)("%s: is claimed from its offerer's commitment", async (type) => {
    const s = await on.make(`success remote ${type}`, { channelType: type });
    const htlc = await s.addHtlc({ from: "a", expiresIn: 15 });
    s.disconnect();
    await s.forceClose("a");
    await s.mine(1);
    // The preimage comes when the channel is on chain already.
    s.fulfill(htlc);
    expect(s.b.events("rejected")).toEqual([]);

    const end = await s.toTheEnd();

    expect(s.a.events("htlcFulfilled").map(({ preimage }) => preimage)).toEqual([htlc.preimage]);
    expect(450_000 - end.a).toBeLessThanOrEqual(most(type));
    expect(end.b).toBe(550_000);
    expect(s.troubles).toEqual([]);
  });

  it("reveals its preimage in the very block of the commitment", async () => {
    const s = await on.make("same block", { channelType: "static_remotekey" });
    const htlc = await s.addHtlc({ from: "a" });
    s.disconnect();
    s.fulfill(htlc);
    await s.forceClose("b");
    const [txid] = await on.lab.mempool();
    const commitment = txid && (await on.lab.mempoolTransaction(txid));
    if (!commitment) throw new Error("bob's commitment is not in the mempool");
    const [success] = await s.claimsAfter("b", commitment);
    expect(success?.purpose).toBe("htlc-success");

    await on.lab.mine(1, { only: [commitment, success?.raw ?? new Uint8Array(0)] });

    expect(s.a.events("htlcFulfilled").map(({ preimage }) => preimage)).toEqual([htlc.preimage]);
    const end = await s.toTheEnd();
    expect(end.b).toBe(550_000);
    expect(s.troubles).toEqual([]);
  });

  it("that only the newest commitment has is settled there", async () => {
    const s = await on.make("half signed htlc");
    const htlc = await s.addHtlc({ from: "a", expiresIn: 8 }, false);
    s.flowUntil(() => s.b.record(s.id).localNumber === 1);
    s.disconnect();
    expect(s.a.record(s.id).awaitingRevocation).toBe(true);
    await s.forceClose("b");

    const end = await s.toTheEnd();

    // Bob never learnt of it for good: it goes back.
    expect(s.a.events("htlcFailed").map(({ htlcId }) => htlcId)).toEqual([htlc.id]);
    expect(end).toMatchObject({ a: 500_000, b: 500_000 });
    expect(s.troubles).toEqual([]);
  });

  it("that is claimed though it is irrevocable nowhere yet reveals its preimage all the same", async () => {
    const s = await on.make("half signed, claimed", { channelType: "static_remotekey" });
    const htlc = await s.addHtlc({ from: "a" }, false);
    s.flowUntil(() => s.b.record(s.id).localNumber === 1);
    s.disconnect();
    expect(s.a.record(s.id).base.htlcs).toEqual([]);
    await s.forceClose("b");
    const [txid] = await on.lab.mempool();
    const commitment = txid && (await on.lab.mempoolTransaction(txid));
    if (!commitment) throw new Error("bob's commitment is not in the mempool");
    const [success] = await s.claimsAfter("b", commitment, [htlc.preimage]);
    expect(success?.purpose).toBe("htlc-success");

    await on.lab.mine(1, { only: [commitment, success?.raw ?? new Uint8Array(0)] });
    await s.mine(1);
    expect(s.a.events("htlcFulfilled").map(({ preimage }) => preimage)).toEqual([htlc.preimage]);

    await s.mine(20);
    expect(s.a.events("htlcFulfilled")).toHaveLength(1);
    expect(s.a.events("htlcFailed")).toEqual([]);
  });

  it("that the confirmed commitment does not have is failed when that is deep", async () => {
    const s = await on.make("half signed htlc, old");
    const htlc = await s.addHtlc({ from: "a" }, false);
    s.flowUntil(() => s.a.record(s.id).awaitingRevocation);
    s.disconnect();
    await s.forceClose("b");
    await s.mine(1);
    expect(s.a.events("htlcFailed")).toEqual([]);

    const end = await s.toTheEnd();

    expect(s.a.events("htlcFailed").map(({ htlcId }) => htlcId)).toEqual([htlc.id]);
    expect(end).toMatchObject({ a: 500_000, b: 500_000 });
    expect(s.troubles).toEqual([]);
  });

  it("below dust has no output: it goes to fees, and is told as failed", async () => {
    const s = await on.make("dust htlc");
    await s.addHtlc({ from: "a", amountMsat: 200_000 });
    s.disconnect();
    await s.forceClose("a");

    const end = await s.toTheEnd();

    expect(s.a.events("htlcFailed").map(({ htlcId }) => htlcId)).toEqual([0]);
    expect(end).toMatchObject({ a: 499_800, b: 500_000 });
    expect(end.shared + end.anchorsSpent).toBe(200);
    expect(s.troubles).toEqual([]);
  });

  it("whose preimage came before the link broke was paid, whoever gets its output", async () => {
    const s = await on.make("fulfilled off chain");
    const htlc = await s.addHtlc({ from: "a", expiresIn: 6 });
    const { id: htlcId, preimage } = htlc;
    const { node } = s.b;
    const send = node.send.bind(node);
    node.send = (runner, message) => {
      if (message.type !== "commitment_signed") send(runner, message); // the link breaks before it
    };
    node.command(s.id, { type: "fulfillHtlc", htlcId, preimage });
    s.flowUntil(() => s.a.events("htlcFulfilled").length > 0);
    s.disconnect();
    await s.b.stop();
    await s.mine(12);
    await s.b.restart(); // too late for its HTLC

    const end = await s.toTheEnd();

    expect(end.a).toBe(500_000);
    expect(s.a.events("htlcFulfilled").length).toBe(1);
    expect(s.a.events("htlcFailed")).toEqual([]);
  });

  it("is seen in the block of its commitment also with a slow store", async () => {
    const s = await on.make("same block, slow", { channelType: "static_remotekey" });
    const htlc = await s.addHtlc({ from: "a" });
    s.disconnect();
    s.fulfill(htlc);
    const commitment = await s.commitmentOf("b");
    const [success] = await s.claimsAfter("b", commitment);
    s.a.store.slow = true;
    s.b.store.slow = true;

    await on.lab.mine(1, { only: [commitment, success?.raw ?? new Uint8Array(0)] });

    expect(s.a.events("htlcFulfilled").map(({ preimage }) => preimage)).toEqual([htlc.preimage]);
    const end = await s.toTheEnd();
    expect(end.b).toBe(550_000);
    expect(s.troubles).toEqual([]);
  });

  it("comes in dozens, both ways, with few coins to pay for them", async () => {
    const s = await on.make("dozens");
    const made: MadeHtlc[] = [];
    for (let i = 0; i < 25; i++) {
      const toBob = await s.addHtlc({ from: "a", amountMsat: 5_000_000, expiresIn: 25 });
      const toAlice = await s.addHtlc({ from: "b", amountMsat: 4_000_000, expiresIn: 25 });
      if (i % 2 === 0) made.push(toBob, toAlice);
    }
    s.disconnect();
    for (const htlc of made) s.fulfill(htlc);
    await s.forceClose("a");

    const end = await s.toTheEnd();

    // Thirteen of each were fulfilled, the others came back.
    expect(end.a).toBe(500_000 - 13 * 5_000 + 13 * 4_000);
    expect(end.b).toBe(500_000 + 13 * 5_000 - 13 * 4_000);
    for (const node of [s.a, s.b]) {
      expect(node.events("htlcFulfilled").length).toBe(13);
      expect(node.events("htlcFailed").length).toBe(12);
    }
  });
});
