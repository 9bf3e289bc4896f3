/** The payments inside a push update: packed entries of a 16-byte reference and a u64 amount (docs/PROTOCOL.md "Push"). */
import { MAX_PUSH_PAYMENTS, PUSH_PAYMENT_BYTES } from "../messages/update.ts";
import { type MilliSatoshi, milliSatoshi } from "../primitives/brands.ts";
import { concatAll } from "../primitives/bytes.ts";
import { assert, demand } from "../primitives/errors.ts";

export const REFERENCE_BYTES = 16;

export interface Payment {
  /** 16 bytes, chosen once for one purchase: a reference is credited at most once. */
  readonly reference: Uint8Array;
  readonly amountMsat: MilliSatoshi;
}

export function packPayments(payments: readonly Payment[]): Uint8Array {
  assert(
    payments.length > 0 && payments.length <= MAX_PUSH_PAYMENTS,
    "too many payments in a push",
  );
  const out = new Uint8Array(payments.length * PUSH_PAYMENT_BYTES);
  const view = new DataView(out.buffer);
  payments.forEach(({ reference, amountMsat }, i) => {
    assert(reference.length === REFERENCE_BYTES, "a payment reference has 16 bytes");
    assert(amountMsat > 0, "a payment has a positive amount");
    const at = i * PUSH_PAYMENT_BYTES;
    out.set(reference, at);
    view.setUint32(at + 16, Math.floor(amountMsat / 2 ** 32));
    view.setUint32(at + 20, amountMsat % 2 ** 32);
  });
  return out;
}

export function unpackPayments(packed: Uint8Array): Payment[] {
  const out: Payment[] = [];
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let at = 0; at < packed.length; at += PUSH_PAYMENT_BYTES) {
    out.push({
      reference: packed.slice(at, at + REFERENCE_BYTES),
      amountMsat: milliSatoshi(amountAt(view, at)),
    });
  }
  return out;
}

/** Checks what came from the peer: whole entries, each amount positive and safe, the sum safe. */
export function checkPayments(packed: Uint8Array): void {
  const fault = paymentsFault(packed);
  demand(fault === undefined, "update_push.payments", fault ?? "");
}

/** What is wrong with packed payments; undefined where nothing is. */
export function paymentsFault(packed: Uint8Array): string | undefined {
  const whole = packed.length > 0 && packed.length % PUSH_PAYMENT_BYTES === 0;
  if (!whole) return "must be whole entries of 24 bytes";
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  let sum = 0;
  for (let at = 0; at < packed.length; at += PUSH_PAYMENT_BYTES) {
    const amount = amountAt(view, at);
    sum += amount;
    const fair = amount > 0 && sum <= Number.MAX_SAFE_INTEGER;
    if (!fair) return "has an amount of zero or beyond any channel";
  }
  return undefined;
}

/** Sum of checked payments, in millisatoshi. */
export function sumPayments(packed: Uint8Array): MilliSatoshi {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  let sum = 0;
  for (let at = 0; at < packed.length; at += PUSH_PAYMENT_BYTES) sum += amountAt(view, at);
  return milliSatoshi(sum);
}

export function countPayments(packed: Uint8Array): number {
  return packed.length / PUSH_PAYMENT_BYTES;
}

/** The payments at `indices`, packed again. */
export function selectPayments(packed: Uint8Array, indices: readonly number[]): Uint8Array {
  return concatAll(
    indices.map((i) => packed.subarray(i * PUSH_PAYMENT_BYTES, (i + 1) * PUSH_PAYMENT_BYTES)),
  );
}

function amountAt(view: DataView, at: number): number {
  return view.getUint32(at + 16) * 2 ** 32 + view.getUint32(at + 20);
}
