/**
 * Transactions are written and weighed as bitcoinjs-lib has them, and read back only when they are
 * canonical.
 */
import { Transaction as BitcoinjsTransaction } from "bitcoinjs-lib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { publicKey, type Satoshi, satoshi, txid } from "../../core/primitives/brands.ts";
import { fromHex, reversed, toHex } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { fundingOutput } from "../../core/transactions/funding.ts";
import {
  parseTransaction,
  serializeTransaction,
  type Transaction,
  transactionId,
  transactionVsize,
  transactionWeight,
} from "../../core/transactions/transaction.ts";
import { noble } from "../support/crypto-providers.ts";
import { describeVectors } from "../support/vectors.ts";

describeVectors<Record<string, string>>(
  "BOLT 3 appendix B",
  "bolt3-appendix-b-funding.json",
  (vectors) => {
    const raw = fromHex(vectors.funding_tx as string);

    it("is read, written and named as the appendix has it", () => {
      const transaction = parseTransaction(raw);
      expect(toHex(serializeTransaction(transaction))).toBe(vectors.funding_tx);
      expect(toHex(reversed(transactionId(noble, transaction)))).toBe(vectors.txid);
      expect(toHex(reversed(transaction.inputs[0]?.outpoint.txid as Uint8Array))).toBe(
        vectors.input_txid,
      );
    });

    it("pays the funding output of the two keys, in any order", () => {
      const local = publicKey(fromHex(vectors.local_funding_pubkey as string));
      const remote = publicKey(fromHex(vectors.remote_funding_pubkey as string));
      const amount = satoshi(Number(vectors.funding_satoshis));
      const [paid] = parseTransaction(raw).outputs;
      expect(fundingOutput(noble, [local, remote], amount)).toEqual(paid);
      expect(fundingOutput(noble, [remote, local], amount)).toEqual(paid);
    });
  },
);

const u32 = fc.nat(0xffffffff);
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const anyTransaction: fc.Arbitrary<Transaction> = fc.record({
  version: u32,
  inputs: fc.array(
    fc.record({
      outpoint: fc.record({
        txid: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(txid),
        vout: u32,
      }),
      scriptSig: bytes(300),
      sequence: u32,
      witness: fc.array(bytes(300), { maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  outputs: fc.array(
    fc.record({
      amount: fc.integer({ min: 0, max: 2_100_000_000_000_000 }).map((n) => n as Satoshi),
      script: bytes(300),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  locktime: u32,
});

describe("any transaction", () => {
  it("is read back from what was written", () => {
    fc.assert(
      fc.property(anyTransaction, (transaction) => {
        expect(parseTransaction(serializeTransaction(transaction))).toEqual(transaction);
      }),
    );
  });

  it("has the bytes, txid and weight that bitcoinjs-lib gives it", () => {
    fc.assert(
      fc.property(anyTransaction, (transaction) => {
        const raw = serializeTransaction(transaction);
        const theirs = BitcoinjsTransaction.fromHex(toHex(raw));
        expect(theirs.toHex()).toBe(toHex(raw));
        expect(theirs.getId()).toBe(toHex(reversed(transactionId(noble, transaction))));
        expect(transactionWeight(transaction)).toBe(theirs.weight());
        expect(transactionVsize(transaction)).toBe(theirs.virtualSize());
      }),
    );
  });

  it("is not read when it is cut short, or when a byte follows", () => {
    fc.assert(
      fc.property(anyTransaction, fc.nat(), (transaction, at) => {
        const raw = serializeTransaction(transaction);
        const cut = raw.slice(0, at % raw.length);
        expect(() => parseTransaction(cut)).toThrow(ProtocolViolation);
        expect(() => parseTransaction(Uint8Array.of(...raw, 0))).toThrow(ProtocolViolation);
      }),
    );
  });

  it("survives arbitrary damage with an error or another canonical transaction", () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(anyTransaction, damage, (transaction, changes) => {
        const raw = serializeTransaction(transaction);
        for (const [at, byte] of changes) raw[at % raw.length] = byte;
        let parsed: Transaction;
        try {
          parsed = parseTransaction(raw);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolViolation);
          return;
        }
        expect(toHex(serializeTransaction(parsed))).toBe(toHex(raw));
      }),
    );
  });
});

describe("bytes that are no canonical transaction are refused:", () => {
  const input = `${"11".repeat(32)}0000000000ffffffff`;
  const output = "e8030000000000000151";
  const txBody = `01${input}01${output}`;
  const refused: readonly [string, string, RegExp][] = [
    ["an unneeded long count", `02000000fd0100${input}01${output}00000000`, /not minimal/],
    ["an unneeded longer count", `02000000fe01000000${input}01${output}00000000`, /not minimal/],
    ["a count of 2^32 inputs", `02000000feffffffff${input}01${output}00000000`, /exceeds/],
    ["a count of 2^63 inputs", `02000000ff${"00".repeat(7)}80${input}01${output}`, /absurd/],
    ["a count of outputs beyond the end", `0200000001${input}fdff00${output}00000000`, /exceeds/],
    ["a script beyond the end", `0200000001${input}01e803000000000000fdffff51000000`, /ends/],
    ["no inputs", `0200000000010000${"00".repeat(20)}`, /no inputs/],
    ["an unknown segwit flag", `020000000002${txBody}00000000`, /flag/],
    ["segwit without a witness", `020000000001${txBody}0000000000`, /no witness/],
    ["more than all money", `0200000001${input}010140075af0750700015100000000`, /money/],
    ["an amount of 2^63", `0200000001${input}010000000000000080015100000000`, /too large/],
    ["nothing", "", /ends/],
  ];
  it.each(refused)("%s", (_, hex, reason) => {
    expect(() => parseTransaction(fromHex(hex))).toThrow(ProtocolViolation);
    expect(() => parseTransaction(fromHex(hex))).toThrow(reason);
  });

  it("more bytes than a block has room for", () => {
    expect(() => parseTransaction(new Uint8Array(4_000_001))).toThrow(/larger than a block/);
  });
});
