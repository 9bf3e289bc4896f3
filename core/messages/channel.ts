/** Channel establishment and close (BOLT 2 v1, option_simple_close). */
import {
  amountMsat,
  amountSat,
  byte,
  bytes,
  bytes32,
  channelIdField,
  message,
  optional,
  point,
  safeUint,
  signatureField,
  txidField,
  u16,
  u32,
} from "./schema.ts";

const MAX_SCRIPT_BYTES = 83;
const script = bytes(0, MAX_SCRIPT_BYTES);

/** What either side declares when a channel is opened; `toSelfDelay` and the limits bind the other side. */
const declaration = {
  dustLimitSatoshis: amountSat,
  maxHtlcValueInFlightMsat: amountMsat,
  channelReserveSatoshis: amountSat,
  htlcMinimumMsat: amountMsat,
  toSelfDelay: u16,
  maxAcceptedHtlcs: u16,
  fundingPubkey: point,
  revocationBasepoint: point,
  paymentBasepoint: point,
  delayedPaymentBasepoint: point,
  htlcBasepoint: point,
  firstPerCommitmentPoint: point,
  /** Zero bytes: none. */
  upfrontShutdownScript: script,
  /** Feature bits of the channel type (BOLT 2 "Defined Channel Types", bit 40 for zero_fee_commitments). */
  channelType: bytes(0, 16),
} as const;

export const openChannel = message(32, "open_channel", {
  chainHash: bytes32,
  temporaryChannelId: channelIdField,
  fundingSatoshis: amountSat,
  pushMsat: amountMsat,
  feeratePerKw: u32,
  channelFlags: byte,
  ...declaration,
});
export const acceptChannel = message(33, "accept_channel", {
  temporaryChannelId: channelIdField,
  minimumDepth: u32,
  ...declaration,
});
export const fundingCreated = message(34, "funding_created", {
  temporaryChannelId: channelIdField,
  fundingTxid: txidField,
  fundingOutputIndex: u16,
  signature: signatureField,
});
export const fundingSigned = message(35, "funding_signed", {
  channelId: channelIdField,
  signature: signatureField,
});
export const channelReady = message(36, "channel_ready", {
  channelId: channelIdField,
  secondPerCommitmentPoint: point,
  shortChannelId: optional(safeUint),
});
export const shutdown = message(38, "shutdown", {
  channelId: channelIdField,
  scriptpubkey: script,
});

const closing = {
  channelId: channelIdField,
  closerScriptpubkey: script,
  closeeScriptpubkey: script,
  feeSatoshis: amountSat,
  locktime: u32,
  closerOutputOnly: optional(signatureField),
  closeeOutputOnly: optional(signatureField),
  closerAndCloseeOutputs: optional(signatureField),
} as const;
export const closingComplete = message(40, "closing_complete", closing);
export const closingSig = message(41, "closing_sig", closing);

export const channelMessages = [
  openChannel,
  acceptChannel,
  fundingCreated,
  fundingSigned,
  channelReady,
  shutdown,
  closingComplete,
  closingSig,
] as const;
