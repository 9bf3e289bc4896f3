/** What a node's keys come from: the entropy behind words, or a seed that has none. Shown by no log or JSON. */
import { hkdfSync } from "node:crypto";
import type { Crypto } from "../../core/ports/crypto.ts";
import { assert } from "../../core/primitives/errors.ts";
import { SecretError } from "./secret-error.ts";
import {
  ENTROPY_BYTES,
  entropyOf,
  newEntropy,
  SEED_BYTES,
  seedFromEntropy,
  wordsOf,
} from "./words.ts";

/** Keys for other purposes than Lightning, each of 32 bytes; none tells anything of the seed or the others. */
export type SecretPurpose =
  | "macaroon root keys"
  | "certificate authority"
  | "calls between processes"
  | "backup";

const SEED = 1;
const ENTROPY = 2;
const MIN_ENTROPY_BYTES = 16;

export class NodeSecret {
  readonly #type: typeof SEED | typeof ENTROPY;
  readonly #bytes: Uint8Array;

  private constructor(type: typeof SEED | typeof ENTROPY, bytes: Uint8Array) {
    this.#type = type;
    this.#bytes = bytes;
  }

  static random(): NodeSecret {
    return new NodeSecret(ENTROPY, newEntropy());
  }

  /** @throws SecretError "not-words". */
  static fromWords(words: string): NodeSecret {
    return new NodeSecret(ENTROPY, entropyOf(words));
  }

  /** A seed of 32 bytes as it was kept before there were words. */
  static fromSeed(seed: Uint8Array): NodeSecret {
    assert(seed.length === SEED_BYTES, "the node's seed has 32 bytes");
    return new NodeSecret(SEED, seed.slice());
  }

  /** What `encode` gave; @throws SecretError "damaged". */
  static decode(content: Uint8Array, path: string): NodeSecret {
    const [type] = content;
    const bytes = content.slice(1);
    const { length } = bytes;
    if (type === SEED && length === SEED_BYTES) return new NodeSecret(SEED, bytes);
    const isEntropy = length >= MIN_ENTROPY_BYTES && length <= ENTROPY_BYTES && length % 4 === 0;
    if (type === ENTROPY && isEntropy) return new NodeSecret(ENTROPY, bytes);
    throw new SecretError("damaged", `${path} opens, but holds no seed: is it the right file?`);
  }

  encode(): Uint8Array {
    return Uint8Array.of(this.#type, ...this.#bytes);
  }

  /** Undefined for a seed that was not made from words. */
  words(): string | undefined {
    return this.#type === ENTROPY ? wordsOf(this.#bytes) : undefined;
  }

  /** 32 bytes for SeedSigner. */
  seed(crypto: Crypto): Uint8Array {
    return this.#type === ENTROPY ? seedFromEntropy(crypto, this.#bytes) : this.#bytes.slice();
  }

  /** HKDF-SHA256 of the seed (RFC 5869). */
  derive(crypto: Crypto, purpose: SecretPurpose): Uint8Array {
    const info = `picobolt ${purpose} 1`;
    return new Uint8Array(hkdfSync("sha256", this.seed(crypto), new Uint8Array(0), info, 32));
  }
}
