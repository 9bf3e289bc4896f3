/**
 * Per-commitment secrets: made from a seed, and the peer's kept in little room (BOLT 3 "Efficient
 * Per-commitment Secret Storage").
 */
import type { Crypto } from "../ports/crypto.ts";
import {
  type CommitmentNumber,
  MAX_COMMITMENT_NUMBER,
  type SecretKey,
  secretKey,
} from "../primitives/brands.ts";
import { equalConstantTime } from "../primitives/bytes.ts";
import { assert, demand } from "../primitives/errors.ts";

const INDEX_BITS = 48;
/** Bit operations on numbers end at 32. */
const HALF_BITS = 24;
const SECRET_BYTES = 32;
const COUNT_BYTES = 6;

/** BOLT 3's index of commitment `number`: they count down while numbers count up. */
export function secretIndex(number: CommitmentNumber): number {
  return MAX_COMMITMENT_NUMBER - number;
}

/** BOLT 3's generate_from_seed. */
export function generateFromSeed(crypto: Crypto, seed: Uint8Array, index: number): SecretKey {
  return secretKey(deriveSecret(crypto, seed, INDEX_BITS, index));
}

/**
 * Our own secrets. It keeps the path to the last one, so that the next costs about one hash instead
 * of 24.
 */
export class SecretGenerator {
  readonly #crypto: Crypto;
  /** At `b · 32` the value when bits 47 … b of the index are done; at the end, as number 48, the seed. */
  readonly #path: Uint8Array;
  /** The upper and the lower half of the index. */
  #high = 0;
  #low = 0;

  constructor(crypto: Crypto, seed: Uint8Array) {
    assert(seed.length === SECRET_BYTES, "the seed of per-commitment secrets has 32 bytes");
    this.#crypto = crypto;
    // Index 0 has no bit set: every value on its path is the seed.
    this.#path = new Uint8Array((INDEX_BITS + 1) * SECRET_BYTES);
    for (let bit = 0; bit <= INDEX_BITS; bit++) this.#path.set(seed, bit * SECRET_BYTES);
  }

