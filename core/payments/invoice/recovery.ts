/** Recoverable ECDSA signatures from the Crypto port's other operations, for every provider alike (SEC 1 §4.1.6). */
import type { Crypto } from "../../ports/crypto.ts";
import type { PublicKey, SecretKey, Signature } from "../../primitives/brands.ts";
import { compare, concat, equal, fromHex, isZero } from "../../primitives/bytes.ts";
import { assert } from "../../primitives/errors.ts";

/*
 * The port has no recovery, and needs none: what is modulo the group's order here is public, so `secretKeyTweakMultiply`
 * can do it. A device's image stays as it is, and all providers give the same key.
 */

const ORDER = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
/** The order less two. */
const INVERSE_EXPONENT = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd036413f";
const HALF_ORDER = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";
const EVEN = Uint8Array.of(2);

/** `s` stands in the upper half, where `n - s` would do as well. */
export function isHighS(signature: Signature): boolean {
  return compare(signature.subarray(32), fromHex(HALF_ORDER)) > 0;
}

/** The key whose signature over `hash` this is; undefined where no key can have made it. Any half for `s`. */
export function recoverKey(
  crypto: Crypto,
  signature: Signature,
  { hash, recoveryId }: { readonly hash: Uint8Array; readonly recoveryId: number },
): PublicKey | undefined {
  const r = signature.slice(0, 32);
  const s = signature.slice(32);
  if (!crypto.isSecretKey(r) || !crypto.isSecretKey(s)) return undefined;
  const x = (recoveryId & 2) === 0 ? r : sum(r, fromHex(ORDER));
  if (x === undefined) return undefined;
  const nonce = concat(Uint8Array.of(2 + (recoveryId & 1)), x);
  if (!crypto.isPublicKey(nonce)) return undefined;
  const inverse = inverseOf(crypto, r as SecretKey);
  const left = crypto.publicKeyTweakMultiply(
    nonce as PublicKey,
    crypto.secretKeyTweakMultiply(inverse, s),
  );
  const reduced = modOrder(hash);
  if (isZero(reduced)) return left;
  const right = crypto.publicKeyOf(crypto.secretKeyTweakMultiply(inverse, reduced));
  // The key is left - right. Whoever chooses s to make both alike has no key.
  return equal(left, right) ? undefined : crypto.publicKeyAdd(left, negated(right));
}

/** Which of the points with that `r` the signer's nonce was: without it nobody finds the key. `signature` is the key's. */
export function recoveryIdOf(
  crypto: Crypto,
  signature: Signature,
  { hash, key }: { readonly hash: Uint8Array; readonly key: PublicKey },
): number {
  const nonce = concat(EVEN, signature.subarray(0, 32)) as PublicKey;
  // An r beyond the order occurs once in 2^127 signatures.
  assert(crypto.isPublicKey(nonce), "a signature whose recovery id is above 1");
  // s·R = hash·G + r·key, where R is the even point or its negative.
  const right = crypto.publicKeyTweakAdd(
    crypto.publicKeyTweakMultiply(key, signature.slice(0, 32)),
    modOrder(hash),
  );
  const left = crypto.publicKeyTweakMultiply(nonce, signature.slice(32));
  if (equal(left, right)) return 0;
  assert(equal(negated(left), right), "an invoice is signed by another key than its node's");
  return 1;
}

function negated(point: PublicKey): PublicKey {
  const out = point.slice();
  out[0] = (out[0] as number) ^ 1;
  return out as PublicKey;
}

/** By Fermat: the value to the power of the order less two, four bits at a time. */
function inverseOf(crypto: Crypto, value: SecretKey): SecretKey {
  const powers: SecretKey[] = [value];
  for (let i = 1; i < 15; i++) {
    powers.push(crypto.secretKeyTweakMultiply(powers[i - 1] as SecretKey, value));
  }
  let out: SecretKey | undefined;
  for (let i = 0; i < INVERSE_EXPONENT.length; i++) {
    if (out) {
      for (let square = 0; square < 4; square++) out = crypto.secretKeyTweakMultiply(out, out);
    }
    const digit = Number.parseInt(INVERSE_EXPONENT[i] as string, 16);
    if (digit === 0) continue;
    const power = powers[digit - 1] as SecretKey;
    out = out ? crypto.secretKeyTweakMultiply(out, power) : power;
  }
  return out as SecretKey;
}

/** undefined beyond 32 bytes. */
function sum(a: Uint8Array, b: Uint8Array): Uint8Array | undefined {
  const out = new Uint8Array(32);
  let carry = 0;
  for (let i = 31; i >= 0; i--) {
    carry += (a[i] as number) + (b[i] as number);
    out[i] = carry & 0xff;
    carry >>= 8;
  }
  return carry === 0 ? out : undefined;
}

/** A hash is at most once beyond the order. */
function modOrder(hash: Uint8Array): Uint8Array {
  const order = fromHex(ORDER);
  if (compare(hash, order) < 0) return hash;
  const out = new Uint8Array(32);
  let borrow = 0;
  for (let i = 31; i >= 0; i--) {
    const difference = (hash[i] as number) - (order[i] as number) - borrow;
    borrow = difference < 0 ? 1 : 0;
    out[i] = difference & 0xff;
  }
  return out;
}
