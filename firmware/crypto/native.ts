/** The Crypto and Entropy of a device, over the host functions that xs-crypto.c gives its JavaScript engine. */
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
} from "../../core/crypto/checks.ts";
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import type { PublicKey, SecretKey, Signature } from "../../core/primitives/brands.ts";

type Bytes = Uint8Array;

/**
 * One C function each. The last argument of most is where the result goes, of exactly the result's length;
 * false is "out of range" (for decrypt: "the tag does not fit"). They throw for arguments of a wrong length.
 */
export interface NativeFunctions {
  sha256(data: Bytes, out: Bytes): void;
  ripemd160(data: Bytes, out: Bytes): void;
  hmacSha256(key: Bytes, data: Bytes, out: Bytes): void;
  hmacSha512(key: Bytes, data: Bytes, out: Bytes): void;
  isSecretKey(bytes: Bytes): boolean;
  isPublicKey(bytes: Bytes): boolean;
  publicKeyOf(secret: Bytes, out: Bytes): boolean;
  publicKeyTweakAdd(point: Bytes, tweak: Bytes, out: Bytes): boolean;
  publicKeyTweakMultiply(point: Bytes, tweak: Bytes, out: Bytes): boolean;
  publicKeyAdd(a: Bytes, b: Bytes, out: Bytes): boolean;
  secretKeyTweakAdd(secret: Bytes, tweak: Bytes, out: Bytes): boolean;
  secretKeyTweakMultiply(secret: Bytes, tweak: Bytes, out: Bytes): boolean;
  sign(hash: Bytes, secret: Bytes, out: Bytes): boolean;
  verify(signature: Bytes, hash: Bytes, key: Bytes): boolean;
  ecdh(secret: Bytes, point: Bytes, out: Bytes): boolean;
  encrypt(key: Bytes, nonce: Bytes, associated: Bytes, plaintext: Bytes, out: Bytes): void;
  decrypt(key: Bytes, nonce: Bytes, associated: Bytes, ciphertext: Bytes, out: Bytes): boolean;
  /** Fills `out`; throws where the platform has no generator. */
  entropy(out: Bytes): void;
}

export function nativeCrypto(native: NativeFunctions): Crypto {
  return { name: "libsecp256k1 in C", ...hashes(native), ...keys(native), ...ciphers(native) };
}

export function nativeEntropy(native: NativeFunctions): Entropy {
  return {
    random(length) {
      const out = new Uint8Array(length);
      native.entropy(out);
      return out;
    },
  };
}

function hashes(
  native: NativeFunctions,
): Pick<Crypto, "sha256" | "ripemd160" | "hmacSha256" | "hmacSha512"> {
  return {
    sha256(data) {
      const out = new Uint8Array(HASH_BYTES);
      native.sha256(data, out);
      return out;
    },
    ripemd160(data) {
      const out = new Uint8Array(20);
      native.ripemd160(data, out);
      return out;
    },
    hmacSha256(key, data) {
      const out = new Uint8Array(HASH_BYTES);
      native.hmacSha256(key, data, out);
      return out;
    },
    hmacSha512(key, data) {
      const out = new Uint8Array(64);
      native.hmacSha512(key, data, out);
      return out;
    },
  };
}

type KeysPart = Omit<Crypto, "name" | keyof ReturnType<typeof hashes> | "encrypt" | "decrypt">;