  secret(number: CommitmentNumber): SecretKey {
    const index = secretIndex(number);
    const high = Math.floor(index / 2 ** HALF_BITS);
    const low = index % 2 ** HALF_BITS;
    const others = high ^ this.#high;
    const from = others === 0 ? length(low ^ this.#low) : HALF_BITS + length(others);
    for (let bit = from - 1; bit >= 0; bit--) {
      const above = this.#value(bit + 1);
      const isSet = (bit < HALF_BITS ? low >>> bit : high >>> (bit - HALF_BITS)) & 1;
      const value = isSet === 1 ? flipAndHash(this.#crypto, above, bit) : above;
      this.#path.set(value, bit * SECRET_BYTES);
    }
    this.#high = high;
    this.#low = low;
    return secretKey(this.#value(0));
  }

  #value(bit: number): Uint8Array {
    return this.#path.slice(bit * SECRET_BYTES, (bit + 1) * SECRET_BYTES);
  }
}

/**
 * The peer's secrets of commitments 0 … count-1, as few as all others follow from: one for each bit
 * set in `count`, that of the highest bit first. With fewer than 2^k known, these are at most k, and
 * k/2 on average.
 */
export interface SecretStore {
  readonly count: number;
  readonly secrets: readonly Uint8Array[];
}

export function emptySecretStore(): SecretStore {
  return { count: 0, secrets: [] };
}

/**
 * Adds the secret of the next commitment. Throws ProtocolViolation("per-commitment-secret") where
 * earlier ones do not follow from it.
 */
export function insertSecret(
  crypto: Crypto,
  store: SecretStore,
  number: CommitmentNumber,
  secret: SecretKey,
): SecretStore {
  assert(number === store.count, "per-commitment secrets are stored in the order of their numbers");
  const covered = trailingZeros(secretIndex(number));
  const kept = store.secrets.length - covered;
  // The replaced secrets stand at 2^(covered-1), …, 2, 1 commitments, and end just before this one.
  let end = number - 2 ** covered + 1;
  for (let bit = covered - 1; bit >= 0; bit--) {
    end += 2 ** bit;
    const index = MAX_COMMITMENT_NUMBER - (end - 1);
    const expected = store.secrets[kept + covered - 1 - bit] as Uint8Array;
    demand(
      equalConstantTime(deriveSecret(crypto, secret, covered, index), expected),
      "per-commitment-secret",
      `the secret of commitment ${number} does not fit the earlier ones`,
    );
  }
  return { count: number + 1, secrets: [...store.secrets.slice(0, kept), secret.slice()] };
}

/** The secret of commitment `number`; undefined where it is not known yet. */
export function lookupSecret(
  crypto: Crypto,
  store: SecretStore,
  number: CommitmentNumber,
): SecretKey | undefined {
  let end = 0;
  let position = 0;
  for (let bit = INDEX_BITS - 1; bit >= 0; bit--) {
    if (bitOf(store.count, bit) === 0) continue;
    end += 2 ** bit;
    if (number < end) {
      const base = store.secrets[position] as Uint8Array;
      return secretKey(deriveSecret(crypto, base, bit, secretIndex(number)));
    }
    position++;
  }
  return undefined;
}

/**
 * The count in 6 bytes, then the secrets: 6 + 32·(bits set in count), so 646 bytes at most below
 * 2^20 updates and 1542 ever.
 */
export function encodeSecretStore(store: SecretStore): Uint8Array {
  const out = new Uint8Array(COUNT_BYTES + SECRET_BYTES * store.secrets.length);
  let rest = store.count;
  for (let i = COUNT_BYTES - 1; i >= 0; i--) {
    out[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  store.secrets.forEach((secret, i) => {
    out.set(secret, COUNT_BYTES + SECRET_BYTES * i);
  });
  return out;
}

/** Throws ProtocolViolation("secret-store") for bytes that `encodeSecretStore` does not make. */
export function decodeSecretStore(bytes: Uint8Array): SecretStore {
  demand(bytes.length >= COUNT_BYTES, "secret-store", "it is too short");
  let count = 0;
  for (let i = 0; i < COUNT_BYTES; i++) count = count * 256 + (bytes[i] as number);
  const secrets: Uint8Array[] = [];
  for (let at = COUNT_BYTES; at < bytes.length; at += SECRET_BYTES) {
    secrets.push(bytes.slice(at, at + SECRET_BYTES));
  }
  const expected = COUNT_BYTES + SECRET_BYTES * bitsSet(count);
  demand(bytes.length === expected, "secret-store", "its length does not fit its count");
  return { count, secrets };
}

/**
 * BOLT 3's derive_secret: `base` is the secret of the index that equals `index` in all but the
 * lowest `bits` bits, which are 0.
 */
function deriveSecret(crypto: Crypto, base: Uint8Array, bits: number, index: number): Uint8Array {
  let value = base;
  for (let bit = bits - 1; bit >= 0; bit--) {
    if (bitOf(index, bit) === 1) value = flipAndHash(crypto, value, bit);
  }
  return value === base ? base.slice() : value;
}

function flipAndHash(crypto: Crypto, value: Uint8Array, bit: number): Uint8Array {
  const flipped = value.slice();
  flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
  return crypto.sha256(flipped);
}

function bitOf(index: number, bit: number): number {
  if (bit < HALF_BITS) return (index >>> bit) & 1;
  return (Math.floor(index / 2 ** HALF_BITS) >>> (bit - HALF_BITS)) & 1;
}

/** Bits up to the highest that is set. */
function length(half: number): number {
  return 32 - Math.clz32(half);
}

function trailingZeros(index: number): number {
  let count = 0;
  while (count < INDEX_BITS && bitOf(index, count) === 0) count++;
  return count;
}

function bitsSet(value: number): number {
  let count = 0;
  for (let bit = 0; bit < INDEX_BITS; bit++) count += bitOf(value, bit);
  return count;
}
