/** Words to seeds, by the published vectors of BIP 39 and BIP 85. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { nobleCrypto } from "../../../core/crypto/noble.ts";
import { formatSecretKey, masterKey, parseSecretKey } from "../../../core/keys/bip32.ts";
import { SeedSigner } from "../../../core/keys/seed-signer.ts";
import { fromHex, toHex } from "../../../core/primitives/bytes.ts";
import { NodeSecret } from "../../../gateway/secrets/node-secret.ts";
import {
  bip39Seed,
  bip85Hex,
  entropyOf,
  seedFromEntropy,
  wordsOf,
} from "../../../gateway/secrets/words.ts";

interface Vector {
  readonly entropy: string;
  readonly words: string;
  readonly seed: string;
  readonly root: string;
}

const file = new URL("./bip39-vectors.json", import.meta.url);
const { vectors, passphrase } = JSON.parse(readFileSync(file, "utf8")) as {
  vectors: Vector[];
  passphrase: string;
};
const crypto = nobleCrypto();
const ABANDON = `${"abandon ".repeat(11)}about`;

describe("BIP 39's vectors", () => {
  test.each(vectors)("$words", ({ entropy, words, seed, root }) => {
    expect(wordsOf(fromHex(entropy))).toBe(words);
    expect(toHex(entropyOf(words))).toBe(entropy);
    const bytes = bip39Seed(fromHex(entropy), passphrase);
    expect(toHex(bytes)).toBe(seed);
    expect(formatSecretKey(crypto, masterKey(crypto, bytes), "mainnet")).toBe(root);
  });
});

test("BIP 85's vector of the HEX application", () => {
  const root =
    "xprv9s21ZrQH143K2LBWUUQRFXhucrQqBpKdRRxNVq2zBqsx8HVqFk2uYo8kmbaLLHRdqtQpUm98uKfu3vca1LqdGhUtyoFnCNkfmXRyPXLjbKb";
  const { key } = parseSecretKey(crypto, root);
  expect(toHex(bip85Hex(crypto, key, { length: 64, index: 0 }))).toBe(
    "492db4698cf3b73a5a24998aa3e9d7fa96275d85724a91e71aa2d645442f878555d078fd1f1f67e368976f04137b1f7a0d19232136ca50c44614af72b5582a5c",
  );
});

test("the same words give the same node for ever", () => {
  const { nodeId } = new SeedSigner(crypto, NodeSecret.fromWords(ABANDON).seed(crypto));
  expect(toHex(nodeId)).toBe("03f0e851cab520588d34f600bc290ab6e25510abb815474ad17f5f5fd596634d3e");
});

test("one set of words gives each node a seed of its own", () => {
  const entropy = entropyOf(ABANDON);
  const seeds = [undefined, 0, 1, 2].map((index) => toHex(seedFromEntropy(crypto, entropy, index)));
  expect(seeds[0]).toBe(seeds[1]);
  expect(new Set(seeds).size).toBe(3);
});

test("case, line ends and spaces do not matter", () => {
  const shouted = ` ${ABANDON.toUpperCase().replaceAll(" ", "\n  ")} `;
  expect(NodeSecret.fromWords(shouted).words()).toBe(ABANDON);
});

test.each([
  ["too few", "abandon about", /there are 2 of them/],
  ["unknown", ABANDON.replace("about", "abuot"), /number 12 is not on/],
  ["out of order", `about ${ABANDON.slice(0, -6)}`, /checksum is wrong/],
])("words that are %s are refused, and not repeated in the error", (_, words, message) => {
  expect(() => NodeSecret.fromWords(words)).toThrow(
    expect.objectContaining({ code: "not-words", message: expect.stringMatching(message) }),
  );
  expect(() => NodeSecret.fromWords(words)).toThrow(
    expect.objectContaining({ message: expect.not.stringContaining("abuot") }),
  );
});

test("a seed from before there were words keeps its node, and has no words", () => {
  const seed = new Uint8Array(32).fill(7);
  const secret = NodeSecret.fromSeed(seed);
  expect(secret.seed(crypto)).toEqual(seed);
  expect(secret.words()).toBeUndefined();
});

test("a new secret has 24 words, shows nothing in JSON, and its purposes differ", () => {
  const secret = NodeSecret.random();
  expect(secret.words()?.split(" ")).toHaveLength(24);
  expect(JSON.stringify(secret)).toBe("{}");
  const keys = ["macaroon root keys", "certificate authority", "backup"] as const;
  expect(new Set(keys.map((purpose) => toHex(secret.derive(crypto, purpose)))).size).toBe(3);
});