function keys(native: NativeFunctions): KeysPart {
  return {
    isSecretKey: (bytes) => bytes.length === SECRET_KEY_BYTES && native.isSecretKey(bytes),
    isPublicKey: (bytes) => bytes.length === PUBLIC_KEY_BYTES && native.isPublicKey(bytes),
    publicKeyOf(secret) {
      checkLength(secret, SECRET_KEY_BYTES, "secret key");
      const out = new Uint8Array(PUBLIC_KEY_BYTES);
      return inRange(native.publicKeyOf(secret, out), out, "secret key") as PublicKey;
    },
    publicKeyTweakAdd(point, tweak) {
      const out = pointResult(point, tweak);
      const done = native.publicKeyTweakAdd(point, tweak, out);
      return inRange(done, out, "public key, tweak or their sum") as PublicKey;
    },
    publicKeyTweakMultiply(point, tweak) {
      const out = pointResult(point, tweak);
      const done = native.publicKeyTweakMultiply(point, tweak, out);
      return inRange(done, out, "public key or tweak") as PublicKey;
    },
    publicKeyAdd(a, b) {
      checkLength(a, PUBLIC_KEY_BYTES, "public key");
      checkLength(b, PUBLIC_KEY_BYTES, "public key");
      const out = new Uint8Array(PUBLIC_KEY_BYTES);
      return inRange(native.publicKeyAdd(a, b, out), out, "public key or sum") as PublicKey;
    },
    secretKeyTweakAdd(secret, tweak) {
      const out = secretResult(secret, tweak);
      const done = native.secretKeyTweakAdd(secret, tweak, out);
      return inRange(done, out, "secret key, tweak or their sum") as SecretKey;
    },
    secretKeyTweakMultiply(secret, tweak) {
      const out = secretResult(secret, tweak);
      const done = native.secretKeyTweakMultiply(secret, tweak, out);
      return inRange(done, out, "secret key or tweak") as SecretKey;
    },
    sign(hash, secret) {
      checkLength(hash, HASH_BYTES, "hash");
      checkLength(secret, SECRET_KEY_BYTES, "secret key");
      const out = new Uint8Array(SIGNATURE_BYTES);
      return inRange(native.sign(hash, secret, out), out, "secret key") as Signature;
    },
    verify(signature, hash, key) {
      checkLength(signature, SIGNATURE_BYTES, "signature");
      checkLength(hash, HASH_BYTES, "hash");
      checkLength(key, PUBLIC_KEY_BYTES, "public key");
      return native.verify(signature, hash, key);
    },
    ecdh(secret, point) {
      checkLength(secret, SECRET_KEY_BYTES, "secret key");
      checkLength(point, PUBLIC_KEY_BYTES, "public key");
      const out = new Uint8Array(HASH_BYTES);
      return inRange(native.ecdh(secret, point, out), out, "secret key or public key");
    },
  };
}

function ciphers(native: NativeFunctions): Pick<Crypto, "encrypt" | "decrypt"> {
  return {
    encrypt(key, nonce, associated, plaintext) {
      checkCipher(key, nonce);
      const out = new Uint8Array(plaintext.length + TAG_BYTES);
      native.encrypt(key, nonce, associated, plaintext, out);
      return out;
    },
    decrypt(key, nonce, associated, ciphertext) {
      checkCipher(key, nonce);
      if (ciphertext.length < TAG_BYTES) return undefined;
      const out = new Uint8Array(ciphertext.length - TAG_BYTES);
      return native.decrypt(key, nonce, associated, ciphertext, out) ? out : undefined;
    },
  };
}

function pointResult(point: Bytes, tweak: Bytes): Bytes {
  checkLength(point, PUBLIC_KEY_BYTES, "public key");
  checkLength(tweak, TWEAK_BYTES, "tweak");
  return new Uint8Array(PUBLIC_KEY_BYTES);
}

function secretResult(secret: Bytes, tweak: Bytes): Bytes {
  checkLength(secret, SECRET_KEY_BYTES, "secret key");
  checkLength(tweak, TWEAK_BYTES, "tweak");
  return new Uint8Array(SECRET_KEY_BYTES);
}

function checkCipher(key: Bytes, nonce: Bytes): void {
  checkLength(key, CIPHER_KEY_BYTES, "cipher key");
  checkLength(nonce, NONCE_BYTES, "nonce");
}

function inRange(done: boolean, out: Bytes, what: string): Bytes {
  if (!done) throw outOfRange(what);
  return out;
}
