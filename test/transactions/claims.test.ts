/**
 * Every output of a commitment can be claimed as BOLT 5 says, judged by an interpreter that is not
 * ours.
 */
import { describe, expect, it } from "vitest";
import type { TxOutput } from "../../core/ports/chain.ts";
import type { ChannelSigner } from "../../core/ports/signer.ts";
import type { Txid } from "../../core/primitives/brands.ts";
import {
  type Claim,
  delayedClaim,
  expiredAnchorClaim,
  htlcByPreimageClaim,
  htlcByTimeoutClaim,
  keyedAnchorClaim,
  revokedDelayedClaim,
  revokedHtlcClaim,
  sharedAnchorClaim,
  toRemoteClaim,
} from "../../core/transactions/claims.ts";
import {
  type CommitmentOutput,
  type CommitmentOutputKind,
  finalizeCommitment,
} from "../../core/transactions/commitment.ts";
import { fundingOutput } from "../../core/transactions/funding.ts";
import { finalizeHtlcTransaction, type HtlcTransaction } from "../../core/transactions/htlc.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import { buildSweep, finalizeSweep, sweepWeight } from "../../core/transactions/sweep.ts";
import {
  type Transaction,
  transactionId,
  transactionWeight,
  unsignedInput,
} from "../../core/transactions/transaction.ts";
import { htlcTransactionWeight } from "../../core/transactions/weights.ts";
import {
  type ChannelPair,
  channelPair,
  channelTypes,
  crypto,
  firstPreimage,
  secondPreimage,
} from "../support/channel-pair.ts";
import { judgeSpend } from "../support/script-verifier.ts";

const payout = p2wpkh(crypto, channelPair("anchors").broadcaster.basepoints.fundingPubkey);
const FEERATE = 1000;

function output({ commitment }: ChannelPair, kind: CommitmentOutputKind): CommitmentOutput {
  return commitment.outputs.find((candidate) => candidate.kind === kind) as CommitmentOutput;
}

function claimable(
  { commitment }: ChannelPair,
  { vout, amount }: { vout: number; amount: number },
) {
  const txid = transactionId(crypto, commitment.transaction);
  return { outpoint: { txid, vout }, amount: amount as CommitmentOutput["amount"] };
}

function htlcOf({ commitment }: ChannelPair, offered: boolean): HtlcTransaction {
  return commitment.htlcs.find(({ htlc }) => htlc.offered === offered) as HtlcTransaction;
}

function scriptSource({ htlc }: HtlcTransaction) {
  return { ...htlc, paymentHash160: crypto.ripemd160(htlc.paymentHash) };
}

/** Sweeps the claims with the signer's keys. */
function sweep(claims: readonly Claim[], signer: ChannelSigner): Transaction {
  const built = buildSweep(crypto, claims, payout, FEERATE);
  if (built.type === "dust") throw new Error("nothing left to sweep");
  const signatures = claims.map(
    (claim, index) =>
      claim.key && signer.signClaim(claim.key, built.sighashes[index] as Uint8Array),
  );
  return finalizeSweep(built, signatures);
}

/** The verdict on a sweep of one claim. */
function judge(claim: Claim, spent: TxOutput, signer: ChannelSigner): string {
  return judgeSpend(sweep([claim], signer), 0, spent);
}

/** A claim with another sequence or locktime: what a thief in a hurry would try. */
function hurried(claim: Claim, change: Partial<Claim>): Claim {
  return { ...claim, ...change };
}

function finalizedHtlc(pair: ChannelPair, htlc: HtlcTransaction): Transaction {
  const { perCommitmentPoint } = pair.keys;
  return finalizeHtlcTransaction(htlc, {
    broadcaster: pair.broadcaster.signClaim({ role: "htlc", perCommitmentPoint }, htlc.sighash),
    countersignatory: pair.countersignatory.signRemoteHtlc(perCommitmentPoint, htlc.sighash),
    ...(!htlc.htlc.offered && { preimage: secondPreimage }),
  });
}

