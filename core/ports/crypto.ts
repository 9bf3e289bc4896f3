/** The Crypto port: every curve, hash and cipher operation that core needs (SEC 1, RFC 6979, FIPS 180-4, RFC 2104, RFC 8439). */
import type { PublicKey, SecretKey, Signature } from "../primitives/brands.ts";

/** All providers give byte-identical results. Inputs of a wrong length throw; keys out of range throw. */
export interface Crypto {
  /** As printed at start: "noble", "libsecp256k1" … */
  readonly name: string;

  sha256(data: Uint8Array): Uint8Array;
  /** RIPEMD-160 (for HASH160 in scripts). */
  ripemd160(data: Uint8Array): Uint8Array;
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array;
  /** For BIP 32. */
  hmacSha512(key: Uint8Array, data: Uint8Array): Uint8Array;

  isSecretKey(bytes: Uint8Array): boolean;
  /** True for a valid compressed point on the curve. */
  isPublicKey(bytes: Uint8Array): boolean;
  publicKeyOf(secret: SecretKey): PublicKey;
  /** point + tweak·G; throws on infinity. */
  publicKeyTweakAdd(point: PublicKey, tweak: Uint8Array): PublicKey;
  /** tweak·point. */
  publicKeyTweakMultiply(point: PublicKey, tweak: Uint8Array): PublicKey;
  /** a + b; throws on infinity. */
  publicKeyAdd(a: PublicKey, b: PublicKey): PublicKey;
  secretKeyTweakAdd(secret: SecretKey, tweak: Uint8Array): SecretKey;
  secretKeyTweakMultiply(secret: SecretKey, tweak: Uint8Array): SecretKey;
  /** Deterministic ECDSA (RFC 6979, SHA-256, no extra entropy), low S. */
  sign(hash: Uint8Array, secret: SecretKey): Signature;
  /** False for a wrong, high-S or malformed signature; never throws on the signature's or key's contents. */
  verify(signature: Signature, hash: Uint8Array, key: PublicKey): boolean;
  /** SHA-256 of the compressed shared point (BOLT 8). */
  ecdh(secret: SecretKey, point: PublicKey): Uint8Array;

  /** ChaCha20-Poly1305 (RFC 8439), 32-byte key, 12-byte nonce: ciphertext followed by the 16-byte tag. */
  encrypt(
    key: Uint8Array,
    nonce: Uint8Array,
    associated: Uint8Array,
    plaintext: Uint8Array,
  ): Uint8Array;
  /** The plaintext, or undefined where the tag does not fit. */
  decrypt(
    key: Uint8Array,
    nonce: Uint8Array,
    associated: Uint8Array,
    ciphertext: Uint8Array,
  ): Uint8Array | undefined;
}

export interface Entropy {
  /** `length` unpredictable bytes from the platform's generator. */
  random(length: number): Uint8Array;
}
