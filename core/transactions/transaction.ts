/**
 * Bitcoin transactions as data: serialisation, strict parsing, txid and weight (BIP 141, BIP 144).
 */
import type { Outpoint, TxOutput } from "../ports/chain.ts";
import type { Crypto } from "../ports/crypto.ts";
import { type Satoshi, type Txid, txid } from "../primitives/brands.ts";
import { equal, toHex } from "../primitives/bytes.ts";
import { assert, demand } from "../primitives/errors.ts";
import { ByteReader, ByteWriter, varintLength } from "./codec.ts";

export interface TxInput {
  readonly outpoint: Outpoint;
  readonly sequence: number;
  readonly scriptSig: Uint8Array;
  /** Stack items, bottom first; empty where the input is not signed yet. */
  readonly witness: readonly Uint8Array[];
}

export interface Transaction {
  readonly version: number;
  readonly inputs: readonly TxInput[];
  readonly outputs: readonly TxOutput[];
  readonly locktime: number;
}

/** Nothing larger fits into a block. */
export const MAX_TRANSACTION_BYTES = 4_000_000;
/**
 * All bitcoins that there may ever be, in satoshi; outputs of strangers may exceed what a channel
 * can hold.
 */
const MAX_MONEY = 2_100_000_000_000_000;
const MIN_INPUT_BYTES = 41;
const MIN_OUTPUT_BYTES = 9;

/** With witness as BIP 144 has it, unless no input has one or `witness` is false. */
export function serializeTransaction(
  transaction: Transaction,
  { witness = true }: { readonly witness?: boolean } = {},
): Uint8Array {
  const writer = new ByteWriter();
  const segwit = witness && transaction.inputs.some((input) => input.witness.length > 0);
  writer.u32(transaction.version);
  if (segwit) {
    writer.u8(0);
    writer.u8(1);
  }
  writer.varint(transaction.inputs.length);
  for (const input of transaction.inputs) {
    writeOutpoint(writer, input.outpoint);
    writer.prefixed(input.scriptSig);
    writer.u32(input.sequence);
  }
  writer.varint(transaction.outputs.length);
  for (const output of transaction.outputs) writeOutput(writer, output);
  if (segwit) {
    for (const input of transaction.inputs) {
      writer.varint(input.witness.length);
      for (const item of input.witness) writer.prefixed(item);
    }
  }
  writer.u32(transaction.locktime);
  return writer.bytes();
}

/**
 * Throws ProtocolViolation("transaction") for anything but one whole, canonically serialised
 * transaction.
 */
export function parseTransaction(raw: Uint8Array): Transaction {
  demand(raw.length <= MAX_TRANSACTION_BYTES, "transaction", "it is larger than a block");
  const reader = new ByteReader(raw);
  const version = reader.u32();
  const segwit = reader.peek(0) === 0;
  if (segwit) {
    reader.u8();
    demand(reader.u8() === 1, "transaction", "the segwit flag is unknown, or there are no inputs");
  }
  const inputs: TxInput[] = [];
  for (let count = reader.count(MIN_INPUT_BYTES); count > 0; count--)
    inputs.push(readInput(reader));
  demand(inputs.length > 0, "transaction", "it has no inputs");
  const outputs: TxOutput[] = [];
  for (let count = reader.count(MIN_OUTPUT_BYTES); count > 0; count--) {
    outputs.push(readOutput(reader));
  }
  const witnesses = segwit ? inputs.map(() => readWitness(reader)) : [];
  demand(
    !segwit || witnesses.some((witness) => witness.length > 0),
    "transaction",
    "it is marked as segwit, but has no witness",
  );
  const locktime = reader.u32();
  demand(reader.remaining === 0, "transaction", "bytes follow after its end");
  return {
    version,
    inputs: inputs.map((input, index) => ({ ...input, witness: witnesses[index] ?? [] })),
    outputs,
    locktime,
  };
}

export function transactionId(crypto: Crypto, transaction: Transaction): Txid {
  const stripped = serializeTransaction(transaction, { witness: false });
  return txid(crypto.sha256(crypto.sha256(stripped)));
}

/** Weight units (BIP 141). */
export function transactionWeight(transaction: Transaction): number {
  let stripped =
    8 + varintLength(transaction.inputs.length) + varintLength(transaction.outputs.length);
  let witness = 0;
  for (const input of transaction.inputs) {
    stripped += 40 + varintLength(input.scriptSig.length) + input.scriptSig.length;
    witness += witnessWeight(input.witness);
  }
  for (const { script } of transaction.outputs) {
    stripped += 8 + varintLength(script.length) + script.length;
  }
  const segwit = transaction.inputs.some((input) => input.witness.length > 0);
  return 4 * stripped + (segwit ? 2 + witness : 0);
}

/** Weight units of one input's witness, its count of items included. */
export function witnessWeight(witness: readonly Uint8Array[]): number {
  let weight = varintLength(witness.length);
  for (const item of witness) weight += varintLength(item.length) + item.length;
  return weight;
}

/** Virtual bytes: weight / 4, rounded up. */
export function transactionVsize(transaction: Transaction): number {
  return Math.ceil(transactionWeight(transaction) / 4);
}

/** The transaction with one input's witness replaced. */
export function withWitness(
  transaction: Transaction,
  inputIndex: number,
  witness: readonly Uint8Array[],
): Transaction {
  assert(inputIndex < transaction.inputs.length, "no such input");
  return {
    ...transaction,
    inputs: transaction.inputs.map((input, i) =>
      i === inputIndex ? { ...input, witness } : input,
    ),
  };
}

/** An input without scriptSig and, for now, without witness. */
export function unsignedInput(outpoint: Outpoint, sequence: number): TxInput {
  return { outpoint, sequence, scriptSig: new Uint8Array(0), witness: [] };
}

export function sameOutpoint(a: Outpoint, b: Outpoint): boolean {
  return a.vout === b.vout && equal(a.txid, b.txid);
}

/** `txid:vout`, the txid hexadecimal as it stands in transactions: a name for maps and sets. */
export function outpointKey(outpoint: {
  readonly txid: Uint8Array;
  readonly vout: number;
}): string {
  // A text put together otherwise is kept in its pieces too where it names an entry of a map.
  return [toHex(outpoint.txid), outpoint.vout].join(":");
}

export function writeOutpoint(writer: ByteWriter, outpoint: Outpoint): void {
  writer.raw(outpoint.txid);
  writer.u32(outpoint.vout);
}

export function writeOutput(writer: ByteWriter, output: TxOutput): void {
  writer.u64(output.amount);
  writer.prefixed(output.script);
}

function readInput(reader: ByteReader): TxInput {
  const outpoint = { txid: txid(reader.raw(32)), vout: reader.u32() };
  const scriptSig = reader.prefixed();
  return { outpoint, scriptSig, sequence: reader.u32(), witness: [] };
}

function readOutput(reader: ByteReader): TxOutput {
  const amount = reader.u64();
  demand(amount <= MAX_MONEY, "transaction", "an output exceeds all money");
  return { amount: amount as Satoshi, script: reader.prefixed() };
}

function readWitness(reader: ByteReader): Uint8Array[] {
  const items: Uint8Array[] = [];
  for (let count = reader.count(1); count > 0; count--) items.push(reader.prefixed());
  return items;
}
