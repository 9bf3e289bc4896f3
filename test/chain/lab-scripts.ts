/** Keys, scripts and signatures for the adapters' tests, made with bitcoinjs-lib's sighash: a second opinion on ours. */
import * as bitcoin from "bitcoinjs-lib";
import type { Outpoint, TxOutput } from "../../core/ports/chain.ts";
import { type SecretKey, satoshi, secretKey } from "../../core/primitives/brands.ts";
import { fromHex } from "../../core/primitives/bytes.ts";
import { toDer } from "../../core/transactions/der.ts";
import {
  parseTransaction,
  serializeTransaction,
  type Transaction,
  transactionId,
  withWitness,
} from "../../core/transactions/transaction.ts";
import { crypto } from "./synthetic-headers.ts";

export const P2A: Uint8Array = fromHex("51024e73");
export const ALL = bitcoin.Transaction.SIGHASH_ALL;
/** BIP 65, BIP 112. */
const OP = { DROP: 0x75, CHECKSIG: 0xac, CHECKLOCKTIMEVERIFY: 0xb1, CHECKSEQUENCEVERIFY: 0xb2 };
export const SINGLE_ANYONECANPAY =
  bitcoin.Transaction.SIGHASH_SINGLE | bitcoin.Transaction.SIGHASH_ANYONECANPAY;

export const secretOf = (seed: number): SecretKey =>
  secretKey(crypto.sha256(new Uint8Array([seed])));
export const keyOf = (seed: number): Uint8Array => crypto.publicKeyOf(secretOf(seed));
export const idOf = (raw: Uint8Array) => transactionId(crypto, parseTransaction(raw));

/** `<key> OP_CHECKSIG`, with words before it. */
export function keyScript(seed: number, ...before: (number | Uint8Array)[]): Uint8Array {
  return bitcoin.script.compile([...before, keyOf(seed), OP.CHECKSIG]);
}

export function afterHeight(seed: number, height: number): Uint8Array {
  const number = bitcoin.script.number.encode(height);
  return keyScript(seed, number, OP.CHECKLOCKTIMEVERIFY, OP.DROP);
}

export function afterDelay(seed: number, blocks: number): Uint8Array {
  const number = bitcoin.script.number.encode(blocks);
  return keyScript(seed, number, OP.CHECKSEQUENCEVERIFY, OP.DROP);
}

export const wsh = (script: Uint8Array): Uint8Array =>
  Uint8Array.from([0, 32, ...crypto.sha256(script)]);

export interface Spend {
  readonly outpoint: Outpoint;
  readonly sequence?: number;
}

export function transaction(
  spends: readonly Spend[],
  outputs: readonly (readonly [Uint8Array, number])[],
  { version = 2, locktime = 0 }: { version?: number; locktime?: number } = {},
): Transaction {
  return {
    version,
    inputs: spends.map(({ outpoint, sequence = 0xfffffffd }) => ({
      outpoint,
      sequence,
      scriptSig: new Uint8Array(0),
      witness: [],
    })),
    outputs: outputs.map(([script, amount]) => ({ script, amount: satoshi(amount) })),
    locktime,
  };
}

/** Signs input `index`, which spends the P2WSH output `spent` of `script`. */
export function sign(
  unsigned: Transaction,
  index: number,
  { script, spent, seed, type = ALL }: SignWith,
): Transaction {
  const raw = serializeTransaction(unsigned, { witness: false });
  const parsed = bitcoin.Transaction.fromBuffer(Buffer.from(raw));
  const hash = parsed.hashForWitnessV0(index, script, BigInt(spent.amount), type);
  const signature = toDer(crypto.sign(Uint8Array.from(hash), secretOf(seed)), type);
  return withWitness(unsigned, index, [signature, script]);
}

export interface SignWith {
  readonly script: Uint8Array;
  readonly spent: Pick<TxOutput, "amount">;
  readonly seed: number;
  readonly type?: number;
}

/** The output of `raw` with this script. */
export function outputOf(raw: Uint8Array, script: Uint8Array): Spend & { output: TxOutput } {
  const parsed = parseTransaction(raw);
  const vout = parsed.outputs.findIndex((output) => Buffer.from(script).equals(output.script));
  const output = parsed.outputs[vout];
  if (!output) throw new Error("the transaction has no such output");
  return { outpoint: { txid: idOf(raw), vout }, output };
}
