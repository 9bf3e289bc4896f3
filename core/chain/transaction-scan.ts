/** Reads a serialised transaction of any kind where it stands, alone or in a block (BIP 144): enough to watch and to prove it. */
import type { Outpoint, TxOutput } from "../ports/chain.ts";
import { MAX_SATOSHI, satoshi, txid } from "../primitives/brands.ts";
import { concat } from "../primitives/bytes.ts";

export interface ScannedInput {
  readonly outpoint: Outpoint;
  readonly scriptSig: Uint8Array;
  readonly sequence: number;
  readonly witness: readonly Uint8Array[];
}

export interface ScannedTransaction {
  /** With witness, as it stood. */
  readonly raw: Uint8Array;
  /** Without witness: what the txid is the hash of. */
  readonly stripped: Uint8Array;
  readonly version: number;
  readonly lockTime: number;
  readonly inputs: readonly ScannedInput[];
  readonly outputs: readonly TxOutput[];
  /** Weight units (BIP 141). */
  readonly weight: number;
  /** Where it ends in the bytes that were read. */
  readonly end: number;
}

/** Least serialised sizes, which bound the counts before anything is allocated. */
const MIN_INPUT_BYTES = 41;
const MIN_OUTPUT_BYTES = 9;
/** 21 million bitcoins; no output on chain holds more. */
const MAX_MONEY = 2_100_000_000_000_000;

/** The whole of `raw` as one transaction; undefined where it is none. */
export function scanTransaction(raw: Uint8Array): ScannedTransaction | undefined {
  const scanned = scanTransactionAt(raw, 0);
  return scanned?.end === raw.length ? scanned : undefined;
}

/** The transaction that starts at `start`; undefined where the bytes are not one. */
export function scanTransactionAt(
  bytes: Uint8Array,
  start: number,
): ScannedTransaction | undefined {
  const reader = new Reader(bytes, start);
  const version = reader.uint32();
  const hasWitness = bytes[reader.at] === 0 && bytes[reader.at + 1] === 1;
  if (hasWitness) reader.skip(2);
  const bodyStart = reader.at;
  const outline: { outpoint: Outpoint; scriptSig: Uint8Array; sequence: number }[] = [];
  const inputCount = reader.count(MIN_INPUT_BYTES);
  for (let i = 0; i < inputCount && !reader.failed; i++) outline.push(readInput(reader));
  const outputs: TxOutput[] = [];
  const outputCount = reader.count(MIN_OUTPUT_BYTES);
  for (let i = 0; i < outputCount && !reader.failed; i++) outputs.push(readOutput(reader));
  const bodyEnd = reader.at;
  const witnesses = hasWitness ? outline.map(() => readWitness(reader)) : [];
  const lockTime = reader.uint32();
  if (reader.failed || (hasWitness && outline.length === 0)) return undefined;
  const stripped = concat(
    bytes.subarray(start, start + 4),
    bytes.subarray(bodyStart, bodyEnd),
    bytes.subarray(reader.at - 4, reader.at),
  );
  return {
    raw: bytes.slice(start, reader.at),
    stripped,
    version,
    lockTime,
    inputs: outline.map((input, i) => ({ ...input, witness: witnesses[i] ?? [] })),
    outputs,
    weight: stripped.length * 3 + (reader.at - start),
    end: reader.at,
  };
}

function readInput(reader: Reader): {
  outpoint: Outpoint;
  scriptSig: Uint8Array;
  sequence: number;
} {
  const id = reader.bytes(32);
  const vout = reader.uint32();
  const scriptSig = reader.bytes(reader.count(1));
  const sequence = reader.uint32();
  const outpoint = { txid: txid(id.length === 32 ? id : new Uint8Array(32)), vout };
  return { outpoint, scriptSig, sequence };
}

function readOutput(reader: Reader): TxOutput {
  const low = reader.uint32();
  const amount = low + reader.uint32() * 2 ** 32;
  if (amount > MAX_MONEY) reader.failed = true;
  const script = reader.bytes(reader.count(1));
  // Above 9 007 199 254 740 sat (90 071 BTC) an amount has no exact millisatoshi; nothing of ours is that rich.
  return { script, amount: satoshi(Math.min(reader.failed ? 0 : amount, MAX_SATOSHI)) };
}

function readWitness(reader: Reader): Uint8Array[] {
  const items: Uint8Array[] = [];
  const count = reader.count(1);
  for (let i = 0; i < count && !reader.failed; i++) items.push(reader.bytes(reader.count(1)));
  return items;
}

/** Never throws: the first read beyond the end sets `failed`, and everything after reads zeros. */
class Reader {
  failed = false;
  constructor(
    private readonly source: Uint8Array,
    public at: number,
  ) {}

  skip(length: number): void {
    this.bytes(length);
  }

  bytes(length: number): Uint8Array {
    if (this.failed || length > this.source.length - this.at) {
      this.failed = true;
      return new Uint8Array(0);
    }
    this.at += length;
    return this.source.slice(this.at - length, this.at);
  }

  uint32(): number {
    const b = this.bytes(4);
    if (b.length < 4) return 0;
    const byte = (i: number) => b[i] as number;
    return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
  }

  /** A CompactSize of things that have at least `leastBytes` each, in the shortest form. */
  count(leastBytes: number): number {
    const first = this.bytes(1)[0] ?? 0;
    let value = first;
    if (first === 0xfd) {
      const b = this.bytes(2);
      value = (b[0] ?? 0) + (b[1] ?? 0) * 256;
      if (value < 0xfd) this.failed = true;
    } else if (first === 0xfe) {
      value = this.uint32();
      if (value <= 0xffff) this.failed = true;
    } else if (first === 0xff) {
      this.failed = true;
    }
    if (value * leastBytes > this.source.length - this.at) this.failed = true;
    return this.failed ? 0 : value;
  }
}
