/** What crosses the Crypto port is checked here for length, so that every provider refuses the same (DESIGN §3). */
import { AssertionError } from "../primitives/errors.ts";

export const HASH_BYTES = 32;
export const SECRET_KEY_BYTES = 32;
export const PUBLIC_KEY_BYTES = 33;
export const SIGNATURE_BYTES = 64;
export const TWEAK_BYTES = 32;
export const CIPHER_KEY_BYTES = 32;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

/** Throws where `bytes` is not a byte array of exactly `length`; the contents never show in the message. */
export function checkLength(bytes: Uint8Array, length: number, what: string): void {
  if (!(bytes instanceof Uint8Array) || bytes.length !== length) {
    throw new AssertionError(`${what} must have ${length} bytes, has ${bytes?.length}`);
  }
}

/** The error for a key, point or tweak that is out of range; names the argument, never its bytes. */
export function outOfRange(what: string): AssertionError {
  return new AssertionError(`${what} is out of range`);
}
