/** What a gateway asks of an HTLC before it forwards it: fee, time and size (BOLT 7 "HTLC Fees", BOLT 2 "cltv_expiry_delta"). */
import { REASONABLE_DEPTH_BLOCKS } from "../../core/chain/monitor/failed-htlcs.ts";
import type { ChannelPolicy } from "../../core/channel/context.ts";
import type { Htlc } from "../../core/channel/record.ts";
import type { FailureCode } from "../../core/payments/failure.ts";
import type { ForwardInstructions } from "../../core/payments/instructions.ts";
import { type BlockHeight, type MilliSatoshi, milliSatoshi } from "../../core/primitives/brands.ts";

export interface ForwardPolicy {
  readonly feeBaseMsat: MilliSatoshi;
  readonly feeProportionalMillionths: number;
  readonly cltvExpiryDelta: number;
  readonly htlcMinimumMsat: MilliSatoshi;
  readonly htlcMaximumMsat: MilliSatoshi;
  /** An HTLC that we offer has at least this many blocks left. */
  readonly minBlocksToExpiry: number;
  /** One that is offered to us at most so many. */
  readonly maxBlocksToExpiry: number;
  /** How long an HTLC waits for a receiver that is asleep. */
  readonly holdMs: number;
  readonly maxHeld: number;
  readonly maxHeldPerDestination: number;
}

export const defaultForwardPolicy: ForwardPolicy = {
  feeBaseMsat: milliSatoshi(1_000),
  feeProportionalMillionths: 1_000,
  cltvExpiryDelta: 72,
  htlcMinimumMsat: milliSatoshi(1),
  htlcMaximumMsat: milliSatoshi(Number.MAX_SAFE_INTEGER),
  minBlocksToExpiry: 20,
  maxBlocksToExpiry: 2_016,
  holdMs: 60_000,
  maxHeld: 1_000,
  maxHeldPerDestination: 20,
};

/** Blocks that a closing transaction and then an HTLC's may take to confirm, with a deadline to raise their fees. */
const CONFIRMATION_BLOCKS = 12;

/**
 * Below this, an HTLC that expires downstream could not be settled there before the one upstream has to be: we close
 * when it is expired, it comes back, that is deep enough, and still upstream may be claimed in time.
 */
export function minimumCltvExpiryDelta(policy: ChannelPolicy): number {
  const { timeoutGraceBlocks, fulfillSafetyBlocks } = policy;
  return timeoutGraceBlocks + CONFIRMATION_BLOCKS + REASONABLE_DEPTH_BLOCKS + fulfillSafetyBlocks;
}

/** What forwarding `amountMsat` costs; exact, rounded down like everyone's. */
export function forwardFee(
  policy: Pick<ForwardPolicy, "feeBaseMsat" | "feeProportionalMillionths">,
  amountMsat: MilliSatoshi,
): MilliSatoshi {
  const share = (BigInt(amountMsat) * BigInt(policy.feeProportionalMillionths)) / 1_000_000n;
  return milliSatoshi(policy.feeBaseMsat + Number(share));
}

/** Why an HTLC is not forwarded; undefined where it is. */
export function forwardRefusal(
  policy: ForwardPolicy,
  htlc: Pick<Htlc, "amountMsat" | "cltvExpiry">,
  { amountMsat, cltvExpiry }: Pick<ForwardInstructions, "amountMsat" | "cltvExpiry">,
  tipHeight: BlockHeight,
): FailureCode | undefined {
  if (amountMsat < policy.htlcMinimumMsat) return "amountBelowMinimum";
  if (amountMsat > policy.htlcMaximumMsat) return "temporaryChannelFailure";
  // By subtraction: the sum could be beyond what a double counts.
  const fee = htlc.amountMsat - amountMsat;
  if (fee < 0 || fee < forwardFee(policy, amountMsat)) return "feeInsufficient";
  if (htlc.cltvExpiry - cltvExpiry < policy.cltvExpiryDelta) return "incorrectCltvExpiry";
  if (cltvExpiry < tipHeight + policy.minBlocksToExpiry) return "expiryTooSoon";
  if (htlc.cltvExpiry > tipHeight + policy.maxBlocksToExpiry) return "expiryTooFar";
  return undefined;
}

/** What goes with a refusal, so that the payer can try again: base u32, proportional u32, delta u16. */
export function encodeTerms(policy: ForwardTerms): Uint8Array {
  const out = new Uint8Array(10);
  const view = new DataView(out.buffer);
  view.setUint32(0, policy.feeBaseMsat);
  view.setUint32(4, policy.feeProportionalMillionths);
  view.setUint16(8, policy.cltvExpiryDelta);
  return out;
}

export type ForwardTerms = Pick<
  ForwardPolicy,
  "feeBaseMsat" | "feeProportionalMillionths" | "cltvExpiryDelta"
>;

/** What we and all behind us on a way ask for together, for exactly this amount: whoever pays it needs one number. */
export function termsOfWay(
  policy: ForwardPolicy,
  end: Pick<ForwardInstructions, "amountMsat" | "cltvExpiry">,
  first: Pick<ForwardInstructions, "amountMsat" | "cltvExpiry">,
): ForwardTerms {
  const fee = first.amountMsat - end.amountMsat + forwardFee(policy, first.amountMsat);
  return {
    feeBaseMsat: milliSatoshi(Math.min(fee, MAX_U32)),
    feeProportionalMillionths: 0,
    cltvExpiryDelta: Math.min(first.cltvExpiry - end.cltvExpiry + policy.cltvExpiryDelta, MAX_U16),
  };
}

/** What the field holds; where a fee is above it, the payment fails. */
const MAX_U32 = 0xffff_ffff;
const MAX_U16 = 0xffff;

export function decodeTerms(data: Uint8Array): ForwardTerms | undefined {
  if (data.length !== 10) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return {
    feeBaseMsat: milliSatoshi(view.getUint32(0)),
    feeProportionalMillionths: view.getUint32(4),
    cltvExpiryDelta: view.getUint16(8),
  };
}
