/**
 * Commitments of option_zero_fee_commitments (BOLT PR 1228): version 3, no fee, one shared anchor;
 * read and weighed by bitcoinjs-lib.
 */
import { Transaction as BitcoinjsTransaction, payments } from "bitcoinjs-lib";
import { describe, expect, it } from "vitest";
import { toHex } from "../../core/primitives/bytes.ts";
import { finalizeCommitment } from "../../core/transactions/commitment.ts";
import { finalizeHtlcTransaction } from "../../core/transactions/htlc.ts";
import { SIGHASH_SINGLE_ANYONECANPAY } from "../../core/transactions/sighash.ts";
import {
  serializeTransaction,
  transactionId,
  transactionWeight,
} from "../../core/transactions/transaction.ts";
import {
  commitmentWeight,
  htlcTransactionWeight,
  MAX_TRUC_WEIGHT,
} from "../../core/transactions/weights.ts";
import { channelPair, crypto, htlc, secondPreimage } from "../support/channel-pair.ts";

function signed(pair: ReturnType<typeof channelPair>) {
  const { commitment, spec, terms } = pair;
  return finalizeCommitment(commitment, terms, {
    broadcaster: pair.broadcaster.signLocalCommitment(spec.number, commitment.sighash),
    countersignatory: pair.countersignatory.signRemoteCommitment(spec.number, commitment.sighash),
  });
}

const theirs = (transaction: Parameters<typeof serializeTransaction>[0]) =>
  BitcoinjsTransaction.fromHex(toHex(serializeTransaction(transaction)));

/** Amount of the one shared anchor. */
function anchorAmount({ commitment }: ReturnType<typeof channelPair>): number {
  const anchors = commitment.outputs.filter(({ kind }) => kind === "sharedAnchor");
  expect(anchors).toHaveLength(1);
  expect(anchors[0]?.script).toEqual(Uint8Array.of(0x51, 0x02, 0x4e, 0x73));
  return anchors[0]?.amount as number;
}

