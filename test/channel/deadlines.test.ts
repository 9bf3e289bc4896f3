/** When an HTLC makes a node publish its commitment, and when not (BOLT 2 "cltv_expiry_delta Selection"; rule `honest-peer-never-force-closed`). */
import { describe, expect, test } from "vitest";
import { hostPolicy } from "../../core/channel/policy.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  paymentHash,
  preimage,
} from "../../core/primitives/brands.ts";
import { commanded, open, push } from "../support/commands.ts";
import { crypto, type Pair, type TestNode } from "../support/node-pair.ts";

const SECRET = preimage(new Uint8Array(32).fill(6));
const EXPIRY = 200;
const { fulfillSafetyBlocks, timeoutGraceBlocks } = hostPolicy;

function offer(side: TestNode, id: ChannelId): void {
  side.node.command(id, {
    type: "addHtlc",
    amountMsat: milliSatoshi(50_000_000),
    paymentHash: paymentHash(crypto.sha256(SECRET)),
    cltvExpiry: blockHeight(EXPIRY),
  });
}

function mineTo(pair: Pair, height: number): void {
  pair.mine(height - pair.height);
}

describe.each(["zero_fee_commitments", "anchors", "static_remotekey"] as const)(
  "%s",
  (channelType) => {
    test("an HTLC that we offered and that nobody resolves is timed out on chain, after a grace", async () => {
      const { pair, id } = await open({ channelType });
      offer(pair.a, id);
      pair.cable.pump();
      mineTo(pair, EXPIRY + timeoutGraceBlocks - 1);
      pair.expectPeace();
      mineTo(pair, EXPIRY + timeoutGraceBlocks);
      expect(pair.a.events("forceClosing")[0]?.reason).toMatch(/HTLC 0 that we offered expired/);
      expect(pair.a.claims.map(({ purpose }) => purpose)).toContain("commitment");
      pair.cable.pump();
      expect(pair.b.events("forceClosing")[0]?.reason).toMatch(/the peer failed the channel/);
    });

    test("an HTLC that we fulfilled and the payer does not settle is claimed on chain before it expires", async () => {
      const { pair, id } = await open({ channelType });
      offer(pair.a, id);
      pair.cable.pump();
      pair.disconnect();
      expect(fulfil(pair.b, id)).toBeUndefined();
      mineTo(pair, EXPIRY - fulfillSafetyBlocks - 1);
      pair.expectPeace();
      mineTo(pair, EXPIRY - fulfillSafetyBlocks);
      expect(pair.b.events("forceClosing")[0]?.reason).toMatch(/not yet settled/);
      expect(pair.b.claims.map(({ purpose }) => purpose)).toContain("commitment");
      expect(pair.a.events("forceClosing")).toEqual([]);
    });

    test("an HTLC whose preimage we do not know is none of our worry, nor one that was settled or failed", async () => {
      const { pair, id } = await open({ channelType });
      offer(pair.a, id);
      pair.cable.pump();
      fulfil(pair.b, id);
      pair.cable.pump();
      offer(pair.a, id);
      pair.cable.pump();
      pair.b.node.command(id, { type: "failHtlc", htlcId: 1, reason: new Uint8Array(0) });
      pair.cable.pump();
      offer(pair.a, id);
      pair.cable.pump();
      mineTo(pair, EXPIRY + timeoutGraceBlocks - 1);
      pair.expectPeace();
      pair.b.node.command(id, { type: "failHtlc", htlcId: 2, reason: new Uint8Array(0) });
      pair.cable.pump();
      mineTo(pair, EXPIRY + 500);
      pair.expectPeace();
    });
  },
);

test("an HTLC that only the peer's unrevoked next commitment has is watched too", async () => {
  const { pair, id } = await open();
  pair.b.tamper = (message) => (message.type === "revoke_and_ack" ? [] : [message]);
  offer(pair.a, id);
  pair.cable.pump();
  mineTo(pair, EXPIRY + timeoutGraceBlocks);
  expect(pair.a.events("forceClosing")[0]?.reason).toMatch(/that we offered expired/);
});

test("a preimage learnt after the close began is still stored", async () => {
  const { pair, id } = await open();
  offer(pair.a, id);
  pair.cable.pump();
  pair.b.node.command(id, { type: "forceClose" });
  expect(fulfil(pair.b, id)).toBeUndefined();
  expect(pair.b.checking.stored(id)?.base.htlcs[0]?.preimage).toEqual(SECRET);
});

test("once our commitment is published nothing that the peer sends changes or revokes it (rule `never-broadcast-revoked`)", async () => {
  const { pair, id } = await open({ pushMsat: 300_000_000 });
  push(pair.b, id, 1_000); // update and commitment_signed are on their way to alice
  pair.a.node.command(id, { type: "forceClose" });
  const published = pair.a.node.record(id);
  const revocations = pair.a.sent.filter(({ type }) => type === "revoke_and_ack").length;
  pair.cable.pump();
  pair.reconnect();
  expect(pair.a.node.record(id)).toBe(published);
  expect(pair.a.sent.filter(({ type }) => type === "revoke_and_ack").length).toBe(revocations);
  expect(pair.a.events("violation")).toEqual([]);
  expect(commanded(pair.a, () => pair.a.node.command(id, { type: "forceClose" }))).toBe(
    "the channel is force-closing",
  );
  expect(push(pair.a, id, 1)).toBe("the channel is force-closing");
});

test("what was proposed when the channel closed by force is told as not paid", async () => {
  const { pair, id } = await open();
  push(pair.a, id, 1); // signed
  push(pair.a, id, 2); // proposed
  pair.a.node.command(id, { type: "forceClose" });
  expect(pair.a.events("rejected").at(-1)?.reason).toBe(
    "the channel is closing on chain: nothing was paid",
  );
});

function fulfil(side: TestNode, id: ChannelId): string | undefined {
  return commanded(side, () =>
    side.node.command(id, { type: "fulfillHtlc", htlcId: 0, preimage: SECRET }),
  );
}
