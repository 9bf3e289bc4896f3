/** What both put on chain, judged by bitcore-lib: each side's commitments and HTLC transactions, and the node's claims on what the peer published. */
import { Transaction } from "bitcoinjs-lib";
import { describe, expect, test } from "vitest";
import { blockHeight, milliSatoshi, paymentHash, preimage } from "../../core/primitives/brands.ts";
import { expectValid, InteropLab, type Side } from "./lab.ts";
import { type Bytes, hex, sha256 } from "./second-peer/bytes.ts";
import type { ChannelType } from "./second-peer/commitment.ts";
import { ALL_TYPES } from "./second-peer/peer.ts";
import { p2wsh } from "./second-peer/scripts.ts";

const SECRET = sha256(Uint8Array.of(8));
const HASH = sha256(SECRET);
const EXPIRY = 200;
const CASES = ALL_TYPES.flatMap((type) =>
  (["node", "peer"] as const).map((opener) => [type, opener] as const),
);
const knowsAll = () => SECRET;

/** HTLCs both ways: two alike but for their expiry, one trimmed, one with a fraction of a satoshi. */
async function withHtlcs(type: ChannelType, opener: Side): Promise<InteropLab> {
  const lab = await InteropLab.make();
  lab.connect("peer");
  const options = { type, fundingSatoshis: 1_000_000, pushMsat: 400_000_000 };
  await lab.open(opener, { ...options, feeratePerKw: 1000 });
  const htlcs = [
    [9_000_999, EXPIRY + 1],
    [9_000_000, EXPIRY],
    [300_500, EXPIRY],
    [20_000_000, EXPIRY + 2],
  ] as const;
  for (const [amount, expiry] of htlcs) {
    lab.channel.addHtlc(amount, HASH, expiry);
    const amountMsat = milliSatoshi(amount);
    const cltvExpiry = blockHeight(expiry);
    lab.command({ type: "addHtlc", amountMsat, paymentHash: paymentHash(HASH), cltvExpiry });
    await lab.flow();
  }
  lab.agreedBalances();
  expect(lab.channel.state.localCommitment().htlcs).toHaveLength(6);
  return lab;
}

/** All inputs of the node's newest claims are valid spends of these transactions; their outpoints. */
function judgeClaims(lab: InteropLab, parents: readonly Transaction[]): Set<string> {
  const outputs = new Map(
    parents.flatMap((parent) =>
      parent.outs.map((output, vout) => [outpointOf(parent.getHash(), vout), output] as const),
    ),
  );
  const newest = new Map(lab.node.claims.map((claim) => [claim.id, claim]));
  const spent = new Set<string>();
  for (const { raw } of newest.values()) {
    const claim = Transaction.fromBuffer(raw);
    for (const [index, input] of claim.ins.entries()) {
      const output = outputs.get(outpointOf(input.hash, input.index));
      if (!output) continue;
      expectValid(claim, output, index);
      spent.add(outpointOf(input.hash, input.index));
    }
  }
  return spent;
}

function outpointOf(txid: Uint8Array, vout: number): string {
  return `${hex(txid)}:${vout}`;
}

const raw = (transaction: Transaction): Bytes => Uint8Array.from(transaction.toBuffer());

describe.each(CASES)("%s, opened by the %s", (type, opener) => {
  test("the peer's commitment and second stages are valid", async () => {
    const lab = await withHtlcs(type, opener);
    const { transaction, commitment, htlcs } = lab.channel.state.publishable(knowsAll);
    expectValid(transaction, lab.fundingOutput());
    expect(htlcs).toHaveLength(6);
    for (const [index, htlc] of htlcs.entries()) {
      const { script, amountSatoshis } = commitment.htlcs[index] ?? expect.fail();
      expectValid(htlc, { script: p2wsh(script), value: BigInt(amountSatoshis) });
    }
  });

  test("the node's commitment is the one that the peer signed, its second stages too", async () => {
    const lab = await withHtlcs(type, opener);
    const expected = lab.channel.state.remoteCommitment();
    lab.disconnect();
    lab.command({ type: "forceClose" });
    lab.command({ type: "fulfillHtlc", htlcId: 0, preimage: preimage(SECRET) });
    await lab.flow();
    const claim = lab.node.claims.find(({ purpose }) => purpose === "commitment");
    const published = Transaction.fromBuffer(claim?.raw ?? new Uint8Array(0));
    expect(published.getId()).toBe(expected.transaction.getId());
    expectValid(published, lab.fundingOutput());
    lab.mine(1, raw(published));
    lab.mine(EXPIRY + 10 - lab.height);
    await lab.flow();
    const spent = judgeClaims(lab, [published]);
    const secondStages = expected.htlcs.map(({ transaction }) => {
      const [input] = transaction.ins;
      return outpointOf(input?.hash ?? HASH, input?.index ?? -1);
    });
    expect(secondStages.length).toBe(6);
    expect(secondStages.every((outpoint) => spent.has(outpoint))).toBe(true);
  });

  test("the node claims what is its own in the peer's commitment", async () => {
    const lab = await withHtlcs(type, opener);
    const { transaction, commitment } = lab.channel.state.publishable();
    lab.disconnect();
    for (const htlcId of [0, 1, 2, 3]) {
      lab.command({ type: "fulfillHtlc", htlcId, preimage: preimage(SECRET) });
    }
    await lab.flow();
    lab.mine(1, raw(transaction));
    lab.mine(EXPIRY + 10 - lab.height);
    await lab.flow();
    const spent = judgeClaims(lab, [transaction]);
    const htlcs = commitment.htlcs.map((htlc) => htlc.transaction.ins[0]?.index ?? -1);
    for (const vout of htlcs) {
      expect(spent).toContain(outpointOf(transaction.getHash(), vout));
    }
    const [ending] = lab.node.events("onChain");
    expect(ending?.ending).toBe("remote");
  });

  test("the node takes everything where the peer published what it had revoked", async () => {
    const lab = await withHtlcs(type, opener);
    const cheat = lab.channel.state.publishable(knowsAll);
    lab.channel.push(lab.payments(50_000_000));
    await lab.flow();
    lab.disconnect();
    const [secondStage] = cheat.htlcs;
    lab.mine(1, raw(cheat.transaction));
    await lab.flow();
    const spent = judgeClaims(lab, [cheat.transaction]);
    const anchors = cheat.transaction.outs.filter(({ value }) => Number(value) <= 330);
    expect(spent.size).toBe(cheat.transaction.outs.length - anchors.length);
    expect(lab.node.events("onChain").at(-1)?.ending).toBe("revoked");

    lab.mine(1, raw(secondStage ?? expect.fail()));
    await lab.flow();
    const chased = judgeClaims(lab, [cheat.transaction, secondStage ?? expect.fail()]);
    expect(chased).toContain(outpointOf((secondStage ?? expect.fail()).getHash(), 0));
  });
});