describe.each(channelTypes)("a commitment of %s", (channelType) => {
  const pair = channelPair(channelType);
  const { terms, keys, commitment, broadcaster, countersignatory } = pair;

  it("spends the funding output with both signatures", () => {
    const signed = finalizeCommitment(commitment, terms, {
      broadcaster: broadcaster.signLocalCommitment(pair.spec.number, commitment.sighash),
      countersignatory: countersignatory.signRemoteCommitment(pair.spec.number, commitment.sighash),
    });
    const pubkeys = [
      terms.countersignatory.fundingPubkey,
      terms.broadcaster.fundingPubkey,
    ] as const;
    const funding = fundingOutput(crypto, pubkeys, terms.fundingSatoshis);
    expect(judgeSpend(signed, 0, funding)).toBe("valid");
  });

  it("gives to_local to its broadcaster after the delay, not before, and to nobody else", () => {
    const toLocal = output(pair, "toBroadcaster");
    const claim = delayedClaim(claimable(pair, toLocal), keys, terms.toSelfDelay);
    expect(judge(claim, toLocal, broadcaster)).toBe("valid");
    expect(judge(hurried(claim, { sequence: 143 }), toLocal, broadcaster)).toMatch(/LOCKTIME/);
    expect(judge(claim, toLocal, countersignatory)).not.toBe("valid");
  });

  it("gives to_remote to the countersignatory", () => {
    const toRemote = output(pair, "toCountersignatory");
    const { paymentBasepoint } = terms.countersignatory;
    const place = claimable(pair, toRemote);
    const claim = toRemoteClaim(crypto, place, channelType, paymentBasepoint);
    expect(judge(claim, toRemote, countersignatory)).toBe("valid");
    expect(claim.sequence).toBe(channelType === "anchors" ? 1 : 0xfffffffd);
    if (channelType === "anchors") {
      expect(judge(hurried(claim, { sequence: 0 }), toRemote, countersignatory)).toMatch(
        /LOCKTIME/,
      );
    }
  });

  it("gives an offered HTLC to the countersignatory for the preimage alone", () => {
    const offered = htlcOf(pair, true);
    const spent = commitment.outputs[offered.vout] as CommitmentOutput;
    const claim = (preimage: typeof firstPreimage) =>
      htlcByPreimageClaim(
        crypto,
        claimable(pair, offered),
        channelType,
        keys,
        scriptSource(offered),
        preimage,
      );
    expect(judge(claim(firstPreimage), spent, countersignatory)).toBe("valid");
    expect(judge(claim(secondPreimage), spent, countersignatory)).not.toBe("valid");
  });

  it("gives a received HTLC to the countersignatory once it has expired", () => {
    const received = htlcOf(pair, false);
    const spent = commitment.outputs[received.vout] as CommitmentOutput;
    const place = claimable(pair, received);
    const source = scriptSource(received);
    const claim = htlcByTimeoutClaim(crypto, place, channelType, keys, source);
    const hasty = hurried(claim, { locktime: claim.locktime - 1 });
    expect(judge(claim, spent, countersignatory)).toBe("valid");
    expect(judge(hasty, spent, countersignatory)).toMatch(/LOCKTIME/);
  });

  it.each([
    ["HTLC-timeout", true],
    ["HTLC-success", false],
  ])("lets its broadcaster send %s, and claim its output after the delay", (_, offered) => {
    const htlc = htlcOf(pair, offered);
    const second = finalizedHtlc(pair, htlc);
    const spent = commitment.outputs[htlc.vout] as CommitmentOutput;
    expect(judgeSpend(second, 0, spent)).toBe("valid");

    const [result] = second.outputs as [TxOutput];
    const outpoint = { txid: transactionId(crypto, second), vout: 0 };
    const claim = delayedClaim({ ...result, outpoint }, keys, terms.toSelfDelay);
    expect(judge(claim, result, broadcaster)).toBe("valid");
    expect(judge(hurried(claim, { sequence: 143 }), result, broadcaster)).toMatch(/LOCKTIME/);
  });

  it("takes a fee input on its HTLC transactions where, and only where, they pay none", () => {
    const htlc = htlcOf(pair, true);
    const second = finalizedHtlc(pair, htlc);
    const outpoint = { txid: new Uint8Array(32).fill(9) as Txid, vout: 0 };
    const extended: Transaction = {
      ...second,
      inputs: [...second.inputs, unsignedInput(outpoint, 0xfffffffd)],
      outputs: [...second.outputs, { script: payout, amount: htlc.amount }],
    };
    const spent = commitment.outputs[htlc.vout] as CommitmentOutput;
    const extensible = channelType !== "static_remotekey";
    expect(judgeSpend(extended, 0, spent) === "valid").toBe(extensible);
  });

  it("loses everything to the countersignatory once it is revoked, second stages included", () => {
    const perCommitmentSecret = pair.revoke();
    const toLocal = output(pair, "toBroadcaster");
    const htlcs = commitment.htlcs.map((htlc) => ({
      spent: commitment.outputs[htlc.vout] as CommitmentOutput,
      claim: revokedHtlcClaim(
        crypto,
        claimable(pair, htlc),
        channelType,
        keys,
        scriptSource(htlc),
        perCommitmentSecret,
      ),
    }));
    const secondStages = commitment.htlcs.map((htlc) => {
      const second = finalizedHtlc(pair, htlc);
      const [spent] = second.outputs as [TxOutput];
      const place = { ...spent, outpoint: { txid: transactionId(crypto, second), vout: 0 } };
      const claim = revokedDelayedClaim(place, keys, terms.toSelfDelay, perCommitmentSecret);
      return { spent, claim };
    });
    const all = [
      {
        spent: toLocal,
        claim: revokedDelayedClaim(
          claimable(pair, toLocal),
          keys,
          terms.toSelfDelay,
          perCommitmentSecret,
        ),
      },
      ...htlcs,
      ...secondStages,
    ];

    const penalty = sweep(
      all.map(({ claim }) => claim),
      countersignatory,
    );

    expect(all).toHaveLength(5);
    expect(all.map(({ spent }, index) => judgeSpend(penalty, index, spent))).toEqual(
      all.map(() => "valid"),
    );
  });

  it("has HTLC transactions no heavier than BOLT 3 expects", () => {
    for (const htlc of commitment.htlcs) {
      const expected = htlcTransactionWeight(channelType, htlc.htlc.offered);
      const weight = transactionWeight(finalizedHtlc(pair, htlc));
      expect(weight).toBeLessThanOrEqual(expected);
      // BOLT 3 counts signatures of 73 bytes, a script number of 3 bytes; ours are of 70 … 72.
      expect(weight).toBeGreaterThanOrEqual(expected - 8);
    }
  });
});

