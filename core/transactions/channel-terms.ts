/** What two peers agreed to when they opened their channel (BOLT 2 open_channel, accept_channel, funding_created). */

import type { Outpoint } from "../ports/chain.ts";
import type { MilliSatoshi, Satoshi } from "../primitives/brands.ts";
import type { Basepoints, ChannelType, CommitmentTerms } from "./terms.ts";

/** One side's declaration: its own dust limit and keys, and what it demands of the other side. */
export interface Declaration {
  readonly basepoints: Basepoints;
  readonly dustLimitSatoshis: Satoshi;
  readonly maxHtlcValueInFlightMsat: MilliSatoshi;
  /** What the other side must keep. */
  readonly channelReserveSatoshis: Satoshi;
  readonly htlcMinimumMsat: MilliSatoshi;
  /** Blocks that the other side must wait for its own outputs. */
  readonly toSelfDelay: number;
  readonly maxAcceptedHtlcs: number;
  /** Empty: none. */
  readonly upfrontShutdownScript: Uint8Array;
  /** Our payment and delayed keys are the owner's and not derived from the seed (DESIGN "Cold payout"); only of local interest. */
  readonly coldPayout?: boolean;
}

export interface ChannelTerms {
  readonly channelType: ChannelType;
  readonly fundingOutpoint: Outpoint;
  readonly fundingSatoshis: Satoshi;
  readonly localIsOpener: boolean;
  /** Which of our channel keys (core/keys/seed-signer.ts). */
  readonly keyIndex: number;
  readonly local: Declaration;
  readonly remote: Declaration;
}

export type Side = "local" | "remote";

/** The terms as the transactions of one broadcaster need them. */
export function commitmentTerms(terms: ChannelTerms, broadcaster: Side): CommitmentTerms {
  const own = terms[broadcaster];
  const other = terms[broadcaster === "local" ? "remote" : "local"];
  return {
    channelType: terms.channelType,
    fundingOutpoint: terms.fundingOutpoint,
    fundingSatoshis: terms.fundingSatoshis,
    broadcasterIsOpener: terms.localIsOpener === (broadcaster === "local"),
    broadcaster: own.basepoints,
    countersignatory: other.basepoints,
    dustLimitSatoshis: own.dustLimitSatoshis,
    toSelfDelay: other.toSelfDelay,
  };
}
