/** Whether an input may spend its output: bitcore-lib's script interpreter under the standard flags, and P2A beside it (BIP 141, 143, 431). */
import { createRequire } from "node:module";
import type { TxOutput } from "../../core/ports/chain.ts";

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
  readonly Transaction: new (bytes: Buffer) => { readonly hash: string };
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

/** Why an input is refused, in bitcore's words; undefined where every input may spend its output. */
export function checkScripts(
  raw: Uint8Array,
  inputs: readonly SpendingInput[],
  spent: readonly TxOutput[],
): string | undefined {
  const transaction = new bitcore.Transaction(Buffer.from(raw));
  for (const [index, input] of inputs.entries()) {
    const output = spent[index];
    if (!output) throw new RangeError("every input needs the output that it spends");
    const reason = P2A_SCRIPT.equals(output.script)
      ? checkAnchor(input)
      : interpret(transaction, index, input, output);
    if (reason !== undefined)
      return `mempool-script-verify-flag-failed (${reason}), input ${index}`;
  }
  return undefined;
}

/** Anyone may spend a P2A output; to be relayed its witness is empty. */
function checkAnchor(input: SpendingInput): string | undefined {
  if (input.scriptSig.length > 0) return "Witness requires empty scriptSig";
  return input.witness.length > 0 ? "bad-witness-nonstandard" : undefined;
}

function interpret(
  transaction: unknown,
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