describe("a zero-fee commitment", () => {
  const pair = channelPair("zero_fee_commitments");

  it("is of version 3, and so are its HTLC transactions", () => {
    const commitment = theirs(signed(pair));
    expect(commitment.version).toBe(3);
    expect(commitment.weight()).toBe(transactionWeight(signed(pair)));
    expect(pair.commitment.htlcs.map(({ transaction }) => theirs(transaction).version)).toEqual([
      3, 3,
    ]);
  });

  it("is signed over what bitcoinjs-lib computes", () => {
    const { commitment, terms } = pair;
    const sighash = theirs(commitment.transaction).hashForWitnessV0(
      0,
      commitment.fundingScript,
      BigInt(terms.fundingSatoshis),
      BitcoinjsTransaction.SIGHASH_ALL,
    );
    expect(toHex(commitment.sighash)).toBe(toHex(sighash));
    for (const second of commitment.htlcs) {
      const expected = theirs(second.transaction).hashForWitnessV0(
        0,
        second.witnessScript,
        BigInt(second.amount),
        BitcoinjsTransaction.SIGHASH_SINGLE | BitcoinjsTransaction.SIGHASH_ANYONECANPAY,
      );
      expect(second.sighashType).toBe(SIGHASH_SINGLE_ANYONECANPAY);
      expect(toHex(second.sighash)).toBe(toHex(expected));
    }
  });

  it("pays to_remote to a plain P2WPKH of the payment basepoint", () => {
    const pubkey = pair.terms.countersignatory.paymentBasepoint;
    const toRemote = pair.commitment.outputs.find(({ kind }) => kind === "toCountersignatory");
    expect(toRemote?.script).toEqual(Uint8Array.from(payments.p2wpkh({ pubkey }).output ?? []));
  });

  it("has HTLC scripts without a relative lock, and HTLC transactions that pay it all on", () => {
    const txid = transactionId(crypto, signed(pair));
    for (const { transaction, witnessScript, vout, amount } of pair.commitment.htlcs) {
      expect(toHex(witnessScript)).toMatch(/(ac|ae)6868$/);
      expect(transaction.inputs).toMatchObject([{ outpoint: { txid, vout }, sequence: 0 }]);
      expect(transaction.outputs.map((output) => output.amount)).toEqual([amount]);
    }
  });

  it("puts trimmed and rounded amounts into the anchor, and pays no fee", () => {
    // 99.5 sat trimmed, 0.999 sat of an HTLC and 0.501 of a balance rounded away
    expect(pair.commitment.trimmedHtlcs).toMatchObject([{ id: 1, offered: false }]);
    expect(anchorAmount(pair)).toBe(101);
    expect(pair.commitment.feeSatoshis).toBe(0);
  });

  it("has an anchor of zero where nothing was trimmed or rounded away", () => {
    const round = channelPair("zero_fee_commitments", { htlcs: [] });
    expect(anchorAmount(round)).toBe(0);
    expect(round.commitment.outputs[0]?.kind).toBe("sharedAnchor");
    expect(round.commitment.feeSatoshis).toBe(0);
  });

  it("has an anchor of 240 at most; the rest goes to miners", () => {
    const trimmed = (amountMsat: number) =>
      channelPair("zero_fee_commitments", { htlcs: [htlc({ offered: true, id: 0, amountMsat })] });
    expect(anchorAmount(trimmed(240_000))).toBe(240);
    expect(trimmed(240_000).commitment.feeSatoshis).toBe(0);
    expect(anchorAmount(trimmed(353_999))).toBe(240);
    expect(trimmed(353_999).commitment.feeSatoshis).toBe(114);
    expect(trimmed(354_000).commitment.trimmedHtlcs).toEqual([]);
  });

  it("stands with the anchor alone where everything else is dust", () => {
    const tiny = channelPair("zero_fee_commitments", {
      fundingSatoshis: 600,
      toBroadcasterMsat: 300_000,
      htlcs: [],
    });
    expect(tiny.commitment.outputs).toMatchObject([{ kind: "sharedAnchor", amount: 240 }]);
    expect(tiny.commitment.feeSatoshis).toBe(360);
  });

  it("sorts the anchor among the other outputs by value", () => {
    const amounts = pair.commitment.outputs.map(({ amount }) => amount);
    expect(amounts).toEqual([...amounts].sort((a, b) => a - b));
  });

  it("fits TRUC's limit with 114 HTLCs each way", () => {
    const htlcs = Array.from({ length: 228 }, (_, i) =>
      htlc({ offered: i % 2 === 0, id: i >> 1, amountMsat: 1_000_000 }),
    );
    const full = channelPair("zero_fee_commitments", { htlcs });
    const weight = theirs(signed(full)).weight();
    expect(full.commitment.htlcs).toHaveLength(228);
    expect(weight).toBeLessThanOrEqual(MAX_TRUC_WEIGHT);
    // BOLT 3 counts one byte for the number of outputs; 231 outputs still fit one byte.
    expect(weight).toBeLessThanOrEqual(commitmentWeight("zero_fee_commitments", 228));
    expect(weight).toBeGreaterThan(commitmentWeight("zero_fee_commitments", 228) - 8);
  });

  it("has HTLC transactions of the weight that BOLT 3 expects without anchors", () => {
    const { commitment, keys } = pair;
    for (const second of commitment.htlcs) {
      const key = { role: "htlc", perCommitmentPoint: keys.perCommitmentPoint } as const;
      const final = finalizeHtlcTransaction(second, {
        broadcaster: pair.broadcaster.signClaim(key, second.sighash),
        countersignatory: pair.countersignatory.signRemoteHtlc(
          keys.perCommitmentPoint,
          second.sighash,
        ),
        ...(!second.htlc.offered && { preimage: secondPreimage }),
      });
      const expected = htlcTransactionWeight("zero_fee_commitments", second.htlc.offered);
      expect(theirs(final).weight()).toBeLessThanOrEqual(expected);
    }
  });
});
