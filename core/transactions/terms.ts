/** What a channel's transactions are made from: the terms that both sides agreed to, and the state to be committed (BOLT 3). */

import type { Outpoint } from "../ports/chain.ts";
import type {
  BlockHeight,
  CommitmentNumber,
  MilliSatoshi,
  PaymentHash,
  PerCommitmentPoint,
  PublicKey,
  Satoshi,
} from "../primitives/brands.ts";

/** `zero_fee_commitments`: version 3 with one P2A anchor; the others are BOLT 3 to the byte. */
export type ChannelType = "zero_fee_commitments" | "anchors" | "static_remotekey";

export interface Basepoints {
  readonly fundingPubkey: PublicKey;
  readonly revocationBasepoint: PublicKey;
  readonly paymentBasepoint: PublicKey;
  readonly delayedPaymentBasepoint: PublicKey;
  readonly htlcBasepoint: PublicKey;
}

/** What never changes between the commitment transactions of one broadcaster. */
export interface CommitmentTerms {
  readonly channelType: ChannelType;
  readonly fundingOutpoint: Outpoint;
  readonly fundingSatoshis: Satoshi;
  readonly broadcasterIsOpener: boolean;
  readonly broadcaster: Basepoints;
  readonly countersignatory: Basepoints;
  /** The broadcaster's own. */
  readonly dustLimitSatoshis: Satoshi;
  /** Blocks that the broadcaster must wait for its own outputs (the countersignatory declared it). */
  readonly toSelfDelay: number;
}

export interface CommitmentHtlc {
  /** Offered by the broadcaster of this commitment; otherwise received by it. */
  readonly offered: boolean;
  /** Its id in the direction in which it was offered. */
  readonly id: number;
  readonly amountMsat: MilliSatoshi;
  readonly paymentHash: PaymentHash;
  readonly cltvExpiry: BlockHeight;
}

/** One state as one commitment transaction shows it. Balances are before fees and anchors; HTLC amounts are taken out of them. */
export interface CommitmentSpec {
  readonly number: CommitmentNumber;
  readonly toBroadcasterMsat: MilliSatoshi;
  readonly toCountersignatoryMsat: MilliSatoshi;
  readonly feeratePerKw: number;
  readonly htlcs: readonly CommitmentHtlc[];
}

/** The keys of one commitment transaction (BOLT 3 "Key Derivation"). */
export interface CommitmentKeys {
  readonly perCommitmentPoint: PerCommitmentPoint;
  readonly revocationPubkey: PublicKey;
  readonly broadcasterDelayedPubkey: PublicKey;
  readonly broadcasterHtlcPubkey: PublicKey;
  readonly countersignatoryHtlcPubkey: PublicKey;
  /** Equals the countersignatory's payment_basepoint (option_static_remotekey in every type). */
  readonly countersignatoryPaymentPubkey: PublicKey;
}
