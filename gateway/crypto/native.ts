/** The Crypto provider of Node hosts: libsecp256k1 through npm `secp256k1`, the rest by OpenSSL (RFC 6979, RFC 8439). */
import { createCipheriv, createDecipheriv, createHmac, hash, randomBytes } from "node:crypto";
import { createRequire } from "node:module";
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
import { nobleCrypto } from "../../core/crypto/noble.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { PublicKey, SecretKey, Signature } from "../../core/primitives/brands.ts";
import { compare, fromHex } from "../../core/primitives/bytes.ts";

type Secp256k1 = typeof import("secp256k1");

const CIPHER = "chacha20-poly1305";
const CIPHER_OPTIONS = { authTagLength: TAG_BYTES } as const;

/** The native provider, or undefined where the addon does not load (never the package's slow JS fallback). */
export function nativeCrypto(): Crypto | undefined {
  const secp = loadAddon();
  if (!secp) return undefined;
  secp.contextRandomize(plain(randomBytes(32))); // blinds the signing tables against side channels
  return { name: "libsecp256k1", ...hashes(), ...curve(secp), ...cipher };
}

function loadAddon(): Secp256k1 | undefined {
  try {
    // The package's main module would fall back to pure JS without a word; this entry throws.
    return createRequire(import.meta.url)("secp256k1/bindings") as Secp256k1;
  } catch {
    return undefined;
  }
}

function hashes(): Pick<Crypto, "sha256" | "ripemd160" | "hmacSha256" | "hmacSha512"> {
  return {
    sha256: (data) => new Uint8Array(hash("sha256", data, "buffer")),
    ripemd160: hasRipemd160()
      ? (data) => new Uint8Array(hash("ripemd160", data, "buffer"))
      : nobleCrypto().ripemd160,
    hmacSha256: (key, data) => plain(createHmac("sha256", key).update(data).digest()),
    hmacSha512: (key, data) => plain(createHmac("sha512", key).update(data).digest()),
  };
}

/** OpenSSL 3 builds may leave it out as a legacy algorithm. */
function hasRipemd160(): boolean {
  try {
    return hash("ripemd160", "", "hex") === "9c1185a5c5e9fc54612808977ee8f548b2258d31";
  } catch {
    return false;
  }
}

type CurvePart = Omit<Crypto, "name" | "encrypt" | "decrypt" | keyof ReturnType<typeof hashes>>;

function curve(secp: Secp256k1): CurvePart {
  return {
    isSecretKey: (bytes) => bytes.length === SECRET_KEY_BYTES && secp.privateKeyVerify(bytes),
    isPublicKey: (bytes) => bytes.length === PUBLIC_KEY_BYTES && secp.publicKeyVerify(bytes),
    publicKeyOf(secret) {
      checkLength(secret, SECRET_KEY_BYTES, "secret key");
      return guarded("secret key", () => secp.publicKeyCreate(secret)) as PublicKey;
    },
    publicKeyTweakAdd(point, tweak) {
      checkLength(point, PUBLIC_KEY_BYTES, "public key");
      checkLength(tweak, TWEAK_BYTES, "tweak");
      return guarded("public key or tweak", () =>
        secp.publicKeyTweakAdd(point, tweak),
      ) as PublicKey;
    },
    publicKeyTweakMultiply(point, tweak) {
      checkLength(point, PUBLIC_KEY_BYTES, "public key");
      checkLength(tweak, TWEAK_BYTES, "tweak");
      return guarded("public key or tweak", () =>
        secp.publicKeyTweakMul(point, tweak),
      ) as PublicKey;
    },
    publicKeyAdd(a, b) {
      checkLength(a, PUBLIC_KEY_BYTES, "public key");
      checkLength(b, PUBLIC_KEY_BYTES, "public key");
      return guarded("public key or sum", () => secp.publicKeyCombine([a, b])) as PublicKey;
    },
    secretKeyTweakAdd(secret, tweak) {
      checkSecret(secp, secret);
      checkLength(tweak, TWEAK_BYTES, "tweak");
      const out = new Uint8Array(secret); // the addon works in place
      return guarded("tweak", () => secp.privateKeyTweakAdd(out, tweak)) as SecretKey;
    },
    secretKeyTweakMultiply(secret, tweak) {
      checkSecret(secp, secret);
      checkLength(tweak, TWEAK_BYTES, "tweak");
      const out = new Uint8Array(secret);
      return guarded("tweak", () => secp.privateKeyTweakMul(out, tweak)) as SecretKey;
    },
    sign(digest, secret) {
      checkLength(digest, HASH_BYTES, "hash");
      checkLength(secret, SECRET_KEY_BYTES, "secret key");
      const message = reducedModOrder(digest);
      return guarded("secret key", () => secp.ecdsaSign(message, secret).signature) as Signature;
    },
    verify(signature, digest, key) {
      checkLength(signature, SIGNATURE_BYTES, "signature");
      checkLength(digest, HASH_BYTES, "hash");
      checkLength(key, PUBLIC_KEY_BYTES, "public key");
      try {
        return secp.ecdsaVerify(signature, digest, key);
      } catch {
        return false; // r or s beyond the order, or the key is no point
      }
    },
    ecdh(secret, point) {
      checkLength(secret, SECRET_KEY_BYTES, "secret key");
      checkLength(point, PUBLIC_KEY_BYTES, "public key");
      return guarded("secret key or public key", () => secp.ecdh(point, secret));
    },
  };
}

