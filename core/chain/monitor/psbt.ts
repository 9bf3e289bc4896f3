/** Partially signed transactions, version 0, as far as a sweep needs them: written, and read back strictly (BIP 174). */
import type { TxOutput } from "../../ports/chain.ts";
import { type PublicKey, publicKey, satoshi } from "../../primitives/brands.ts";
import { ascii, concat, equal, fromHex, toHex } from "../../primitives/bytes.ts";
import { demand } from "../../primitives/errors.ts";
import { ByteReader, ByteWriter } from "../../transactions/codec.ts";
import {
  parseTransaction,
  serializeTransaction,
  type Transaction,
  writeOutput,
} from "../../transactions/transaction.ts";

export interface PsbtInput {
  readonly witnessUtxo: TxOutput;
  /** Absent for P2WPKH. */
  readonly witnessScript?: Uint8Array;
  readonly derivation: KeyPath;
  /**
   * BOLT 3's tweak: the script's key is `derivation.publicKey` + SHA256(point || publicKey)·G. A wallet that
   * knows nothing of it leaves the input unsigned. Absent where the key stands in the script as it is.
   */
  readonly perCommitmentPoint?: PublicKey;
}

export interface KeyPath {
  readonly publicKey: PublicKey;
  /** 4 bytes: of the key at which `path` starts. */
  readonly fingerprint: Uint8Array;
  readonly path: readonly number[];
}

export interface Psbt {
  /** Unsigned. */
  readonly transaction: Transaction;
  readonly inputs: readonly PsbtInput[];
}

const TAG = "psbt";
const MAGIC = concat(ascii("psbt"), Uint8Array.of(0xff));
const UNSIGNED_TX = Uint8Array.of(0x00);
const WITNESS_UTXO = Uint8Array.of(0x01);
const WITNESS_SCRIPT = Uint8Array.of(0x05);
const BIP32_DERIVATION = 0x06;
const PUBLIC_KEY_BYTES = 33;
/** Proprietary (0xfc), the identifier with its length, subtype 0: the per-commitment point. */
const COMMITMENT_POINT = concat(Uint8Array.of(0xfc, 8), ascii("picobolt"), Uint8Array.of(0));
const MAX_PSBT_BYTES = 1_000_000;
/** Entries in one map; ours have four. */
const MAX_ENTRIES = 32;
const MAX_PATH_STEPS = 16;

/** What is written of an input: a signer that looks for its own coins needs no more than what they are. */
export type PsbtInputToWrite = Omit<PsbtInput, "derivation"> &
  Partial<Pick<PsbtInput, "derivation">>;

/** Inputs stand in the order of the transaction's. */
export function encodePsbt({
  transaction,
  inputs,
}: {
  readonly transaction: Transaction;
  readonly inputs: readonly PsbtInputToWrite[];
}): Uint8Array {
  const writer = new ByteWriter(1024);
  writer.raw(MAGIC);
  entry(writer, UNSIGNED_TX, serializeTransaction(transaction));
  writer.u8(0);
  for (const input of inputs) {
    const { witnessUtxo, witnessScript, derivation, perCommitmentPoint } = input;
    const utxo = new ByteWriter();
    writeOutput(utxo, witnessUtxo);
    entry(writer, WITNESS_UTXO, utxo.bytes());
    if (witnessScript !== undefined) entry(writer, WITNESS_SCRIPT, witnessScript);
    if (derivation !== undefined) {
      const path = new ByteWriter();
      path.raw(derivation.fingerprint);
      for (const step of derivation.path) path.u32(step);
      const derivationKey = concat(Uint8Array.of(BIP32_DERIVATION), derivation.publicKey);
      entry(writer, derivationKey, path.bytes());
    }
    if (perCommitmentPoint !== undefined) entry(writer, COMMITMENT_POINT, perCommitmentPoint);
    writer.u8(0);
  }
  for (const _ of transaction.outputs) writer.u8(0);
  return writer.bytes();
}

/** Throws ProtocolViolation("psbt" or "transaction") for what is no PSBT of a sweep; entries of other kinds are passed over. */
export function decodePsbt(bytes: Uint8Array): Psbt {
  demand(bytes.length <= MAX_PSBT_BYTES, TAG, "it is too large");
  const reader = new ByteReader(bytes);
  demand(
    reader.remaining > MAGIC.length && equal(reader.raw(MAGIC.length), MAGIC),
    TAG,
    "it is not a binary PSBT (base64 has to be decoded first)",
  );
  const raw = readMap(reader).get(toHex(UNSIGNED_TX));
  demand(raw !== undefined, TAG, "it has no unsigned transaction (version 0 is needed)");
  const transaction = parseTransaction(raw);
  const inputs = transaction.inputs.map(() => readInput(readMap(reader)));
  for (const _ of transaction.outputs) readMap(reader);
  demand(reader.remaining === 0, TAG, "bytes follow after its end");
  return { transaction, inputs };
}

type Entries = ReadonlyMap<string, Uint8Array>;

function readInput(entries: Entries): PsbtInput {
  const utxo = entries.get(toHex(WITNESS_UTXO));
  demand(utxo !== undefined, TAG, "an input has no witness UTXO");
  const witnessScript = entries.get(toHex(WITNESS_SCRIPT));
  const point = entries.get(toHex(COMMITMENT_POINT));
  demand(
    point === undefined || point.length === PUBLIC_KEY_BYTES,
    TAG,
    "a per-commitment point has the wrong length",
  );
  const output = new ByteReader(utxo);
  return {
    witnessUtxo: { amount: satoshi(output.u64()), script: output.prefixed() },
    ...(witnessScript === undefined ? {} : { witnessScript }),
    derivation: readDerivation(entries),
    ...(point === undefined ? {} : { perCommitmentPoint: publicKey(point) }),
  };
}

function readDerivation(entries: Entries): KeyPath {
  for (const [key, value] of entries) {
    if (Number.parseInt(key.slice(0, 2), 16) !== BIP32_DERIVATION) continue;
    const steps = value.length / 4 - 1;
    const wellFormed = Number.isInteger(steps) && steps >= 0 && steps <= MAX_PATH_STEPS;
    demand(
      wellFormed && key.length === 2 * (PUBLIC_KEY_BYTES + 1),
      TAG,
      "a key's path is malformed",
    );
    const reader = new ByteReader(value);
    const fingerprint = reader.raw(4);
    const path = Array.from({ length: steps }, () => reader.u32());
    return { publicKey: publicKey(fromHex(key.slice(2))), fingerprint, path };
  }
  demand(false, TAG, "an input names no key");
}

function readMap(reader: ByteReader): Entries {
  const entries = new Map<string, Uint8Array>();
  for (let key = reader.prefixed(); key.length > 0; key = reader.prefixed()) {
    const name = toHex(key);
    demand(!entries.has(name), TAG, "a key stands twice in one map");
    demand(entries.size < MAX_ENTRIES, TAG, "it has too many entries");
    entries.set(name, reader.prefixed());
  }
  return entries;
}

function entry(writer: ByteWriter, key: Uint8Array, value: Uint8Array): void {
  writer.prefixed(key);
  writer.prefixed(value);
}
