/** What a channel is given beside its own state: keys, limits, the chain's tip; never a clock, never randomness. */

import type { ArchivedHtlc } from "../chain/monitor/watched.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { ChannelSigner, NodeSigner } from "../ports/signer.ts";
import type { BlockHeight, MilliSatoshi, PublicKey, Satoshi } from "../primitives/brands.ts";
import type { ChannelType } from "../transactions/terms.ts";
import type { CommitmentCache } from "./commitment-cache.ts";

export interface Feerates {
  /** Satoshi per 1000 weight. */
  readonly now: number;
  readonly soon: number;
  readonly economy: number;
}

/** Limits and choices of this node for its channels; defaults in core/channel/policy.ts. */
export interface ChannelPolicy {
  readonly channelTypes: readonly ChannelType[];
  readonly minFundingSatoshis: Satoshi;
  readonly maxFundingSatoshis: Satoshi;
  readonly dustLimitSatoshis: Satoshi;
  readonly maxDustLimitSatoshis: Satoshi;
  readonly htlcMinimumMsat: MilliSatoshi;
  readonly maxHtlcValueInFlightMsat: MilliSatoshi;
  /** At most 483, 114 with zero_fee_commitments, 30 on a device. */
  readonly maxAcceptedHtlcs: number;
  /** What the peer must keep, in parts per million of the channel; 0 where both sides agree to none. */
  readonly reservePpm: number;
  readonly allowZeroReserve: boolean;
  readonly toSelfDelay: number;
  readonly maxToSelfDelay: number;
  readonly minimumDepth: number;
  readonly maxMinimumDepth: number;
  readonly minFeeratePerKw: number;
  readonly maxFeeratePerKw: number;
  /** Openers whose channels may be used before the funding confirms. */
  acceptsZeroConf(opener: PublicKey): boolean;
  /** Publish our commitment this many blocks before an HTLC whose preimage we know expires. */
  readonly fulfillSafetyBlocks: number;
  /** Wait this many blocks after the expiry of an HTLC we offered before publishing. */
  readonly timeoutGraceBlocks: number;
  readonly irrevocableDepth: number;
  /** Trimmed HTLCs may hold at most this much in one commitment. */
  readonly maxDustExposureMsat: MilliSatoshi;
  /** What the peer may have us store, in bytes: of an HTLC's onion (more is a violation), of a failure's reason (cut). */
  readonly maxOnionBytes: number;
  readonly maxReasonBytes: number;
  /** Own pushes without a receipt that are remembered; older receipts are not asked for. */
  readonly maxReceiptsAwaited: number;
  /**
   * HTLCs of revoked commitments that are remembered; of older ones the second stage is still punished, though not the
   * output itself.
   */
  readonly maxArchivedHtlcs: number;
  /** Of all transactions on chain that the record keeps. */
  readonly maxFactBytes: number;
}

/** What both sides said in `init`. */
export interface Negotiated {
  readonly zeroReserve: boolean;
  readonly anySegwitShutdown: boolean;
  /** The only mutual close that there is here. */
  readonly simpleClose: boolean;
  /** Otherwise the peer would ignore a push, and sign another commitment than we check. */
  readonly pushUpdates: boolean;
  /** The peer takes part in the routing table of gateways. */
  readonly routingTable?: boolean;
  /** The peer keeps a blob for us, and we one for it. */
  readonly provideStorage?: boolean;
  readonly channelTypes: readonly ChannelType[];
  /** Largest messages that we and the peer take, in bytes. */
  readonly localMaxMessageBytes: number;
  readonly remoteMaxMessageBytes: number;
}

export interface Context {
  readonly crypto: Crypto;
  readonly nodeSigner: NodeSigner;
  readonly signer: ChannelSigner;
  readonly policy: ChannelPolicy;
  readonly negotiated: Negotiated;
  readonly chainHash: Uint8Array;
  readonly tipHeight: BlockHeight;
  readonly feerates: Feerates;
  /** Where mutual closes and claims pay to. */
  readonly payoutScript: Uint8Array;
  /** Why new payments are declined at the moment (offline budget); undefined: they are not. */
  readonly declineReason?: string;
  /** HTLCs of revoked commitments, read from the store when the channel ends. */
  readonly archive: readonly ArchivedHtlc[];
  /** Of this channel, where it is run for longer than one input. */
  readonly commitments?: CommitmentCache | undefined;
}
