/** Whether an input may spend its output: bitcore-lib's script interpreter under the standard flags, and P2A beside it (BIP 141, 143, 431). */
import { createRequire } from "node:module";
import type { TxOutput } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { PublicKey, Signature } from "../../core/primitives/brands.ts";
import { concat } from "../../core/primitives/bytes.ts";

interface BitcoreInterpreter {
  errstr: string;
  verify(
    scriptSig: unknown,
    scriptPubkey: unknown,
    transaction: unknown,
    inputIndex: number,
    flags: number,
    witness: readonly Buffer[],
    satoshis: number,
  ): boolean;
}

interface Bitcore {
  readonly Script: { (bytes: Buffer): unknown; Interpreter: InterpreterFactory };
  readonly Transaction: {
    new (bytes: Buffer): BitcoreTransaction;
    readonly SighashWitness: {
      sighash(
        transaction: BitcoreTransaction,
        type: number,
        inputIndex: number,
        scriptCode: Buffer,
        satoshis: Buffer,
      ): Buffer;
    };
  };
  readonly PublicKey: {
    fromBuffer(bytes: Buffer, strict?: boolean): unknown;
    isValid(bytes: Buffer): boolean;
  };
  readonly encoding: { readonly BufferWriter: new () => BitcoreWriter };
}

interface BitcoreTransaction {
  readonly hash: string;
  checkEcdsaSignature(
    signature: BitcoreSignature,
    key: { toBuffer(): Buffer },
    inputIndex: number,
    script: { toBuffer(): Buffer },
    satoshis: number,
  ): boolean;
}

interface BitcoreSignature {
  readonly r: BitcoreNumber;
  readonly s: BitcoreNumber;
  readonly nhashtype: number;
}

interface BitcoreNumber {
  toBuffer(options: { readonly size: number }): Buffer;
}

interface BitcoreWriter {
  writeVarintNum(value: number): BitcoreWriter;
  write(bytes: Buffer): BitcoreWriter;
  toBuffer(): Buffer;
}

interface InterpreterFactory {
  (): BitcoreInterpreter;
  readonly [flag: `SCRIPT_VERIFY_${string}`]: number;
}

/** One input as it stands in its transaction. */
export interface SpendingInput {
  readonly scriptSig: Uint8Array;
  readonly witness: readonly Uint8Array[];
}

/** bitcore-lib refuses to be loaded twice in one process, so it is required, not bundled or imported anew. */
const bitcore = createRequire(import.meta.url)("bitcore-lib") as Bitcore;

/**
 * Bitcoin Core's STANDARD_SCRIPT_VERIFY_FLAGS but CLEANSTACK, which bitcore-lib applies to the wrong stack for native
 * segwit; witness scripts must leave exactly one item there anyway.
 */
const STANDARD_FLAGS = [
  "P2SH",
  "STRICTENC",
  "DERSIG",
  "LOW_S",
  "NULLDUMMY",
  "MINIMALDATA",
  "DISCOURAGE_UPGRADABLE_NOPS",
  "CHECKLOCKTIMEVERIFY",
  "CHECKSEQUENCEVERIFY",
  "WITNESS",
  "DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM",
  "MINIMALIF",
  "NULLFAIL",
  "WITNESS_PUBKEYTYPE",
  "CONST_SCRIPTCODE",
  "TAPROOT",
].reduce((flags, name) => {
  const flag = bitcore.Script.Interpreter[`SCRIPT_VERIFY_${name}`];
  if (flag === undefined) throw new Error(`bitcore-lib knows no flag ${name}`);
  return flags | flag;
}, 0);

const P2A_SCRIPT = Buffer.from("51024e73", "hex");

/**
 * Why an input is refused, in bitcore's words; undefined where every input may spend its output. Of segwit signatures
 * bitcore says what they sign and by which key, and `crypto`, which is many times as fast, whether they do.
 */
