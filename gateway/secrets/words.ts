/**
 * The words a person writes down (BIP 39, English), and the node's seed from them.
 *
 * words ↔ entropy (with its checksum) → BIP 39 seed of 64 bytes (PBKDF2) → BIP 32 master key → BIP 85's
 * HEX application, m/83696968'/128169'/32'/index' → 32 bytes, the seed that SeedSigner takes. So the words
 * may be those of any wallet that knows BIP 85, and one set of words gives every node its own seed.
 */
import { randomBytes } from "node:crypto";
import {
  entropyToMnemonic,
  mnemonicToEntropy,
  mnemonicToSeedSync,
  validateMnemonic,
} from "@scure/bip39";
import { wordlist } from "@scure/bip39/wordlists/english.js";
import {
  deriveSecretAt,
  type ExtendedSecretKey,
  HARDENED,
  masterKey,
} from "../../core/keys/bip32.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { ascii, wipe } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import { SecretError } from "./secret-error.ts";

export const SEED_BYTES = 32;
/** 24 words. */
export const ENTROPY_BYTES = 32;

const COUNTS = [12, 15, 18, 21, 24];
const BIP85 = 83696968 + HARDENED;
const BIP85_HEX = 128169 + HARDENED;
const BIP85_KEY = "bip-entropy-from-k";

export function newEntropy(): Uint8Array {
  return new Uint8Array(randomBytes(ENTROPY_BYTES));
}

export function wordsOf(entropy: Uint8Array): string {
  return entropyToMnemonic(entropy, wordlist);
}

/** Case and spaces do not matter; @throws SecretError "not-words", which names the place, never the words. */
export function entropyOf(words: string): Uint8Array {
  const list = words.normalize("NFKD").trim().toLowerCase().split(/\s+/);
  if (!COUNTS.includes(list.length)) {
    throw notWords(`there are ${list.length} of them: it must be 12, 15, 18, 21 or 24`);
  }
  const unknown = list.findIndex((word) => !wordlist.includes(word));
  if (unknown >= 0) throw notWords(`number ${unknown + 1} is not on BIP 39's English list`);
  const phrase = list.join(" ");
  if (!validateMnemonic(phrase, wordlist)) {
    throw notWords("their checksum is wrong: one of them, or their order, is not as it was given");
  }
  return mnemonicToEntropy(phrase, wordlist);
}

/** 64 bytes; `passphrase` is BIP 39's own, an empty one for nodes. */
export function bip39Seed(entropy: Uint8Array, passphrase = ""): Uint8Array {
  return mnemonicToSeedSync(wordsOf(entropy), passphrase);
}

/** The seed of node number `index`; a gateway is number 0. */
export function seedFromEntropy(crypto: Crypto, entropy: Uint8Array, index = 0): Uint8Array {
  const wide = bip39Seed(entropy);
  const seed = bip85Hex(crypto, masterKey(crypto, wide), { length: SEED_BYTES, index });
  wipe(wide);
  return seed;
}

/** BIP 85, "HEX". */
export function bip85Hex(
  crypto: Crypto,
  master: ExtendedSecretKey,
  { length, index }: { readonly length: number; readonly index: number },
): Uint8Array {
  assert(length >= 16 && length <= 64, "BIP 85 gives 16 to 64 bytes");
  assert(Number.isInteger(index) && index >= 0 && index < HARDENED, "index out of range");
  const path = [BIP85, BIP85_HEX, length + HARDENED, index + HARDENED];
  const key = deriveSecretAt(crypto, master, path);
  return crypto.hmacSha512(ascii(BIP85_KEY), key).slice(0, length);
}

function notWords(why: string): SecretError {
  return new SecretError("not-words", `these are not the words of a seed: ${why}.`);
}
