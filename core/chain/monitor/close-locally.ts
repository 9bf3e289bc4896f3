/** Publishing our own newest commitment (BOLT 5 "Failing a Channel"), and the signature that spends its keyed anchor. */
import { type BlockHeight, blockHeight, satoshiFloor } from "../../primitives/brands.ts";
import { toHex } from "../../primitives/bytes.ts";
import { assert } from "../../primitives/errors.ts";
import { keyedAnchorClaim } from "../../transactions/claims.ts";
import { type Commitment, finalizeCommitment } from "../../transactions/commitment.ts";
import { segwitSighash } from "../../transactions/sighash.ts";
import { claimWitness } from "../../transactions/sweep.ts";
import {
  parseTransaction,
  serializeTransaction,
  transactionId,
} from "../../transactions/transaction.ts";
import { commitmentWeight } from "../../transactions/weights.ts";
import { viewChain } from "./chain-view.ts";
import { feerateAt, MIN_FEERATE_PER_KW } from "./fees.ts";
import { rebuild } from "./identify.ts";
import type {
  ChainFacts,
  Claim,
  MonitorContext,
  MonitorPolicy,
  WatchedChannel,
} from "./watched.ts";

/** Without an HTLC that presses, the commitment may take that long. */
const COMMITMENT_PATIENCE_BLOCKS = 36;

/** A child with the anchor, one P2WPKH coin and change, roughly. */
const CHILD_WEIGHT = 720;

/** Witness of a child's input that spends a keyed anchor, in weight units: count, longest signature, script. */
export const KEYED_ANCHOR_WITNESS_WEIGHT = 1 + 73 + 41;

/**
 * The claims that close the channel now; none where our state is outdated (BOLT 5: MUST NOT broadcast)
 * or the funding output is spent already.
 * @param since the tip at which the close was decided, so that the feerate rises from there
 */
export function closeLocally(
  context: MonitorContext,
  channel: WatchedChannel,
  facts: ChainFacts,
  policy: MonitorPolicy,
  since: BlockHeight = facts.tipHeight,
): readonly Claim[] {
  // Rule `outdated-never-broadcasts`.
  if (channel.outdated) return [];
  const view = viewChain(context.crypto, facts);
  if (view.spendOf(channel.terms.fundingOutpoint) !== undefined) return [];
  const { spec, remoteSignature } = channel.local;
  const point = context.signer.perCommitmentPoint(spec.number);
  const { commitment, terms } = rebuild(context, channel, "local", spec, point);
  const transaction = finalizeCommitment(commitment, terms, {
    broadcaster: context.signer.signLocalCommitment(spec.number, commitment.sighash),
    countersignatory: remoteSignature,
  });
  const txid = transactionId(context.crypto, transaction);
  const deadline = commitmentDeadline(context, channel, since);
  const schedule = { start: since, deadline, urgency: "contested" as const };
  const anchor = commitment.outputs.find(
    ({ kind }) => kind === "broadcasterAnchor" || kind === "sharedAnchor",
  );
  const claim: Claim = {
    id: `commitment:${toHex(txid)}`,
    purpose: "commitment",
    raw: serializeTransaction(transaction),
    txid,
    deadline,
    feeratePerKw: anchor
      ? feerateAt(schedule, facts.tipHeight, policy, feerateCeiling(channel, commitment))
      : spec.feeratePerKw,
    ...(anchor === undefined
      ? {}
      : {
          needs: {
            type: "anchor-child",
            anchor: { txid, vout: anchor.vout },
            keyed: anchor.kind === "broadcasterAnchor",
            amount: anchor.amount,
            feeSatoshis: commitment.feeSatoshis,
          },
        }),
  };
  return [claim];
}

/** The witness for the input of `unsignedChild` that spends our keyed anchor. */
export function signKeyedAnchor(
  { crypto, signer }: MonitorContext,
  unsignedChild: Uint8Array,
  inputIndex: number,
): readonly Uint8Array[] {
  const child = parseTransaction(unsignedChild);
  const input = child.inputs[inputIndex];
  assert(input !== undefined, "the child has no such input");
  const claim = keyedAnchorClaim(input.outpoint, signer.basepoints.fundingPubkey);
  const sighash = segwitSighash(crypto, child, inputIndex, claim);
  return claimWitness(claim, signer.signClaim({ role: "funding" }, sighash));
}

/** The whole of what we may get out of it; whoever adds the child decides whether that is wise. */
function feerateCeiling({ terms, local }: WatchedChannel, commitment: Commitment): number {
  const balance = satoshiFloor(local.spec.toBroadcasterMsat);
  const stake = commitment.htlcs.reduce<number>((sum, { amount }) => sum + amount, balance);
  const weight = commitmentWeight(terms.channelType, commitment.htlcs.length) + CHILD_WEIGHT;
  return Math.max(MIN_FEERATE_PER_KW, Math.floor((stake * 1000) / weight));
}

/** Before an HTLC of ours expires, or one that we can claim is lost. */
function commitmentDeadline(
  { crypto }: MonitorContext,
  channel: WatchedChannel,
  since: BlockHeight,
): BlockHeight {
  const known = channel.preimages.map((preimage) => toHex(crypto.sha256(preimage)));
  const pressing = channel.local.spec.htlcs.filter(
    (htlc) => htlc.offered || known.includes(toHex(htlc.paymentHash)),
  );
  const patience = since + COMMITMENT_PATIENCE_BLOCKS;
  const earliest = pressing.reduce(
    (least: number, { cltvExpiry }) => Math.min(least, cltvExpiry),
    patience,
  );
  return blockHeight(Math.max(since + 1, earliest));
}
