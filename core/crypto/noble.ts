/** The reference Crypto provider in pure JS, on @noble/* (SEC 1, RFC 6979, FIPS 180-4, RFC 2104, RFC 8439). */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { hmac } from "@noble/hashes/hmac.js";
import { ripemd160 } from "@noble/hashes/legacy.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import type { Crypto } from "../ports/crypto.ts";
import type { PublicKey, SecretKey, Signature } from "../primitives/brands.ts";
import {
  CIPHER_KEY_BYTES,
  checkLength,
  HASH_BYTES,
  NONCE_BYTES,
  outOfRange,
  PUBLIC_KEY_BYTES,
  SECRET_KEY_BYTES,
  SIGNATURE_BYTES,
  TAG_BYTES,
  TWEAK_BYTES,
} from "./checks.ts";

type Point = ReturnType<typeof secp256k1.Point.fromBytes>;

/** A provider without state of its own; every call of this function gives the same behaviour. */
export function nobleCrypto(): Crypto {
  return {
    name: "noble",
    sha256: (data) => sha256(data),
    ripemd160: (data) => ripemd160(data),
    hmacSha256: (key, data) => hmac(sha256, key, data),
    hmacSha512: (key, data) => hmac(sha512, key, data),
    isSecretKey: (bytes) => bytes.length === SECRET_KEY_BYTES && isNonZeroScalar(bytes),
    isPublicKey: (bytes) =>
      bytes.length === PUBLIC_KEY_BYTES && secp256k1.utils.isValidPublicKey(bytes, true),
    publicKeyOf: (secret) => encoded(secp256k1.Point.BASE.multiply(secretScalar(secret))),
    publicKeyTweakAdd(point, tweak) {
      const base = decoded(point);
      const scalar = scalarOf(tweak, TWEAK_BYTES, "tweak");
      if (scalar === 0n) return encoded(base);
      return encoded(base.add(secp256k1.Point.BASE.multiply(scalar)));
    },
    publicKeyTweakMultiply(point, tweak) {
      return encoded(decoded(point).multiply(nonZeroScalar(tweak, TWEAK_BYTES, "tweak")));
    },
    publicKeyAdd: (a, b) => encoded(decoded(a).add(decoded(b))),
    secretKeyTweakAdd(secret, tweak) {
      const scalar = scalarOf(tweak, TWEAK_BYTES, "tweak");
      return secretBytes(secp256k1.Point.Fn.add(secretScalar(secret), scalar));
    },
    secretKeyTweakMultiply(secret, tweak) {
      const scalar = nonZeroScalar(tweak, TWEAK_BYTES, "tweak");
      return secretBytes(secp256k1.Point.Fn.mul(secretScalar(secret), scalar));
    },
    sign(hash, secret) {
      checkLength(hash, HASH_BYTES, "hash");
      secretScalar(secret);
      const options = { prehash: false, lowS: true, extraEntropy: false } as const;
      return secp256k1.sign(hash, secret, options) as Uint8Array as Signature;
    },
    verify(signature, hash, key) {
      checkLength(signature, SIGNATURE_BYTES, "signature");
      checkLength(hash, HASH_BYTES, "hash");
      checkLength(key, PUBLIC_KEY_BYTES, "public key");
      return secp256k1.verify(signature, hash, key, { prehash: false, lowS: true });
    },
    ecdh: (secret, point) => sha256(encoded(decoded(point).multiply(secretScalar(secret)))),
    encrypt(key, nonce, associated, plaintext) {
      checkCipher(key, nonce);
      return chacha20poly1305(key, nonce, associated).encrypt(plaintext);
    },
    decrypt(key, nonce, associated, ciphertext) {
      checkCipher(key, nonce);
      if (ciphertext.length < TAG_BYTES) return undefined;
      try {
        return chacha20poly1305(key, nonce, associated).decrypt(ciphertext);
      } catch {
        return undefined; // all lengths are right, so it is the tag
      }
    },
  };
}

function checkCipher(key: Uint8Array, nonce: Uint8Array): void {
  checkLength(key, CIPHER_KEY_BYTES, "cipher key");
  checkLength(nonce, NONCE_BYTES, "nonce");
}

function isNonZeroScalar(bytes: Uint8Array): boolean {
  return secp256k1.utils.isValidSecretKey(bytes);
}

/** A number in 0 … n-1. */
function scalarOf(bytes: Uint8Array, length: number, what: string): bigint {
  checkLength(bytes, length, what);
  try {
    return secp256k1.Point.Fn.fromBytes(bytes);
  } catch {
    throw outOfRange(what); // the cause is not passed on: it may quote a secret
  }
}

function nonZeroScalar(bytes: Uint8Array, length: number, what: string): bigint {
  const scalar = scalarOf(bytes, length, what);
  if (scalar === 0n) throw outOfRange(what);
  return scalar;
}

function secretScalar(secret: SecretKey): bigint {
  return nonZeroScalar(secret, SECRET_KEY_BYTES, "secret key");
}

function secretBytes(scalar: bigint): SecretKey {
  if (scalar === 0n) throw outOfRange("tweaked secret key");
  return secp256k1.Point.Fn.toBytes(scalar) as Uint8Array as SecretKey;
}

function decoded(key: PublicKey): Point {
  checkLength(key, PUBLIC_KEY_BYTES, "public key");
  try {
    return secp256k1.Point.fromBytes(key);
  } catch {
    throw outOfRange("public key");
  }
}

function encoded(point: Point): PublicKey {
  if (point.is0()) throw outOfRange("resulting point");
  return point.toBytes(true) as Uint8Array as PublicKey;
}
