/** What the nodes of a world agree to: delays that fit into a short life. */
import type { ChannelPolicy } from "../../../core/channel/context.ts";
import { hostPolicy } from "../../../core/channel/policy.ts";
import { milliSatoshi, satoshi } from "../../../core/primitives/brands.ts";
import { channelFeatures } from "../../../gateway/gateway-features.ts";
import {
  defaultForwardPolicy,
  minimumCltvExpiryDelta,
} from "../../../gateway/payments/forward-policy.ts";
import { Random } from "../../random.ts";

/** So that a life has room for every ending; longer than the deepest reorganisation. */
export const SHORT_DELAYS = {
  toSelfDelay: 24,
  minimumDepth: 2,
  fulfillSafetyBlocks: 12,
  timeoutGraceBlocks: 2,
  irrevocableDepth: 8,
};

export const WORLD_POLICY = { ...hostPolicy, ...SHORT_DELAYS };

/** What a node of its own mind asks for: whatever its peers ask for, both can live with it. */
export function ownPolicy(seed: number, node: number): Partial<ChannelPolicy> {
  const random = Random.of("policy", seed, node);
  return {
    ...SHORT_DELAYS,
    toSelfDelay: SHORT_DELAYS.toSelfDelay + random.below(20),
    minimumDepth: random.between(1, 4),
    irrevocableDepth: SHORT_DELAYS.irrevocableDepth + random.below(4),
    dustLimitSatoshis: satoshi(random.oneOf([354, 546, 1_000])),
    htlcMinimumMsat: milliSatoshi(random.oneOf([1, 1_000])),
    maxHtlcValueInFlightMsat: milliSatoshi(random.oneOf([100_000_000, 300_000_000, 2 ** 40])),
    maxAcceptedHtlcs: random.oneOf([4, 12, 30]),
    reservePpm: random.oneOf([0, 10_000, 30_000]),
    allowZeroReserve: random.oneIn(2),
    maxReceiptsAwaited: random.oneOf([2, 16, 1_024]),
    // As many as a life may have: what an archive has lost waits for a cheat that may never come.
    maxArchivedHtlcs: random.oneOf([128, 512]),
  };
}

/** Of who forwards: as little time as it may have. */
export const FORWARD_POLICY = {
  ...defaultForwardPolicy,
  cltvExpiryDelta: minimumCltvExpiryDelta(WORLD_POLICY),
  minBlocksToExpiry: 6,
};

/** Nothing but channels is between them. */
export const FEATURES = channelFeatures;
