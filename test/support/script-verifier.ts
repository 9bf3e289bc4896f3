/**
 * An independent judge of spends: bitcore-lib's script interpreter, with every rule of consensus
 * and policy that it knows.
 */
import { createRequire } from "node:module";
import type { TxOutput } from "../../core/ports/chain.ts";
import { serializeTransaction, type Transaction } from "../../core/transactions/transaction.ts";

interface BitcoreInterpreter {
  errstr: string;
  verify(
    scriptSig: unknown,
    scriptPubkey: unknown,
    transaction: unknown,
    inputIndex: number,
    flags: number,
    witness: readonly Buffer[],
    amount: number,
  ): boolean;
}

interface Bitcore {
  readonly Script: {
    new (raw?: Buffer): unknown;
    readonly Interpreter: Readonly<Record<string, number>> & { new (): BitcoreInterpreter };
  };
  readonly Transaction: new (raw: Buffer) => unknown;
}

const bitcore = createRequire(import.meta.url)("bitcore-lib") as Bitcore;
const { Script, Transaction: BitcoreTransaction } = bitcore;
const { Interpreter } = Script;
/**
 * Not CLEANSTACK, which it applies to the stack before the witness; segwit itself asks for a clean
 * one.
 */
const FLAGS = [
  "P2SH",
  "STRICTENC",
  "DERSIG",
  "LOW_S",
  "NULLDUMMY",
  "MINIMALDATA",
  "CHECKLOCKTIMEVERIFY",
  "CHECKSEQUENCEVERIFY",
  "WITNESS",
  "MINIMALIF",
  "NULLFAIL",
  "WITNESS_PUBKEYTYPE",
].reduce((flags, name) => flags | (Interpreter[`SCRIPT_VERIFY_${name}`] as number), 0);

/** "valid", or the interpreter's name for what is wrong with that input. */
export function judgeSpend(transaction: Transaction, inputIndex: number, spent: TxOutput): string {
  const interpreter = new Interpreter();
  const valid = interpreter.verify(
    new Script(),
    new Script(Buffer.from(spent.script)),
    new BitcoreTransaction(Buffer.from(serializeTransaction(transaction))),
    inputIndex,
    FLAGS,
    (transaction.inputs[inputIndex]?.witness ?? []).map((item) => Buffer.from(item)),
    spent.amount,
  );
  return valid ? "valid" : interpreter.errstr || "invalid";
}
