/** Whole lives of channels between the node and the second peer, which was written from docs/PROTOCOL.md and the BOLTs alone. */
import { describe, expect, test } from "vitest";
import { blockHeight, milliSatoshi, paymentHash, preimage } from "../../core/primitives/brands.ts";
import { InteropLab, type Side } from "./lab.ts";
import { hex, sha256 } from "./second-peer/bytes.ts";
import { ALL_TYPES } from "./second-peer/peer.ts";

const SECRET = sha256(Uint8Array.of(1, 2, 3));
const HASH = sha256(SECRET);
const OPENERS: readonly Side[] = ["node", "peer"];

describe.each(ALL_TYPES)("a channel of type %s", (type) => {
  test.each(OPENERS)("opened by the %s lives until its mutual close", async (opener) => {
    const lab = await InteropLab.make();
    lab.connect(opener === "node" ? "peer" : "node");
    await lab.open(opener, { type, fundingSatoshis: 1_000_000, pushMsat: 400_000_000 });
    const [node, peer] = lab.agreedBalances();
    expect(opener === "node" ? [node, peer] : [peer, node]).toEqual([600_000_000, 400_000_000]);

    // pushes both ways at once
    lab.channel.push(lab.payments(1_000_000, 2_000_000, 500));
    lab.command({ type: "push", payments: lab.payments(7_000_000) });
    await lab.flow();
    expect(lab.agreedBalances()).toEqual([node - 3_999_500, peer + 3_999_500]);
    expect(lab.node.events("pushReceived")).toHaveLength(1);
    expect(lab.node.events("receipt")).toHaveLength(1);
    expect(lab.channel.receipts.below).toBe(1);

    // HTLCs of one hash both ways at once
    lab.channel.addHtlc(20_000_000, HASH, 500);
    const amountMsat = milliSatoshi(30_000_000);
    const cltvExpiry = blockHeight(510);
    lab.command({ type: "addHtlc", amountMsat, paymentHash: paymentHash(HASH), cltvExpiry });
    await lab.flow();
    expect(lab.channel.state.lockedIn()).toHaveLength(1);
    expect(lab.node.events("htlcReceived")).toHaveLength(1);
    lab.channel.fulfill(0, SECRET);
    lab.command({ type: "fulfillHtlc", htlcId: 0, preimage: preimage(SECRET) });
    await lab.flow();
    expect(lab.agreedBalances()).toEqual([node - 13_999_500, peer + 13_999_500]);
    expect(lab.toldBalance(node)).toBe(node - 13_999_500);

    // and the end, asked for by the acceptor
    if (opener === "node") lab.channel.shutdown();
    else lab.command({ type: "close", feeratePerKw: 1000 });
    await lab.flow();
    lab.expectAgreedClose();
    lab.expectPeace();
  });
});

test("both sides close at once: two closing transactions, and both know both", async () => {
  const lab = await InteropLab.make();
  lab.connect("peer");
  await lab.open("peer", { type: "anchors", fundingSatoshis: 500_000, pushMsat: 100_000_000 });
  lab.channel.shutdown();
  lab.command({ type: "close", feeratePerKw: 2000 });
  await lab.flow();
  expect(lab.channel.closing.transactions).toHaveLength(2);
  lab.expectAgreedClose();
  lab.expectPeace();
});

test("a closer raises its fee, and the closee signs again", async () => {
  const lab = await InteropLab.make();
  lab.connect("peer");
  const type = "zero_fee_commitments";
  await lab.open("peer", { type, fundingSatoshis: 500_000, pushMsat: 100_000_000 });
  lab.channel.shutdown();
  await lab.flow();
  lab.channel.closing.propose(5000);
  await lab.flow();
  const fees = lab.channel.closing.transactions.map((transaction) =>
    transaction.outs.reduce((left, { value }) => left - Number(value), 500_000),
  );
  expect(fees).toEqual([500, 5000]);
  lab.expectAgreedClose();
  lab.expectPeace();
});

