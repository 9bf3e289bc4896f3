/** What we declare in open_channel and accept_channel, and what we take from the peer (BOLT 2). */
import { channelTypeOf } from "../messages/features.ts";
import type { MessageNamed } from "../messages/message.ts";
import { milliSatoshi, type Satoshi, satoshi, toMilliSatoshi } from "../primitives/brands.ts";
import { equal } from "../primitives/bytes.ts";
import { demand, ProtocolViolation } from "../primitives/errors.ts";
import type { Declaration } from "../transactions/channel-terms.ts";
import { isShutdownScript } from "../transactions/script.ts";
import type { ChannelType } from "../transactions/terms.ts";
import { anchorsCost, commitmentFee } from "../transactions/weights.ts";
import type { Context } from "./context.ts";
import { signableHtlcs } from "./limits.ts";

/** `funding_output_index` has two bytes. */
export const MAX_FUNDING_OUTPUT_INDEX = 0xffff;
/** The smallest dust limit at which every standard output is relayed (BOLT 3 "Dust Limits"). */
export const MIN_DUST_LIMIT_SATOSHIS = 354;
/** HTLCs in one direction: TRUC transactions are smaller (BOLT 2, zero_fee_commitments). */
const MAX_ACCEPTED_HTLCS = 483;
const MAX_ACCEPTED_HTLCS_ZERO_FEE = 114;

export function maxAcceptedHtlcs(channelType: ChannelType): number {
  return channelType === "zero_fee_commitments" ? MAX_ACCEPTED_HTLCS_ZERO_FEE : MAX_ACCEPTED_HTLCS;
}

interface ChannelKind {
  readonly fundingSatoshis: Satoshi;
  readonly channelType: ChannelType;
}

/** What we ask of the peer for a channel of this size. */
export function declare(
  { policy, negotiated, signer, payoutScript }: Context,
  { fundingSatoshis, channelType }: ChannelKind,
): Declaration {
  const zeroReserve = policy.reservePpm === 0 && policy.allowZeroReserve && negotiated.zeroReserve;
  const share = Math.ceil((fundingSatoshis * Math.max(policy.reservePpm, 1)) / 1_000_000);
  const reserve = Math.max(share, policy.maxDustLimitSatoshis);
  const smallest = Math.min(negotiated.localMaxMessageBytes, negotiated.remoteMaxMessageBytes);
  const inFlight = Math.min(policy.maxHtlcValueInFlightMsat, toMilliSatoshi(fundingSatoshis));
  return {
    basepoints: signer.basepoints,
    dustLimitSatoshis: policy.dustLimitSatoshis,
    maxHtlcValueInFlightMsat: milliSatoshi(inFlight),
    channelReserveSatoshis: satoshi(zeroReserve ? 0 : reserve),
    htlcMinimumMsat: policy.htlcMinimumMsat,
    toSelfDelay: policy.toSelfDelay,
    maxAcceptedHtlcs: Math.min(
      policy.maxAcceptedHtlcs,
      maxAcceptedHtlcs(channelType),
      Math.floor(signableHtlcs(smallest) / 2), // as many come the other way
    ),
    upfrontShutdownScript: payoutScript,
    coldPayout: signer.coldPayout,
  };
}

/** Checks an open_channel (also our own, before it is sent) against BOLT 2 and our policy. */
export function checkOpen(
  context: Context,
  message: MessageNamed<"open_channel">,
): ReturnType<typeof channelTypeOf> {
  const { policy, negotiated } = context;
  const { fundingSatoshis, pushMsat, feeratePerKw } = message;
  const tag = (field: string): string => `open_channel.${field}`;
  demand(equal(message.chainHash, context.chainHash), tag("chain_hash"), "is another chain");
  const type = channelTypeOf(message.channelType);
  const { channelType } = type;
  const supported = policy.channelTypes.includes(channelType);
  demand(supported, tag("channel_type"), `${channelType} is not accepted here`);
  const offered = negotiated.channelTypes.includes(channelType);
  demand(offered, tag("channel_type"), `${channelType} is not offered by both sides`);
  demand(negotiated.simpleClose, "open_channel", "the other side does not offer simple_close");
  const { minFundingSatoshis: min, maxFundingSatoshis: max } = policy;
  const inRange = fundingSatoshis >= min && fundingSatoshis <= max;
  demand(inRange, tag("funding_satoshis"), `must be ${min} to ${max}, is ${fundingSatoshis}`);
  const fits = pushMsat <= toMilliSatoshi(fundingSatoshis);
  demand(fits, tag("push_msat"), "is more than the channel holds");
  if (channelType === "zero_fee_commitments") {
    demand(feeratePerKw === 0, tag("feerate_per_kw"), "must be 0 in this channel type");
  } else {
    const fair = feeratePerKw >= policy.minFeeratePerKw && feeratePerKw <= policy.maxFeeratePerKw;
    demand(fair, tag("feerate_per_kw"), `${feeratePerKw} is outside what we take`);
  }
  const cost = commitmentFee(channelType, feeratePerKw, 0) + anchorsCost(channelType);
  const opens = fundingSatoshis * 1000 - pushMsat - cost * 1000;
  demand(opens >= 0, tag("push_msat"), "leaves the opener unable to pay the commitment's fee");
  const reserve = message.channelReserveSatoshis * 1000;
  const enough = opens > reserve || pushMsat > reserve || reserve === 0;
  demand(enough, tag("channel_reserve_satoshis"), "neither side would reach its reserve");
  return type;
}

