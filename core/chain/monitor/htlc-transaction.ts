/** Our own HTLC-timeout and HTLC-success transactions, signed for publication (BOLT 3, BOLT 5 "Generation of HTLC Transactions"). */
import type { Preimage } from "../../primitives/brands.ts";
import { finalizeHtlcTransaction, type HtlcTransaction } from "../../transactions/htlc.ts";
import {
  outpointKey,
  serializeTransaction,
  transactionId,
} from "../../transactions/transaction.ts";
import { hasZeroFeeHtlcs, htlcTransactionWeight } from "../../transactions/weights.ts";
import { type FeeSchedule, feeFor, feerateAt, MIN_FEERATE_PER_KW } from "./fees.ts";
import type { Case, ClosingOutput, Prepared } from "./plan.ts";
import type { Claim } from "./watched.ts";

/** One P2WPKH input and one P2WPKH change output, which pay the fee of a zero-fee HTLC transaction. */
const ADDED_WEIGHT = 272 + 124;
/** Spending the second-stage output later, as one input among others (BOLT 5's to_local weights). */
const SECOND_SWEEP_WEIGHT = 324;

/** Undefined where the record holds no signature of the peer for it: a commitment that is not our newest. */
export function prepareHtlcTransaction(
  work: Case,
  output: ClosingOutput,
  schedule: FeeSchedule,
  preimage: Preimage | undefined,
): Prepared | undefined {
  const { context, channel, commitment, policy, view } = work;
  const { own, keys } = commitment;
  const index = own?.htlcs.findIndex(({ vout }) => vout === output.outpoint.vout) ?? -1;
  const unsigned = own?.htlcs[index];
  const countersignatory = channel.local.remoteHtlcSignatures[index];
  if (unsigned === undefined || countersignatory === undefined || keys === undefined) {
    return undefined;
  }
  const { perCommitmentPoint } = keys;
  const broadcaster = context.signer.signClaim(
    { role: "htlc", perCommitmentPoint },
    unsigned.sighash,
  );
  // The sighash type of both signatures is the peer's: with zero-fee HTLCs a gateway can add the fee without our keys.
  const transaction = finalizeHtlcTransaction(unsigned, {
    broadcaster,
    countersignatory,
    ...(preimage === undefined ? {} : { preimage }),
  });
  const zeroFee = hasZeroFeeHtlcs(channel.terms.channelType);
  const purpose = unsigned.htlc.offered ? "htlc-timeout" : "htlc-success";
  const claim: Claim = {
    id: `${purpose}:${outpointKey(output.outpoint)}`,
    purpose,
    raw: serializeTransaction(transaction),
    txid: transactionId(context.crypto, transaction),
    deadline: schedule.deadline,
    feeratePerKw: zeroFee
      ? feerateAt(schedule, view.tipHeight, policy, feerateCeiling(work, unsigned))
      : channel.local.spec.feeratePerKw,
    ...(zeroFee
      ? {
          needs: {
            type: "fee-inputs",
            inputAmounts: [unsigned.amount],
            inputScripts: [output.script],
          },
        }
      : {}),
  };
  return { claim, worthwhile: !zeroFee || isWorthwhile(work, unsigned) };
}

/** The fee never exceeds the HTLC. */
function feerateCeiling({ channel }: Case, { amount, htlc }: HtlcTransaction): number {
  const weight = htlcTransactionWeight(channel.terms.channelType, htlc.offered) + ADDED_WEIGHT;
  return Math.floor((amount * 1000) / weight);
}

/** Whether something is left of it after the fee of its transaction and of sweeping what that pays. */
function isWorthwhile({ channel, policy }: Case, { amount, htlc }: HtlcTransaction): boolean {
  const own = htlcTransactionWeight(channel.terms.channelType, htlc.offered);
  const weight = own + ADDED_WEIGHT + SECOND_SWEEP_WEIGHT;
  return amount > feeFor(weight, Math.max(policy.feeratesPerKw.economy, MIN_FEERATE_PER_KW));
}