export function checkScripts(
  crypto: Crypto,
  raw: Uint8Array,
  inputs: readonly SpendingInput[],
  spent: readonly TxOutput[],
): string | undefined {
  const transaction = new bitcore.Transaction(Buffer.from(raw));
  transaction.checkEcdsaSignature = ecdsaBy(crypto, transaction);
  for (const [index, input] of inputs.entries()) {
    const output = spent[index];
    if (!output) throw new RangeError("every input needs the output that it spends");
    const reason = P2A_SCRIPT.equals(output.script)
      ? checkAnchor(input)
      : isSegwitV0(output)
        ? withPlainKeys(crypto, () => interpret(transaction, index, input, output))
        : interpret(transaction, index, input, output);
    if (reason !== undefined)
      return `mempool-script-verify-flag-failed (${reason}), input ${index}`;
  }
  return undefined;
}

/** Whose signatures `ecdsaBy` checks. */
function isSegwitV0({ script }: TxOutput): boolean {
  return script[0] === 0;
}

/**
 * While `work` runs a compressed key that `crypto` knows for a point of the curve is its bytes alone: bitcore would
 * find the point and multiply it by the order of the group, and here does nothing with it.
 */
function withPlainKeys<T>(crypto: Crypto, work: () => T): T {
  const { PublicKey: keys } = bitcore;
  const { fromBuffer, isValid } = keys;
  keys.isValid = (bytes) => crypto.isPublicKey(bytes) || isValid.call(keys, bytes);
  keys.fromBuffer = (bytes, strict) =>
    crypto.isPublicKey(bytes)
      ? { compressed: true, toBuffer: () => bytes }
      : fromBuffer.call(keys, bytes, strict);
  try {
    return work();
  } finally {
    Object.assign(keys, { fromBuffer, isValid });
  }
}

/** Sighash by bitcore (BIP 143), the curve by `crypto`. */
function ecdsaBy(
  crypto: Crypto,
  transaction: BitcoreTransaction,
): BitcoreTransaction["checkEcdsaSignature"] {
  return ({ r, s, nhashtype }, key, inputIndex, script, satoshis) => {
    const code = script.toBuffer();
    const { SighashWitness } = bitcore.Transaction;
    const writer = new bitcore.encoding.BufferWriter().writeVarintNum(code.length).write(code);
    const amount = Buffer.alloc(8);
    amount.writeBigUInt64LE(BigInt(satoshis));
    const signed = [transaction, nhashtype, inputIndex, writer.toBuffer(), amount] as const;
    const hash = SighashWitness.sighash(...signed);
    const signature = concat(r.toBuffer({ size: 32 }), s.toBuffer({ size: 32 }));
    return crypto.verify(signature as Signature, hash, key.toBuffer() as Uint8Array as PublicKey);
  };
}

/** Anyone may spend a P2A output; to be relayed its witness is empty. */
function checkAnchor(input: SpendingInput): string | undefined {
  if (input.scriptSig.length > 0) return "Witness requires empty scriptSig";
  return input.witness.length > 0 ? "bad-witness-nonstandard" : undefined;
}

function interpret(
  transaction: BitcoreTransaction,
  index: number,
  input: SpendingInput,
  output: TxOutput,
): string | undefined {
  const interpreter = bitcore.Script.Interpreter();
  try {
    const passes = interpreter.verify(
      bitcore.Script(Buffer.from(input.scriptSig)),
      bitcore.Script(Buffer.from(output.script)),
      transaction,
      index,
      STANDARD_FLAGS,
      input.witness.map((item) => Buffer.from(item)),
      output.amount,
    );
    return passes ? undefined : interpreter.errstr || "refused without a reason";
  } catch (error) {
    return String(error);
  }
}

/** The txid as bitcore computes it, as people read it: a second opinion on our own. */
export function bitcoreTxid(raw: Uint8Array): string {
  return new bitcore.Transaction(Buffer.from(raw)).hash;
}
