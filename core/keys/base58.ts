/** Base58Check, in which extended keys are written (BIP 32 "Serialization format"). */
import type { Crypto } from "../ports/crypto.ts";
import { concat, equal } from "../primitives/bytes.ts";

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/** Longer texts are no keys; the conversion takes quadratic time. */
const MAX_TEXT = 128;
const CHECKSUM_BYTES = 4;

export function encodeBase58Check(crypto: Crypto, payload: Uint8Array): string {
  const bytes = concat(payload, checksum(crypto, payload));
  const digits = convert(bytes, 256, 58);
  let text = "";
  for (let i = 0; i < bytes.length && bytes[i] === 0; i++) text += "1";
  for (const digit of digits) text += ALPHABET[digit];
  return text;
}

/** The payload; undefined where the text is not Base58Check. */
export function decodeBase58Check(crypto: Crypto, text: string): Uint8Array | undefined {
  if (text.length > MAX_TEXT) return undefined;
  const digits: number[] = [];
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) return undefined;
    digits.push(digit);
  }
  let zeros = 0;
  while (zeros < digits.length && digits[zeros] === 0) zeros++;
  const bytes = concat(new Uint8Array(zeros), Uint8Array.from(convert(digits, 58, 256)));
  if (bytes.length < CHECKSUM_BYTES) return undefined;
  const payload = bytes.slice(0, -CHECKSUM_BYTES);
  return equal(bytes.slice(-CHECKSUM_BYTES), checksum(crypto, payload)) ? payload : undefined;
}

function checksum(crypto: Crypto, payload: Uint8Array): Uint8Array {
  return crypto.sha256(crypto.sha256(payload)).slice(0, CHECKSUM_BYTES);
}

/** Digits of a big-endian number in another base, without leading zeros. */
function convert(digits: ArrayLike<number>, from: number, to: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < digits.length; i++) {
    let carry = digits[i] as number;
    for (let j = 0; j < out.length; j++) {
      carry += (out[j] as number) * from;
      out[j] = carry % to;
      carry = Math.floor(carry / to);
    }
    for (; carry > 0; carry = Math.floor(carry / to)) out.push(carry % to);
  }
  return out.reverse();
}
