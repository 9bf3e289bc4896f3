/** What is signed is what BIP 143 says, for both sighash types that a channel uses. */
import { Transaction as BitcoinjsTransaction } from "bitcoinjs-lib";
import fc from "fast-check";
import { expect, it } from "vitest";
import { publicKey, type Satoshi, satoshi, txid } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { p2wpkhScriptCode } from "../../core/transactions/script.ts";
import {
  SIGHASH_ALL,
  SIGHASH_SINGLE_ANYONECANPAY,
  segwitSighash,
  sharedHashes,
} from "../../core/transactions/sighash.ts";
import {
  parseTransaction,
  serializeTransaction,
  type Transaction,
} from "../../core/transactions/transaction.ts";
import { noble } from "../support/crypto-providers.ts";

it("is that of BIP 143's native P2WPKH example", () => {
  const transaction = parseTransaction(
    fromHex(
      "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac11000000",
    ),
  );
  const key = publicKey(
    fromHex("025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee6357"),
  );
  const scriptCode = p2wpkhScriptCode(noble, key);
  const sighash = segwitSighash(noble, transaction, 1, {
    amount: satoshi(600_000_000),
    scriptCode,
  });
  expect(toHex(sighash)).toBe("c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670");
});

const input = fc.record({
  outpoint: fc.record({
    txid: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(txid),
    vout: fc.nat(0xffffffff),
  }),
  scriptSig: fc.constant(new Uint8Array(0)),
  sequence: fc.nat(0xffffffff),
  witness: fc.constant([]),
});
const output = fc.record({
  amount: fc.nat(2 ** 31 - 1).map((n) => n as Satoshi),
  script: fc.uint8Array({ maxLength: 50 }),
});
const anyTransaction: fc.Arbitrary<Transaction> = fc.record({
  version: fc.constantFrom(2, 3),
  inputs: fc.array(input, { minLength: 1, maxLength: 4 }),
  outputs: fc.array(output, { minLength: 1, maxLength: 3 }),
  locktime: fc.nat(0xffffffff),
});

it.each([SIGHASH_ALL, SIGHASH_SINGLE_ANYONECANPAY] as const)(
  "is that of bitcoinjs-lib for any transaction under type %i",
  (type) => {
    const script = fc.uint8Array({ minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(anyTransaction, script, fc.nat(), (transaction, scriptCode, pick) => {
        const index = pick % transaction.inputs.length;
        const spent = { amount: satoshi(5_000_000_000), scriptCode };
        const theirs = BitcoinjsTransaction.fromHex(
          toHex(serializeTransaction(transaction)),
        ).hashForWitnessV0(index, scriptCode, BigInt(spent.amount), type);
        expect(toHex(segwitSighash(noble, transaction, index, spent, type))).toBe(toHex(theirs));
        const shared = sharedHashes(noble, transaction);
        expect(toHex(segwitSighash(noble, transaction, index, spent, type, shared))).toBe(
          toHex(theirs),
        );
      }),
    );
  },
);