describe("anchors", () => {
  const pair = channelPair("anchors");

  it("are each spent by their owner's funding key at once", () => {
    for (const [kind, owner, other] of [
      ["broadcasterAnchor", pair.broadcaster, pair.countersignatory],
      ["countersignatoryAnchor", pair.countersignatory, pair.broadcaster],
    ] as const) {
      const anchor = output(pair, kind);
      const { outpoint } = claimable(pair, anchor);
      const claim = keyedAnchorClaim(outpoint, owner.basepoints.fundingPubkey);
      const filler = delayedClaim(
        claimable(pair, output(pair, "toBroadcaster")),
        pair.keys,
        pair.terms.toSelfDelay,
      );
      expect(judgeSpend(sweep([claim, filler], owner), 0, anchor)).toBe("valid");
      expect(judgeSpend(sweep([claim, filler], other), 0, anchor)).not.toBe("valid");
    }
  });

  it("are anyone's after 16 blocks", () => {
    const anchor = output(pair, "countersignatoryAnchor");
    const { outpoint } = claimable(pair, anchor);
    const claim = expiredAnchorClaim(outpoint, pair.terms.countersignatory.fundingPubkey);
    const filler = keyedAnchorClaim(
      claimable(pair, output(pair, "broadcasterAnchor")).outpoint,
      pair.terms.broadcaster.fundingPubkey,
    );
    const built = buildSweep(crypto, [claim, filler], payout, 100);
    if (built.type !== "sweep") throw new Error("unexpected dust");
    const signature = pair.broadcaster.signClaim(
      { role: "funding" },
      built.sighashes[1] as Uint8Array,
    );
    const spend = finalizeSweep(built, [undefined, signature]);
    expect(judgeSpend(spend, 0, anchor)).toBe("valid");
    const early: Transaction = {
      ...spend,
      inputs: spend.inputs.map((input) => ({ ...input, sequence: 15 })),
    };
    expect(judgeSpend(early, 0, anchor)).toMatch(/LOCKTIME/);
  });

  it("are shared in zero-fee commitments, and spent without a witness", () => {
    const zeroFee = channelPair("zero_fee_commitments");
    const anchor = output(zeroFee, "sharedAnchor");
    const toLocal = output(zeroFee, "toBroadcaster");
    const spend = sweep(
      [
        sharedAnchorClaim(claimable(zeroFee, anchor)),
        delayedClaim(claimable(zeroFee, toLocal), zeroFee.keys, zeroFee.terms.toSelfDelay),
      ],
      zeroFee.broadcaster,
    );
    expect(judgeSpend(spend, 0, anchor)).toBe("valid");
    expect(judgeSpend(spend, 1, toLocal)).toBe("valid");
  });
});

