/** What a segwit v0 signature signs (BIP 143), for ALL and for SINGLE|ANYONECANPAY. */
import type { TxOutput } from "../ports/chain.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { Satoshi } from "../primitives/brands.ts";
import { assert } from "../primitives/errors.ts";
import { ByteWriter } from "./codec.ts";
import { type Transaction, type TxInput, writeOutpoint, writeOutput } from "./transaction.ts";

export const SIGHASH_ALL = 0x01;
export const SIGHASH_SINGLE_ANYONECANPAY = 0x83;
export type SighashType = typeof SIGHASH_ALL | typeof SIGHASH_SINGLE_ANYONECANPAY;

/** The output that the input spends. */
export interface SpentOutput {
  readonly amount: Satoshi;
  /** The witness script, or `p2wpkhScriptCode` of the key. */
  readonly scriptCode: Uint8Array;
}

/**
 * The parts that all inputs of one transaction share under SIGHASH_ALL; computed once for many
 * inputs.
 */
export interface SharedHashes {
  readonly prevouts: Uint8Array;
  readonly sequences: Uint8Array;
  readonly outputs: Uint8Array;
}

export function segwitSighash(
  crypto: Crypto,
  transaction: Transaction,
  inputIndex: number,
  spent: SpentOutput,
  type: SighashType = SIGHASH_ALL,
  shared?: SharedHashes,
): Uint8Array {
  const input = transaction.inputs[inputIndex];
  assert(input !== undefined, "no such input");
  const { prevouts, sequences, outputs } =
    type === SIGHASH_ALL
      ? (shared ?? sharedHashes(crypto, transaction))
      : singleHashes(crypto, transaction, inputIndex);
  const writer = new ByteWriter(165 + spent.scriptCode.length);
  writer.u32(transaction.version);
  writer.raw(prevouts);
  writer.raw(sequences);
  writeOutpoint(writer, input.outpoint);
  writer.prefixed(spent.scriptCode);
  writer.u64(spent.amount);
  writer.u32(input.sequence);
  writer.raw(outputs);
  writer.u32(transaction.locktime);
  writer.u32(type);
  return doubleHash(crypto, writer);
}

export function sharedHashes(crypto: Crypto, transaction: Transaction): SharedHashes {
  return {
    prevouts: hashPrevouts(crypto, transaction.inputs),
    sequences: hashSequences(crypto, transaction.inputs),
    outputs: hashOutputs(crypto, transaction.outputs),
  };
}

export function hashPrevouts(crypto: Crypto, inputs: readonly Pick<TxInput, "outpoint">[]) {
  const writer = new ByteWriter(36 * inputs.length);
  for (const { outpoint } of inputs) writeOutpoint(writer, outpoint);
  return doubleHash(crypto, writer);
}

export function hashSequences(crypto: Crypto, inputs: readonly Pick<TxInput, "sequence">[]) {
  const writer = new ByteWriter(4 * inputs.length);
  for (const { sequence } of inputs) writer.u32(sequence);
  return doubleHash(crypto, writer);
}

export function hashOutputs(crypto: Crypto, outputs: readonly TxOutput[]): Uint8Array {
  const writer = new ByteWriter(43 * outputs.length);
  for (const output of outputs) writeOutput(writer, output);
  return doubleHash(crypto, writer);
}

function singleHashes(crypto: Crypto, transaction: Transaction, inputIndex: number): SharedHashes {
  const zero = new Uint8Array(32);
  const output = transaction.outputs[inputIndex];
  if (output === undefined) return { prevouts: zero, sequences: zero, outputs: zero };
  return { prevouts: zero, sequences: zero, outputs: hashOutputs(crypto, [output]) };
}

function doubleHash(crypto: Crypto, writer: ByteWriter): Uint8Array {
  return crypto.sha256(crypto.sha256(writer.view()));
}
