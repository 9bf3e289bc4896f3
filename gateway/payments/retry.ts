/** What stands beside a payment: of a pending one of ours what another try after a restart needs (CBOR, version 1), of a failed one the reason in words. */
import { decodeCbor, encodeCbor } from "../../core/messages/cbor.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import { decodeFailure, describeFailure, FAILURE_CODES } from "../../core/payments/failure.ts";
import { MAX_GATEWAY_HINTS, PAYMENT_SECRET_BYTES } from "../../core/payments/instructions.ts";
import {
  type MilliSatoshi,
  milliSatoshi,
  type PaymentHash,
  publicKey,
} from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { demand } from "../../core/primitives/errors.ts";
import type { Payment } from "./ledger.ts";

export interface RetryNote {
  /** Absent: the payment hash says it all. */
  readonly paymentSecret?: Uint8Array | undefined;
  readonly finalCltvDelta: number;
  readonly maxFeeMsat: MilliSatoshi;
  /** Seconds since 1970: no attempt begins later. */
  readonly deadline: number;
  readonly gateways: readonly ReturnType<typeof publicKey>[];
}

const VERSION = 1;
/** Of a reason, in bytes. */
const MAX_REASON = 160;
const LIMITS = { maxBytes: 256, maxDepth: 2, maxItems: 16 };

export function encodeRetry(note: RetryNote): Uint8Array {
  const { paymentSecret, finalCltvDelta, maxFeeMsat, deadline, gateways } = note;
  const secret = paymentSecret ?? null;
  return encodeCbor([VERSION, secret, finalCltvDelta, maxFeeMsat, deadline, gateways]);
}

/** What a row says of an HTLC that came back: the code, or else the words. */
export function failureOf(reason: Uint8Array): Pick<Payment, "failure" | "retry"> {
  const code = decodeFailure(reason)?.code;
  if (code !== undefined) return { failure: FAILURE_CODES[code] };
  return reason.length > 0 ? { retry: encodeReason(describeFailure(reason)) } : {};
}

/** As `retry` of a payment that failed. */
export function encodeReason(reason: string): Uint8Array {
  return new TextEncoder().encode(reason).slice(0, MAX_REASON);
}

/** Why a payment failed, for people; undefined where nobody wrote it down. */
export function reasonOf({ status, retry }: Pick<Payment, "status" | "retry">): string | undefined {
  return status === "failed" && retry ? new TextDecoder().decode(retry) : undefined;
}

/** @throws ProtocolViolation where the row is damaged. */
export function decodeRetry(bytes: Uint8Array): RetryNote {
  const fields = decodeCbor(bytes, LIMITS);
  const isList = Array.isArray(fields) && fields.length === 6 && fields[0] === VERSION;
  demand(isList, "retry", "is of an unknown version");
  const [, secret, finalCltvDelta, maxFee, deadline, gateways] = fields as readonly CborValue[];
  demand(Array.isArray(gateways) && gateways.length <= MAX_GATEWAY_HINTS, "retry", "is damaged");
  const isSecret = secret instanceof Uint8Array && secret.length === PAYMENT_SECRET_BYTES;
  demand(isSecret || secret === null, "retry", "is damaged");
  const number = (value: CborValue | undefined): number => {
    demand(typeof value === "number" && value >= 0, "retry", "is damaged");
    return value;
  };
  return {
    ...(isSecret && { paymentSecret: secret }),
    finalCltvDelta: number(finalCltvDelta),
    maxFeeMsat: milliSatoshi(number(maxFee)),
    deadline: number(deadline),
    gateways: gateways.map((one) => {
      demand(one instanceof Uint8Array && one.length === 33, "retry", "is damaged");
      return publicKey(one);
    }),
  };
}

/** Of a payment whose note cannot be read: the limits that its payer set are not known. */
export const NO_MORE_TRIES: RetryNote = {
  finalCltvDelta: 0,
  maxFeeMsat: milliSatoshi(0),
  deadline: 0,
  gateways: [],
};

/** Undefined where the row is damaged, which is told. */
export function storedNote(
  paymentHash: PaymentHash,
  bytes: Uint8Array,
  onAlarm: (text: string) => void,
): RetryNote | undefined {
  try {
    return decodeRetry(bytes);
  } catch (cause) {
    const fault = cause instanceof Error ? cause.message : String(cause);
    onAlarm(
      `payment ${toHex(paymentHash)} is damaged in the ledger (${fault}): what is under way of it is followed to its end, and no other way is tried; look how it ended before you pay again`,
    );
    return undefined;
  }
}
