/** Why an HTLC failed: BOLT 4 failure codes with their data, in the clear (one hop has nothing to hide them from), and as text. */
import { concat } from "../primitives/bytes.ts";

const PERM = 0x4000;
const NODE = 0x2000;
const UPDATE = 0x1000;
const BADONION = 0x8000;

/** BOLT 4 "Failure Messages": those that are used here. */
export const FAILURE_CODES = {
  temporaryNodeFailure: NODE | 2,
  permanentNodeFailure: PERM | NODE | 2,
  invalidOnionVersion: BADONION | PERM | 4,
  temporaryChannelFailure: UPDATE | 7,
  permanentChannelFailure: PERM | 8,
  unknownNextPeer: PERM | 10,
  amountBelowMinimum: UPDATE | 11,
  feeInsufficient: UPDATE | 12,
  incorrectCltvExpiry: UPDATE | 13,
  expiryTooSoon: UPDATE | 14,
  incorrectOrUnknownPaymentDetails: PERM | 15,
  finalIncorrectCltvExpiry: 18,
  finalIncorrectHtlcAmount: 19,
  expiryTooFar: 21,
  invalidOnionPayload: PERM | 22,
  mppTimeout: 23,
} as const;

export type FailureCode = keyof typeof FAILURE_CODES;

export interface Failure {
  readonly code: FailureCode;
  readonly data: Uint8Array;
}

const TEXTS: Readonly<Record<FailureCode, string>> = {
  temporaryNodeFailure: "the gateway cannot take this payment right now: try again later",
  permanentNodeFailure: "the gateway takes no payments of this kind",
  invalidOnionVersion: "the gateway does not understand where this payment goes",
  temporaryChannelFailure:
    "the way to the receiver is not open right now (asleep, or too little room): try again later",
  permanentChannelFailure: "the channel to the receiver is closed",
  unknownNextPeer: "the gateway has no channel with this receiver",
  amountBelowMinimum: "the amount is smaller than what the gateway forwards",
  feeInsufficient: "the fee is lower than what the gateway asks for",
  incorrectCltvExpiry: "the time that this payment leaves the gateway is too short",
  expiryTooSoon: "the payment would expire too soon to be safe",
  incorrectOrUnknownPaymentDetails:
    "the receiver knows no such invoice, or it is paid, expired, or for another amount",
  finalIncorrectCltvExpiry: "a gateway on the way changed the payment's expiry",
  finalIncorrectHtlcAmount: "a gateway on the way changed the payment's amount",
  expiryTooFar: "the payment would be locked up for too long",
  invalidOnionPayload: "the instructions of this payment are malformed",
  mppTimeout: "not all parts of the payment came in time",
};

const NO_DATA = new Uint8Array(0);

export function encodeFailure(code: FailureCode, data: Uint8Array = NO_DATA): Uint8Array {
  const number = FAILURE_CODES[code];
  return concat(Uint8Array.of(number >> 8, number & 255), data);
}

/** Undefined for a reason of another kind: a device's words, a BOLT 4 error packet, nothing at all. */
export function decodeFailure(reason: Uint8Array): Failure | undefined {
  if (reason.length < 2) return undefined;
  const number = ((reason[0] as number) << 8) | (reason[1] as number);
  const code = failureCodeOf(number);
  return code && { code, data: reason.slice(2) };
}

export function failureCodeOf(number: number): FailureCode | undefined {
  const codes = Object.keys(FAILURE_CODES) as FailureCode[];
  return codes.find((name) => FAILURE_CODES[name] === number);
}

/** For people: what happened, and what to do where anything can be done. */
export function describeFailure(reason: Uint8Array): string {
  const failure = decodeFailure(reason);
  if (failure) return TEXTS[failure.code];
  return printable(reason) ?? "the payment failed on its way, and no reason was given";
}

/** A device's own words; nothing that a terminal would obey. */
function printable(reason: Uint8Array): string | undefined {
  let text = "";
  for (let i = 0; i < reason.length; i++) {
    const code = reason[i] as number;
    if (code < 0x20 || code > 0x7e) return undefined;
    text += String.fromCharCode(code);
  }
  return text === "" ? undefined : text;
}
