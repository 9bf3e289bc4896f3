/** One HTLC that is forwarded, as the forwarder keeps it in memory until it is settled upstream. */
import type { Htlc } from "../../core/channel/record.ts";
import { decodeFailure, encodeFailure } from "../../core/payments/failure.ts";
import { encodeInstructions, type ForwardInstructions } from "../../core/payments/instructions.ts";
import type { ChannelId, Preimage } from "../../core/primitives/brands.ts";
import type { IncomingHtlc } from "./incoming.ts";
import type { Payment } from "./ledger.ts";
import type { Way } from "./next-hop.ts";

/** An HTLC offered to us that is to go on, until it is settled upstream. */
export interface Forward {
  readonly at: IncomingHtlc;
  readonly hash: Payment["paymentHash"];
  /** Channels over which it came back. */
  readonly tried: ChannelId[];
  /** Its row, once it is written as pending: whatever comes next, it is to be resolved. */
  entry?: Payment | undefined;
  state:
    | { readonly type: "checking" }
    | { readonly type: "held"; readonly held: HeldForward }
    | {
        readonly type: "offered";
        readonly held?: HeldForward;
        readonly way?: Way | undefined;
      }
    | { readonly type: "fulfilled"; readonly preimage: Preimage }
    | { readonly type: "failed"; readonly reason: Uint8Array };
}

export interface HeldForward {
  readonly htlc: Htlc;
  readonly instructions: ForwardInstructions;
  readonly untilMs: number;
}

/** Over a channel with the destination. */
export function finalHop({ amountMsat, cltvExpiry, sealed }: ForwardInstructions) {
  return { amountMsat, cltvExpiry, onion: encodeInstructions({ type: "final", sealed }) };
}

/** Terms that another gateway told us are of our HTLC, not of the one that was offered to us. */
export function reasonUpstream({ state }: Forward, reason: Uint8Array): Uint8Array {
  const code = decodeFailure(reason)?.code;
  const isTerms = code === "feeInsufficient" || code === "incorrectCltvExpiry";
  const isOfWay = state.type === "offered" && state.way !== undefined;
  return isTerms && isOfWay ? encodeFailure("temporaryChannelFailure") : reason;
}
