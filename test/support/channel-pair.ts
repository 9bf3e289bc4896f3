/**
 * Two seed signers that share a channel of any type, and one state of it with HTLCs in both
 * directions, as both build it.
 */
import { commitmentKeys } from "../../core/keys/derivation.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Outpoint } from "../../core/ports/chain.ts";
import {
  blockHeight,
  commitmentNumber,
  milliSatoshi,
  paymentHash,
  preimage,
  satoshi,
  txid,
} from "../../core/primitives/brands.ts";
import { buildCommitment } from "../../core/transactions/commitment.ts";
import type {
  ChannelType,
  CommitmentHtlc,
  CommitmentSpec,
  CommitmentTerms,
} from "../../core/transactions/terms.ts";
import { native, noble } from "./crypto-providers.ts";

/** Fast where it can be; both providers give the same bytes. */
export const crypto = native ?? noble;

export const channelTypes: readonly ChannelType[] = [
  "zero_fee_commitments",
  "anchors",
  "static_remotekey",
];

const SOME_OUTPOINT: Outpoint = { txid: txid(new Uint8Array(32).fill(0xaa)), vout: 1 };

export const firstPreimage = preimage(new Uint8Array(32).fill(0x11));
export const secondPreimage = preimage(new Uint8Array(32).fill(0x22));

/**
 * One offered and one received HTLC of 50,000 sat, and a received one that every dust limit trims.
 */
export const sampleHtlcs: readonly CommitmentHtlc[] = [
  htlc({ offered: true, id: 0, amountMsat: 50_000_999, preimage: firstPreimage }),
  htlc({ offered: false, id: 0, amountMsat: 50_000_000, preimage: secondPreimage }),
  htlc({ offered: false, id: 1, amountMsat: 99_500, preimage: secondPreimage }),
];

export function htlc(from: {
  offered: boolean;
  id: number;
  amountMsat: number;
  preimage?: Uint8Array;
  cltvExpiry?: number;
}): CommitmentHtlc {
  return {
    offered: from.offered,
    id: from.id,
    amountMsat: milliSatoshi(from.amountMsat),
    paymentHash: paymentHash(crypto.sha256(from.preimage ?? firstPreimage)),
    cltvExpiry: blockHeight(from.cltvExpiry ?? 700_000),
  };
}

/** What differs from a channel of 1,000,000 sat with 600,000 for the broadcaster. */
export interface PairOptions {
  readonly fundingSatoshis?: number;
  readonly dustLimitSatoshis?: number;
  readonly toBroadcasterMsat?: number;
  readonly toCountersignatoryMsat?: number;
  readonly feeratePerKw?: number;
  readonly htlcs?: readonly CommitmentHtlc[];
  readonly broadcasterIsOpener?: boolean;
  readonly number?: number;
  readonly fundingOutpoint?: Outpoint;
  readonly toSelfDelay?: number;
}

export function channelPair(channelType: ChannelType, options: PairOptions = {}) {
  const broadcaster = new SeedSigner(crypto, new Uint8Array(32).fill(1)).channel(0);
  const countersignatory = new SeedSigner(crypto, new Uint8Array(32).fill(2)).channel(0);
  const number = commitmentNumber(options.number ?? 5);
  const terms: CommitmentTerms = {
    channelType,
    fundingOutpoint: options.fundingOutpoint ?? SOME_OUTPOINT,
    fundingSatoshis: satoshi(options.fundingSatoshis ?? 1_000_000),
    broadcasterIsOpener: options.broadcasterIsOpener ?? true,
    broadcaster: broadcaster.basepoints,
    countersignatory: countersignatory.basepoints,
    dustLimitSatoshis: satoshi(options.dustLimitSatoshis ?? 354),
    toSelfDelay: options.toSelfDelay ?? 144,
  };
  const htlcs = options.htlcs ?? sampleHtlcs;
  const inHtlcs = htlcs.reduce((sum, { amountMsat }) => sum + amountMsat, 0);
  const toBroadcasterMsat = options.toBroadcasterMsat ?? 600_000_000;
  const spec: CommitmentSpec = {
    number,
    toBroadcasterMsat: milliSatoshi(toBroadcasterMsat),
    toCountersignatoryMsat: milliSatoshi(
      options.toCountersignatoryMsat ?? terms.fundingSatoshis * 1000 - toBroadcasterMsat - inHtlcs,
    ),
    feeratePerKw: options.feeratePerKw ?? (channelType === "zero_fee_commitments" ? 0 : 1000),
    htlcs,
  };
  const perCommitmentPoint = broadcaster.perCommitmentPoint(number);
  const keys = commitmentKeys(crypto, { ...terms, perCommitmentPoint });
  broadcaster.stored({ localNumber: number, remoteNumber: number, outdated: false });
  return {
    terms,
    spec,
    keys,
    broadcaster,
    countersignatory,
    commitment: buildCommitment(crypto, terms, keys, spec),
    /** Reveals what makes this commitment revoked. */
    revoke: () => {
      broadcaster.stored({ localNumber: number + 1, remoteNumber: number + 1, outdated: false });
      return broadcaster.revokeLocal(number);
    },
  };
}

export type ChannelPair = ReturnType<typeof channelPair>;
