/** HKDF with SHA-256, no info, 64 bytes out: the only form that BOLT 8 uses (RFC 5869). */
import type { Crypto } from "../ports/crypto.ts";
import { concat, wipe } from "../primitives/bytes.ts";

export function hkdf(
  crypto: Crypto,
  salt: Uint8Array,
  input: Uint8Array,
): readonly [Uint8Array, Uint8Array] {
  const key = crypto.hmacSha256(salt, input);
  const first = crypto.hmacSha256(key, Uint8Array.of(1));
  const second = crypto.hmacSha256(key, concat(first, Uint8Array.of(2)));
  wipe(key);
  return [first, second];
}