/** What the peer declares in either message, checked. */
export function checkDeclaration(
  context: Context,
  message: MessageNamed<"open_channel" | "accept_channel">,
  { fundingSatoshis, channelType }: ChannelKind,
): Declaration {
  const { policy, negotiated } = context;
  const fail = (field: string, reason: string): never => {
    throw new ProtocolViolation(`${message.type}.${field}`, reason);
  };
  const points = {
    funding_pubkey: message.fundingPubkey,
    revocation_basepoint: message.revocationBasepoint,
    payment_basepoint: message.paymentBasepoint,
    delayed_payment_basepoint: message.delayedPaymentBasepoint,
    htlc_basepoint: message.htlcBasepoint,
    first_per_commitment_point: message.firstPerCommitmentPoint,
  };
  for (const [field, point] of Object.entries(points)) {
    if (!context.crypto.isPublicKey(point)) fail(field, "is not a point on the curve");
  }
  const { dustLimitSatoshis, channelReserveSatoshis, toSelfDelay } = message;
  if (dustLimitSatoshis < MIN_DUST_LIMIT_SATOSHIS) {
    fail("dust_limit_satoshis", `must be at least ${MIN_DUST_LIMIT_SATOSHIS}`);
  }
  if (dustLimitSatoshis > policy.maxDustLimitSatoshis) {
    fail("dust_limit_satoshis", `must be at most ${policy.maxDustLimitSatoshis}`);
  }
  const zeroReserve = channelReserveSatoshis === 0 && negotiated.zeroReserve;
  if (!zeroReserve && channelReserveSatoshis < MIN_DUST_LIMIT_SATOSHIS) {
    fail("channel_reserve_satoshis", "must be at least the dust limit");
  }
  if (channelReserveSatoshis > Math.max(fundingSatoshis / 5, policy.maxDustLimitSatoshis)) {
    fail("channel_reserve_satoshis", "is more than a fifth of the channel");
  }
  if (toSelfDelay < 1 || toSelfDelay > policy.maxToSelfDelay) {
    fail("to_self_delay", `must be 1 to ${policy.maxToSelfDelay} blocks`);
  }
  const { maxAcceptedHtlcs: htlcs } = message;
  if (htlcs > maxAcceptedHtlcs(channelType) || htlcs < 1) {
    fail("max_accepted_htlcs", `must be 1 to ${maxAcceptedHtlcs(channelType)}`);
  }
  if (message.htlcMinimumMsat > toMilliSatoshi(fundingSatoshis)) {
    fail("htlc_minimum_msat", "is more than the channel holds");
  }
  const { upfrontShutdownScript } = message;
  const features = { anySegwit: negotiated.anySegwitShutdown, simpleClose: true };
  if (upfrontShutdownScript.length > 0 && !isShutdownScript(upfrontShutdownScript, features)) {
    fail("upfront_shutdown_script", "is not one of the forms that BOLT 2 allows");
  }
  const { fundingPubkey, revocationBasepoint, paymentBasepoint } = message;
  const { delayedPaymentBasepoint, htlcBasepoint } = message;
  return {
    basepoints: {
      fundingPubkey,
      revocationBasepoint,
      paymentBasepoint,
      delayedPaymentBasepoint,
      htlcBasepoint,
    },
    dustLimitSatoshis,
    maxHtlcValueInFlightMsat: message.maxHtlcValueInFlightMsat,
    channelReserveSatoshis,
    htlcMinimumMsat: message.htlcMinimumMsat,
    toSelfDelay,
    maxAcceptedHtlcs: htlcs,
    upfrontShutdownScript,
  };
}

/** Neither side's reserve may be dust for the other (BOLT 2), except where both agreed to none. */
export function checkReserves(sides: {
  readonly local: Declaration;
  readonly remote: Declaration;
}): void {
  const { local, remote } = sides;
  for (const side of [local, remote]) {
    const reserve = side.channelReserveSatoshis;
    const dust = Math.max(local.dustLimitSatoshis, remote.dustLimitSatoshis);
    const fair = reserve === 0 || reserve >= dust;
    demand(fair, "channel_reserve_satoshis", `${reserve} is below a dust limit of ${dust}`);
  }
}
