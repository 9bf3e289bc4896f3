/** Normal operation and reestablishment (BOLT 2), with picobolt's push updates. */
import {
  amountMsat,
  bytes,
  bytes32,
  channelIdField,
  list,
  message,
  paymentHashField,
  point,
  preimageField,
  safeUint,
  signatureField,
  u16,
  u32,
  u48,
} from "./schema.ts";

/** Largest number of HTLCs in one direction of any channel type (BOLT 2). */
export const MAX_HTLCS = 483;
/** One payment in a push: its 16-byte reference, then its amount as a big-endian u64 in millisatoshi. */
export const PUSH_PAYMENT_BYTES = 24;
/** Payments in one push that a message of 65535 bytes can carry. */
export const MAX_PUSH_PAYMENTS = 2700;

export const updateAddHtlc = message(128, "update_add_htlc", {
  channelId: channelIdField,
  id: safeUint,
  amountMsat,
  paymentHash: paymentHashField,
  cltvExpiry: u32,
  /** Empty for a payment to the channel peer itself. */
  onionRoutingPacket: bytes(0, 1366),
});
export const updateFulfillHtlc = message(130, "update_fulfill_htlc", {
  channelId: channelIdField,
  id: safeUint,
  paymentPreimage: preimageField,
});
export const updateFailHtlc = message(131, "update_fail_htlc", {
  channelId: channelIdField,
  id: safeUint,
  reason: bytes(0, 512),
});
export const updateFailMalformedHtlc = message(135, "update_fail_malformed_htlc", {
  channelId: channelIdField,
  id: safeUint,
  sha256OfOnion: bytes32,
  failureCode: u16,
});
export const updateFee = message(134, "update_fee", {
  channelId: channelIdField,
  feeratePerKw: u32,
});
export const commitmentSigned = message(132, "commitment_signed", {
  channelId: channelIdField,
  signature: signatureField,
  htlcSignatures: list(signatureField, 2 * MAX_HTLCS),
});
export const revokeAndAck = message(133, "revoke_and_ack", {
  channelId: channelIdField,
  perCommitmentSecret: bytes32,
  nextPerCommitmentPoint: point,
});
export const channelReestablish = message(136, "channel_reestablish", {
  channelId: channelIdField,
  nextCommitmentNumber: u48,
  nextRevocationNumber: u48,
  yourLastPerCommitmentSecret: bytes32,
  myCurrentPerCommitmentPoint: point,
  /** Receipts held for all own pushes below this id; the peer sends the later ones again. */
  receiptsBelow: safeUint,
});

/** Direct payments to the channel peer: proposed, committed and revoked like any other update. */
export const updatePush = message(32769, "update_push", {
  channelId: channelIdField,
  /** Counts up from 0 in each direction. */
  id: safeUint,
  /** PUSH_PAYMENT_BYTES each, back to back. */
  payments: bytes(PUSH_PAYMENT_BYTES, PUSH_PAYMENT_BYTES * MAX_PUSH_PAYMENTS),
  /** As in channel_reestablish. */
  receiptsBelow: safeUint,
});
/** The payee's signed word that a push is irrevocably its own (docs/PROTOCOL.md "Receipts"). */
export const pushReceipt = message(32771, "push_receipt", {
  channelId: channelIdField,
  id: safeUint,
  signature: signatureField,
});

export const updateMessages = [
  updateAddHtlc,
  updateFulfillHtlc,
  updateFailHtlc,
  updateFailMalformedHtlc,
  updateFee,
  commitmentSigned,
  revokeAndAck,
  channelReestablish,
  updatePush,
  pushReceipt,
] as const;
