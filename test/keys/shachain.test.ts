/**
 * Per-commitment secrets are those of BOLT 3, appendix D; a wrong one is noticed; storage stays
 * small.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeSecretStore,
  emptySecretStore,
  encodeSecretStore,
  generateFromSeed,
  insertSecret,
  lookupSecret,
  SecretGenerator,
  secretIndex,
} from "../../core/keys/shachain.ts";
import {
  commitmentNumber,
  MAX_COMMITMENT_NUMBER,
  secretKey,
} from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { noble } from "../support/crypto-providers.ts";
import { describeVectors } from "../support/vectors.ts";

interface AppendixD {
  readonly generation: readonly {
    readonly name: string;
    readonly seed: string;
    readonly index: string;
    readonly output: string;
  }[];
  readonly storage: readonly {
    readonly name: string;
    readonly inserts: readonly {
      readonly index: string;
      readonly secret: string;
      readonly ok: boolean;
    }[];
  }[];
}

const seed = new Uint8Array(32).fill(7);
const secretAt = (number: number) =>
  generateFromSeed(noble, seed, secretIndex(commitmentNumber(number)));

function storeOf(count: number) {
  let store = emptySecretStore();
  for (let n = 0; n < count; n++) {
    store = insertSecret(noble, store, commitmentNumber(n), secretAt(n));
  }
  return store;
}

describeVectors<AppendixD>(
  "BOLT 3 appendix D",
  "bolt3-appendix-d-per-commitment-secrets.json",
  ({ generation, storage }) => {
    it.each(generation.map((vector) => [vector.name, vector] as const))("%s", (_, vector) => {
      const secret = generateFromSeed(noble, fromHex(vector.seed), Number(vector.index));
      expect(toHex(secret)).toBe(vector.output);
      const generator = new SecretGenerator(noble, fromHex(vector.seed));
      const number = commitmentNumber(MAX_COMMITMENT_NUMBER - Number(vector.index));
      expect(toHex(generator.secret(number))).toBe(vector.output);
    });

    it.each(storage.map((vector) => [vector.name, vector] as const))("%s", (_, { inserts }) => {
      let store = emptySecretStore();
      for (const { index, secret, ok } of inserts) {
        const number = commitmentNumber(MAX_COMMITMENT_NUMBER - Number(index));
        const insert = () => insertSecret(noble, store, number, secretKey(fromHex(secret)));
        if (ok) store = insert();
        else expect(insert).toThrow(ProtocolViolation);
      }
      const good = inserts.filter(({ ok }) => ok);
      for (const { index, secret } of good) {
        const number = commitmentNumber(MAX_COMMITMENT_NUMBER - Number(index));
        expect(toHex(lookupSecret(noble, store, number) as Uint8Array)).toBe(secret);
      }
    });
  },
);

describe("our own secrets", () => {
  it("come in any order as the seed gives them", () => {
    const generator = new SecretGenerator(noble, seed);
    const number = fc.oneof(fc.nat(1000), fc.integer({ min: 0, max: MAX_COMMITMENT_NUMBER }));
    fc.assert(
      fc.property(number, (n) => {
        expect(generator.secret(commitmentNumber(n))).toEqual(secretAt(n));
      }),
    );
  });

  it("cost about one hash each when they are used one after another", () => {
    let hashes = 0;
    const counting = {
      ...noble,
      sha256: (data: Uint8Array) => {
        hashes++;
        return noble.sha256(data);
      },
    };
    const generator = new SecretGenerator(counting, seed);
    generator.secret(commitmentNumber(0));
    expect(hashes).toBe(48);
    for (let n = 1; n <= 1024; n++) generator.secret(commitmentNumber(n));
    expect(hashes - 48).toBeLessThan(1.1 * 1024);
  });
});

describe("the peer's secrets", () => {
  it("are all found again, and those to come are not", () => {
    const store = storeOf(300);
    for (let n = 0; n < 300; n++) {
      expect(lookupSecret(noble, store, commitmentNumber(n))).toEqual(secretAt(n));
    }
    expect(lookupSecret(noble, store, commitmentNumber(300))).toBeUndefined();
  });

  it("are kept as one for each bit set in their count", () => {
    expect(storeOf(255).secrets).toHaveLength(8);
    expect(storeOf(256).secrets).toHaveLength(1);
    expect(encodeSecretStore(storeOf(256))).toHaveLength(38);
    expect(encodeSecretStore(emptySecretStore())).toHaveLength(6);
  });

  it("survive being written and read", () => {
    fc.assert(
      fc.property(fc.nat(70), (count) => {
        const store = storeOf(count);
        expect(decodeSecretStore(encodeSecretStore(store))).toEqual(store);
      }),
      { numRuns: 20 },
    );
  });

  it("are refused when a bit of any is wrong, as soon as that can be seen", () => {
    const store = storeOf(7);
    for (let byte = 0; byte < 32; byte++) {
      const wrong = secretAt(7);
      wrong[byte] = (wrong[byte] as number) ^ 1;
      expect(() => insertSecret(noble, store, commitmentNumber(7), wrong)).toThrow(
        /^per-commitment-secret: /,
      );
    }
    for (let place = 0; place < 3; place++) {
      const secrets = store.secrets.map((secret) => secret.slice());
      (secrets[place] as Uint8Array)[0]! ^= 1;
      const insert = () =>
        insertSecret(noble, { ...store, secrets }, commitmentNumber(7), secretAt(7));
      expect(insert).toThrow(/^per-commitment-secret: /);
    }
  });

  it("leave the old store as it was", () => {
    const before = storeOf(7);
    const copy = encodeSecretStore(before);
    insertSecret(noble, before, commitmentNumber(7), secretAt(7));
    expect(encodeSecretStore(before)).toEqual(copy);
  });

  it("cannot be read from bytes of another length", () => {
    const encoded = encodeSecretStore(storeOf(5));
    for (const length of [0, 5, 6, 37, 69, encoded.length - 1]) {
      expect(() => decodeSecretStore(encoded.slice(0, length))).toThrow(/^secret-store: /);
    }
    expect(() => decodeSecretStore(new Uint8Array([...encoded, 0]))).toThrow(/^secret-store: /);
  });

  it("take 1542 bytes at most, at the end of a channel's numbers", () => {
    const full = new Uint8Array(6 + 48 * 32).fill(0xff);
    const store = decodeSecretStore(full);
    expect(store.count).toBe(MAX_COMMITMENT_NUMBER);
    expect(encodeSecretStore(store)).toEqual(full);
  });
});
