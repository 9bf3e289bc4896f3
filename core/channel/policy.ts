/** The limits and choices that a node starts from; an operator changes fields, never code. */
import { milliSatoshi, satoshi } from "../primitives/brands.ts";
import type { ChannelPolicy, Feerates } from "./context.ts";

/** For a gateway or any host. */
export const hostPolicy: ChannelPolicy = {
  channelTypes: ["zero_fee_commitments", "anchors", "static_remotekey"],
  minFundingSatoshis: satoshi(10_000),
  maxFundingSatoshis: satoshi(16_777_215), // below 2^24 (BOLT 2, without option_support_large_channel)
  dustLimitSatoshis: satoshi(354),
  maxDustLimitSatoshis: satoshi(1_062),
  htlcMinimumMsat: milliSatoshi(1),
  maxHtlcValueInFlightMsat: milliSatoshi(Number.MAX_SAFE_INTEGER),
  maxAcceptedHtlcs: 483,
  reservePpm: 10_000,
  allowZeroReserve: true,
  toSelfDelay: 144,
  maxToSelfDelay: 2_016,
  minimumDepth: 3,
  maxMinimumDepth: 144,
  minFeeratePerKw: 253,
  maxFeeratePerKw: 250_000,
  acceptsZeroConf: () => false,
  fulfillSafetyBlocks: 18,
  timeoutGraceBlocks: 3,
  irrevocableDepth: 100,
  maxDustExposureMsat: milliSatoshi(50_000_000),
  maxOnionBytes: 1_366,
  maxReasonBytes: 512,
  maxReceiptsAwaited: 1_024,
  maxArchivedHtlcs: 65_536,
  maxFactBytes: 32 * 1024 * 1024,
};

/**
 * For a microcontroller: few HTLCs, small records. Whatever a peer does, a record fits into one commit of its flash
 * (firmware/store/flash-log.ts), or nothing more could be stored: no force-close, no penalty (rule `bounded`).
 */
export const devicePolicy: ChannelPolicy = {
  ...hostPolicy,
  toSelfDelay: 1_008, // a week: it may be without its gateway for days, and must still be in time to punish
  maxAcceptedHtlcs: 30,
  maxFeeratePerKw: 50_000,
  maxDustExposureMsat: milliSatoshi(5_000_000),
  maxOnionBytes: 93, // instructions for itself (core/payments/instructions.ts): it forwards nothing
  maxReasonBytes: 64,
  maxReceiptsAwaited: 64,
  maxArchivedHtlcs: 512,
  maxFactBytes: 10_240,
};

const MIN_FEERATE_PER_KW = 253;

/** Feerates as they are told to us, by a gateway that may lie: never beyond what the policy would ever pay. */
export function boundedFeerates(told: Feerates, { maxFeeratePerKw }: ChannelPolicy): Feerates {
  const bounded = (rate: number) =>
    Math.ceil(Math.min(Math.max(rate, MIN_FEERATE_PER_KW), maxFeeratePerKw));
  return { now: bounded(told.now), soon: bounded(told.soon), economy: bounded(told.economy) };
}
