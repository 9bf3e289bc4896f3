/**
 * ECDSA signatures as they stand in witnesses: strict DER and a sighash byte (BIP 66), from and to
 * 64 bytes.
 */
import { type Signature, signature } from "../primitives/brands.ts";
import { demand } from "../primitives/errors.ts";

/** The longest item that `toDer` gives: s is in the lower half and never needs a leading zero. */
export const MAX_DER_BYTES = 72;

/** DER followed by the sighash byte. */
export function toDer(compact: Signature, sighashType: number): Uint8Array {
  const r = derInteger(compact.subarray(0, 32));
  const s = derInteger(compact.subarray(32, 64));
  const body = r.length + s.length;
  const out = new Uint8Array(body + 3);
  out[0] = 0x30;
  out[1] = body;
  out.set(r, 2);
  out.set(s, 2 + r.length);
  out[body + 2] = sighashType;
  return out;
}

/** Throws ProtocolViolation("signature") for anything but strict DER with one sighash byte. */
export function fromDer(bytes: Uint8Array): {
  readonly signature: Signature;
  readonly sighashType: number;
} {
  const bad = "it is not in strict DER with a sighash byte";
  demand(bytes.length >= 9 && bytes.length <= 73, "signature", bad);
  demand(bytes[0] === 0x30 && bytes[1] === bytes.length - 3, "signature", bad);
  const out = new Uint8Array(64);
  const afterR = readInteger(bytes, 2, out.subarray(0, 32));
  const afterS = readInteger(bytes, afterR, out.subarray(32, 64));
  demand(afterS === bytes.length - 1, "signature", bad);
  return { signature: signature(out), sighashType: bytes[afterS] as number };
}

function derInteger(value: Uint8Array): Uint8Array {
  let start = 0;
  while (start < 31 && value[start] === 0) start++;
  const pad = (value[start] as number) >= 0x80 ? 1 : 0;
  const length = 32 - start + pad;
  const out = new Uint8Array(2 + length);
  out[0] = 0x02;
  out[1] = length;
  out.set(value.subarray(start), 2 + pad);
  return out;
}

/** Reads one INTEGER at `at` into 32 bytes; the position after it. */
function readInteger(bytes: Uint8Array, at: number, into: Uint8Array): number {
  const bad = "an integer is not in strict DER";
  const length = bytes[at + 1] ?? 0;
  demand(bytes[at] === 0x02 && length >= 1 && length <= 33, "signature", bad);
  const start = at + 2;
  const end = start + length;
  demand(end <= bytes.length, "signature", bad);
  const first = bytes[start] as number;
  const second = bytes[start + 1] as number;
  demand(first < 0x80, "signature", "an integer is negative");
  demand(first !== 0 || length === 1 || second >= 0x80, "signature", "an integer is padded");
  const from = first === 0 ? start + 1 : start;
  demand(end - from <= 32, "signature", "an integer is too long");
  into.set(bytes.subarray(from, end), 32 - (end - from));
  return end;
}
