/** The link is lost after every single delivery of a crossing dance, and both go on by channel_reestablish alone. */
import { describe, expect, test } from "vitest";
import { blockHeight, milliSatoshi, paymentHash, preimage } from "../../core/primitives/brands.ts";
import { InteropLab, type Side } from "./lab.ts";
import { sha256 } from "./second-peer/bytes.ts";

const SECRET = sha256(Uint8Array.of(4));
const HASH = sha256(SECRET);
const MOST_DELIVERIES = 60;

/** Loses the link after each number of deliveries in turn, until the dance ends before that; how often. */
async function loseEverywhere(lab: InteropLab, begin: () => void, check: () => void) {
  for (let deliveries = 0; deliveries < MOST_DELIVERIES; deliveries++) {
    begin();
    const done = lab.cable.pump(deliveries);
    const isOver = lab.cable.waiting === 0 && done < deliveries;
    lab.disconnect();
    await lab.flow();
    lab.connect(deliveries % 2 ? "node" : "peer");
    await lab.flow();
    check();
    if (isOver) return deliveries;
  }
  throw new Error("the dance does not end");
}

describe.each(["peer", "node"] as const)("%s opened", (opener: Side) => {
  test("pushes that cross move once or not at all, whatever is lost", async () => {
    const lab = await InteropLab.make();
    lab.connect("peer");
    const type = "zero_fee_commitments";
    await lab.open(opener, { type, fundingSatoshis: 1_000_000, pushMsat: 500_000_000 });
    const [start] = lab.agreedBalances();
    const count = await loseEverywhere(
      lab,
      () => {
        lab.channel.push(lab.payments(1_000));
        lab.command({ type: "push", payments: lab.payments(7_000_000) });
      },
      () => {
        const { state, receipts } = lab.channel;
        const [node] = lab.agreedBalances();
        expect(lab.toldBalance(start)).toBe(node);
        const ours = state.updates("push").length;
        const theirs = state.updates("push", state.them).length;
        expect(node).toBe(start + ours * 1_000 - theirs * 7_000_000);
        expect(receipts.below).toBe(ours);
        expect(lab.node.events("receipt")).toHaveLength(theirs);
      },
    );
    expect(count).toBeGreaterThan(10);
    expect(lab.channel.state.updates("push").length).toBeGreaterThan(count - 4);
  });

  test("HTLCs that cross are settled, whatever is lost", async () => {
    const lab = await InteropLab.make();
    lab.connect("node");
    await lab.open(opener, {
      type: "anchors",
      fundingSatoshis: 1_000_000,
      pushMsat: 500_000_000,
    });
    const [start] = lab.agreedBalances();
    await loseEverywhere(
      lab,
      () => {
        lab.channel.addHtlc(3_000_000, HASH, 500);
        const amountMsat = milliSatoshi(2_000_000);
        const cltvExpiry = blockHeight(505);
        lab.command({ type: "addHtlc", amountMsat, paymentHash: paymentHash(HASH), cltvExpiry });
      },
      () => lab.agreedBalances(),
    );
    const offered = () =>
      lab.node.node.record(lab.id)?.base.htlcs.filter(({ offeredByLocal }) => !offeredByLocal) ??
      [];
    const count = lab.channel.state.lockedIn().length + offered().length;
    expect(count).toBeGreaterThan(20);
    await loseEverywhere(
      lab,
      () => {
        const [toPeer] = lab.channel.state.lockedIn();
        if (toPeer) lab.channel.fulfill(toPeer.id, SECRET);
        const [toNode] = offered();
        if (!toNode) return;
        const htlcId = toNode.id;
        lab.command({ type: "fulfillHtlc", htlcId, preimage: preimage(SECRET) });
      },
      () => lab.agreedBalances(),
    );
    while (lab.channel.state.lockedIn().length + offered().length > 0) {
      for (const { id } of lab.channel.state.lockedIn()) lab.channel.fulfill(id, SECRET);
      for (const { id: htlcId } of offered()) {
        lab.command({ type: "fulfillHtlc", htlcId, preimage: preimage(SECRET) });
      }
      await lab.flow();
    }
    const [node] = lab.agreedBalances();
    const { state } = lab.channel;
    const ours = state.updates("add").length;
    const theirs = state.updates("add", state.them).length;
    expect(node).toBe(start + ours * 3_000_000 - theirs * 2_000_000);
    expect(lab.toldBalance(start)).toBe(node);
  });

  test("channel_ready and shutdown are said again", async () => {
    const lab = await InteropLab.make();
    lab.connect("peer");
    const type = "static_remotekey";
    await lab.open(opener, { type, fundingSatoshis: 1_000_000, pushMsat: 500_000_000 });
    lab.disconnect();
    lab.connect("node");
    const ready = lab.peer.heard.filter((message) => message.type === "channel_ready");
    expect(ready).toHaveLength(2);
    lab.channel.addHtlc(3_000_000, HASH, 500);
    await lab.flow();
    lab.channel.shutdown();
    await lab.flow();
    lab.disconnect();
    lab.connect("node");
    await lab.flow();
    lab.command({ type: "fulfillHtlc", htlcId: 0, preimage: preimage(SECRET) });
    await lab.flow();
    lab.expectAgreedClose();
    lab.expectPeace();
  });
});