test.each(OPENERS)(
  "where the %s opened, the other's dust is left out of its close",
  async (rich) => {
    const lab = await InteropLab.make();
    lab.connect("peer");
    const type = "zero_fee_commitments";
    await lab.open(rich, { type, fundingSatoshis: 500_000, pushMsat: 200_000 });
    if (rich === "peer") lab.channel.shutdown();
    else lab.command({ type: "close", feeratePerKw: 300 });
    await lab.flow();
    const [closing] = lab.channel.closing.transactions;
    expect(closing?.outs).toHaveLength(1);
    lab.expectAgreedClose();
  },
);

test("shutdown waits for HTLCs, which are settled after it", async () => {
  const lab = await InteropLab.make();
  lab.connect("node");
  await lab.open("node", { type: "anchors", fundingSatoshis: 500_000, pushMsat: 100_000_000 });
  lab.channel.addHtlc(5_000_000, HASH, 500);
  await lab.flow();
  lab.channel.shutdown();
  await lab.flow();
  expect(lab.channel.closing.shutdown).toHaveProperty("opener");
  expect(lab.channel.closing.transactions).toHaveLength(0);
  lab.command({ type: "fulfillHtlc", htlcId: 0, preimage: preimage(SECRET) });
  await lab.flow();
  lab.expectAgreedClose();
  lab.expectPeace();
});

describe.each(["anchors", "static_remotekey"] as const)("update_fee in %s", (type) => {
  test.each(OPENERS)("comes from the %s alone, with HTLCs in flight", async (opener) => {
    const lab = await InteropLab.make();
    lab.connect("peer");
    const options = { type, fundingSatoshis: 1_000_000, pushMsat: 400_000_000 };
    await lab.open(opener, { ...options, feeratePerKw: 500 });
    // of one satoshi more than what static_remotekey trims at 500, and then not at 3000
    lab.channel.addHtlc(760_000, HASH, 500);
    const cltvExpiry = blockHeight(510);
    const amountMsat = milliSatoshi(9_000_000);
    lab.command({ type: "addHtlc", amountMsat, paymentHash: paymentHash(HASH), cltvExpiry });
    await lab.flow();
    const before = lab.channel.state.localCommitment().htlcs.length;
    if (opener === "peer") lab.channel.fee(3000);
    else lab.command({ type: "updateFee", feeratePerKw: 3000 });
    await lab.flow();
    expect(lab.channel.state.local().feeratePerKw).toBe(3000);
    const after = lab.channel.state.localCommitment().htlcs.length;
    expect([before, after]).toEqual(type === "anchors" ? [2, 2] : [2, 1]);
    lab.agreedBalances();
    lab.expectPeace();
  });
});

test("both spend down to the last millisatoshi above their reserves, and not below", async () => {
  const lab = await InteropLab.make();
  lab.connect("peer");
  const type = "zero_fee_commitments";
  await lab.open("node", { type, fundingSatoshis: 1_000_000, pushMsat: 400_000_000 });
  const spare = lab.channel.state.sendableMsat();
  lab.channel.push(lab.payments(spare));
  await lab.flow();
  const [node, peer] = lab.agreedBalances();
  const reserves = lab.channel.options.terms;
  expect(peer).toBe(1000 * reserves.opener.channelReserveSatoshis);
  const all = node - 1000 * reserves.acceptor.channelReserveSatoshis;
  lab.command({ type: "push", payments: lab.payments(all + 1) });
  await lab.flow();
  expect(lab.node.events("rejected")).toHaveLength(1);
  lab.command({ type: "push", payments: lab.payments(all) });
  await lab.flow();
  expect(lab.agreedBalances()).toEqual([node - all, peer + all]);
});

test("zero reserve: everything can be spent", async () => {
  const lab = await InteropLab.make();
  lab.connect("peer");
  const options = { type: "zero_fee_commitments", fundingSatoshis: 1_000_000 } as const;
  await lab.open("peer", { ...options, pushMsat: 400_000_000, reserveSatoshis: 0 });
  const all = lab.agreedBalances()[0];
  lab.command({ type: "push", payments: lab.payments(all) });
  await lab.flow();
  expect(lab.agreedBalances()).toEqual([0, 1_000_000_000]);
  expect(hex(lab.channel.state.localCommitment().transaction.getHash())).toHaveLength(64);
  lab.expectPeace();
});