const cipher: Pick<Crypto, "encrypt" | "decrypt"> = {
  encrypt(key, nonce, associated, plaintext) {
    checkCipher(key, nonce);
    const state = createCipheriv(CIPHER, key, nonce, CIPHER_OPTIONS);
    if (associated.length > 0) {
      state.setAAD(associated, { plaintextLength: plaintext.length });
    }
    const out = new Uint8Array(plaintext.length + TAG_BYTES);
    out.set(state.update(plaintext));
    state.final();
    out.set(state.getAuthTag(), plaintext.length);
    return out;
  },
  decrypt(key, nonce, associated, ciphertext) {
    checkCipher(key, nonce);
    const length = ciphertext.length - TAG_BYTES;
    if (length < 0) return undefined;
    const state = createDecipheriv(CIPHER, key, nonce, CIPHER_OPTIONS);
    if (associated.length > 0) state.setAAD(associated, { plaintextLength: length });
    state.setAuthTag(ciphertext.subarray(length));
    const plaintext = state.update(ciphertext.subarray(0, length));
    try {
      state.final();
    } catch {
      plaintext.fill(0); // nobody may see bytes that were not authenticated
      return undefined;
    }
    return plain(plaintext);
  },
};

function checkCipher(key: Uint8Array, nonce: Uint8Array): void {
  checkLength(key, CIPHER_KEY_BYTES, "cipher key");
  checkLength(nonce, NONCE_BYTES, "nonce");
}

/** The addon reduces a secret modulo the order in silence when tweaking; core's contract refuses it. */
function checkSecret(secp: Secp256k1, secret: SecretKey): void {
  checkLength(secret, SECRET_KEY_BYTES, "secret key");
  if (!secp.privateKeyVerify(secret)) throw outOfRange("secret key");
}

/** Calls the addon and replaces its error, so that all providers throw the same kind. */
function guarded<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch {
    throw outOfRange(what);
  }
}

/** As a Uint8Array: Buffer's `slice` shares memory, which would surprise core. */
function plain(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

const ORDER = fromHex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");

/** RFC 6979 §3.2 d feeds the hash modulo the order to the nonce; this libsecp256k1 feeds it as it is. */
function reducedModOrder(digest: Uint8Array): Uint8Array {
  if (digest[0] !== 0xff || compare(digest, ORDER) < 0) return digest;
  const out = new Uint8Array(digest.length);
  let borrow = 0;
  for (let i = digest.length - 1; i >= 0; i--) {
    const difference = (digest[i] as number) - (ORDER[i] as number) - borrow;
    borrow = difference < 0 ? 1 : 0;
    out[i] = difference & 0xff;
  }
  return out;
}
