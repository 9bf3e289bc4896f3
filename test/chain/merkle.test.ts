/** A merkle branch proves that a transaction stands in a block, and nothing made up passes for one. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { merkleBranch, merkleRoot, verifyInclusion } from "../../core/chain/merkle.ts";
import { satoshi, txid } from "../../core/primitives/brands.ts";
import { concat, fromHex, reversed, toHex } from "../../core/primitives/bytes.ts";
import {
  parseTransaction,
  serializeTransaction,
  transactionId,
} from "../../core/transactions/transaction.ts";
import { crypto } from "./synthetic-headers.ts";

/** A transaction like no other; `scriptLength` 4 gives 64 bytes without witness. */
function transaction(seed: number, scriptLength = 22, witness: Uint8Array[] = []): Uint8Array {
  return serializeTransaction({
    version: 2,
    inputs: [
      {
        outpoint: { txid: txid(crypto.sha256(new Uint8Array([seed, seed >> 8]))), vout: 0 },
        sequence: 0xffffffff,
        scriptSig: new Uint8Array(0),
        witness,
      },
    ],
    outputs: [{ script: new Uint8Array(scriptLength).fill(0x51), amount: satoshi(1000 + seed) }],
    locktime: 0,
  });
}

const idOf = (raw: Uint8Array) => transactionId(crypto, parseTransaction(raw));

function headerWith(root: Uint8Array): Uint8Array {
  const header = new Uint8Array(80);
  header.set(root, 36);
  return header;
}

function block(count: number) {
  const raws = Array.from({ length: count }, (_, i) => transaction(i));
  const ids = raws.map(idOf);
  return { raws, ids, header: headerWith(merkleRoot(crypto, ids)) };
}

const refused = (outcome: ReturnType<typeof verifyInclusion>) =>
  outcome.ok ? "accepted" : outcome.rule;

describe("a merkle branch", () => {
  it.each([1, 2, 3, 4, 5, 7, 8, 12, 33])("proves each transaction of a block of %i", (count) => {
    const { raws, ids, header } = block(count);
    raws.forEach((raw, index) => {
      const branch = merkleBranch(crypto, ids, index);
      const outcome = verifyInclusion(crypto, { raw, index, branch, header });
      expect(outcome).toEqual({ ok: true, txid: ids[index] });
    });
  });

  /** Block 100,000 of the main chain. */
  it("gives the root that the main chain has", () => {
    const ids = [
      "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
      "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
      "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
      "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
    ].map((id) => reversed(fromHex(id)));
    expect(toHex(reversed(merkleRoot(crypto, ids)))).toBe(
      "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766",
    );
  });

  it("proves a segwit transaction whose witness it does not cover", () => {
    const raw = transaction(1, 22, [new Uint8Array(71).fill(7)]);
    const ids = [idOf(transaction(0)), idOf(raw)];
    const header = headerWith(merkleRoot(crypto, ids));
    const branch = merkleBranch(crypto, ids, 1);
    expect(verifyInclusion(crypto, { raw, index: 1, branch, header }).ok).toBe(true);
  });

  it("fails when any byte of it, its place or the transaction is changed", () => {
    const { raws, ids, header } = block(11);
    fc.assert(
      fc.property(fc.nat(10), fc.nat(), fc.nat(2), fc.integer({ min: 1, max: 255 }), (...args) => {
        const [index, at, what, change] = args;
        const raw = (raws[index] as Uint8Array).slice();
        const branch = merkleBranch(crypto, ids, index).map((hash) => hash.slice());
        const proof = { raw, index, branch, header: header.slice() };
        const target = [raw, branch[at % branch.length] as Uint8Array, proof.header][what];
        const from = what === 2 ? 36 : 0;
        const length = what === 2 ? 32 : (target as Uint8Array).length;
        const bytes = target as Uint8Array;
        bytes[from + (at % length)] = (bytes[from + (at % length)] as number) ^ change;
        return !verifyInclusion(crypto, proof).ok;
      }),
    );
    const branch = merkleBranch(crypto, ids, 4);
    for (const index of [0, 3, 5, 10, 15]) {
      const proof = { raw: raws[4] as Uint8Array, index, branch, header };
      expect(refused(verifyInclusion(crypto, proof))).toBe("merkle-root");
    }
  });
});

describe("tricks", () => {
  it("refuses the second place of a duplicated last transaction (CVE-2012-2459)", () => {
    const { raws, ids, header } = block(3);
    const doubled = [...ids, ids[2] as Uint8Array];
    expect(merkleRoot(crypto, doubled)).toEqual(merkleRoot(crypto, ids));
    const branch = merkleBranch(crypto, doubled, 3);
    const proof = { raw: raws[2] as Uint8Array, index: 3, branch, header };
    expect(refused(verifyInclusion(crypto, proof))).toBe("branch-duplicate");
  });

  it("refuses a transaction of 64 bytes, which may be an inner node (CVE-2017-12842)", () => {
    const raw = transaction(5, 4);
    expect(raw.length).toBe(64);
    const proof = { raw, index: 0, branch: [], header: headerWith(idOf(raw)) };
    expect(refused(verifyInclusion(crypto, proof))).toBe("transaction-64-bytes");
    const witnessed = transaction(5, 4, [new Uint8Array(3)]);
    const hidden = { ...proof, raw: witnessed, header: headerWith(idOf(witnessed)) };
    expect(refused(verifyInclusion(crypto, hidden))).toBe("transaction-64-bytes");
  });

  it("refuses an inner node that is given as a transaction", () => {
    const { ids } = block(2);
    const node = concat(...ids);
    const header = headerWith(merkleRoot(crypto, ids));
    const outcome = verifyInclusion(crypto, { raw: node, index: 0, branch: [], header });
    expect(["transaction", "transaction-64-bytes"]).toContain(refused(outcome));
  });

  it("refuses a place that the tree does not have", () => {
    const { raws, ids, header } = block(4);
    const branch = merkleBranch(crypto, ids, 1);
    for (const index of [4, 5, -1, 1.5, 2 ** 40 + 1, Number.NaN]) {
      const proof = { raw: raws[1] as Uint8Array, index, branch, header };
      expect(refused(verifyInclusion(crypto, proof))).toBe("branch-index");
    }
  });

  it("refuses a branch longer than any block's, and steps that are no hashes", () => {
    const raw = transaction(1);
    const header = new Uint8Array(80);
    const long = Array.from({ length: 16 }, () => new Uint8Array(32));
    expect(refused(verifyInclusion(crypto, { raw, index: 0, branch: long, header }))).toBe(
      "branch-length",
    );
    const odd = [new Uint8Array(31)];
    expect(refused(verifyInclusion(crypto, { raw, index: 0, branch: odd, header }))).toBe(
      "branch-length",
    );
  });

  it("refuses what is not one whole transaction", () => {
    const raw = transaction(1);
    const header = new Uint8Array(80);
    for (const bytes of [new Uint8Array(0), raw.slice(1), concat(raw, new Uint8Array(1))]) {
      const proof = { raw: bytes, index: 0, branch: [], header };
      expect(refused(verifyInclusion(crypto, proof))).toBe("transaction");
    }
  });
});