describe("a sweep", () => {
  const pair = channelPair("anchors");
  const toLocal = output(pair, "toBroadcaster");
  const received = htlcOf(pair, false);
  const claims = [
    delayedClaim(claimable(pair, toLocal), pair.keys, pair.terms.toSelfDelay),
    htlcByTimeoutClaim(
      crypto,
      claimable(pair, received),
      "anchors",
      pair.keys,
      scriptSource(received),
    ),
  ];

  it("weighs what was expected, within two bytes for each signature", () => {
    const expected = sweepWeight(claims, payout);
    const weight = transactionWeight(sweep(claims, pair.broadcaster));
    expect(weight).toBeLessThanOrEqual(expected);
    expect(weight).toBeGreaterThanOrEqual(expected - 2 * claims.length);
  });

  it("pays the feerate, conserves value, and waits for the latest locktime", () => {
    const built = buildSweep(crypto, claims, payout, FEERATE, { locktime: 12 });
    if (built.type !== "sweep") throw new Error("unexpected dust");
    const [{ amount }] = built.transaction.outputs as [TxOutput];
    const weight = transactionWeight(sweep(claims, pair.broadcaster));
    expect(amount + built.feeSatoshis).toBe(toLocal.amount + received.amount);
    expect((built.feeSatoshis * 1000) / weight).toBeGreaterThanOrEqual(FEERATE);
    expect((built.feeSatoshis * 1000) / weight).toBeLessThan(1.01 * FEERATE);
    expect(built.transaction.locktime).toBe(received.htlc.cltvExpiry);
    expect(buildSweep(crypto, claims, payout, FEERATE, { locktime: 800_000 })).toMatchObject({
      transaction: { locktime: 800_000, version: 2 },
    });
  });

  it("is given up as dust where the fee would leave less than the payout's dust limit", () => {
    const [claim] = claims as [Claim, Claim];
    const fee = Math.ceil((sweepWeight([claim], payout) * FEERATE) / 1000);
    const at = (left: number) =>
      buildSweep(crypto, [{ ...claim, amount: (fee + left) as Claim["amount"] }], payout, FEERATE);
    expect(at(294).type).toBe("sweep");
    expect(at(293)).toMatchObject({ type: "dust", feeSatoshis: fee });
  });
});
