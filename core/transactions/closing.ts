/**
 * The mutual close of option_simple_close: its transaction (BOLT 3 "Closing Transaction") and which
 * variants are offered (BOLT 2).
 */
import type { Outpoint, TxOutput } from "../ports/chain.ts";
import type { Crypto } from "../ports/crypto.ts";
import {
  type MilliSatoshi,
  type PublicKey,
  type Satoshi,
  satoshi,
  satoshiFloor,
} from "../primitives/brands.ts";
import { compare } from "../primitives/bytes.ts";
import { demand } from "../primitives/errors.ts";
import { dustThreshold, fundingScript, isReturnScript } from "./script.ts";
import { segwitSighash } from "./sighash.ts";
import { type Transaction, transactionWeight, unsignedInput } from "./transaction.ts";

/** The names of the signature fields of closing_complete and closing_sig. */
export type ClosingVariant = "closerOutputOnly" | "closeeOutputOnly" | "closerAndCloseeOutputs";

export interface ClosingTerms {
  readonly fundingOutpoint: Outpoint;
  readonly fundingSatoshis: Satoshi;
  readonly fundingPubkeys: readonly [PublicKey, PublicKey];
  /** The side that sent closing_complete and pays the fee. */
  readonly closerMsat: MilliSatoshi;
  readonly closeeMsat: MilliSatoshi;
  readonly closerScript: Uint8Array;
  readonly closeeScript: Uint8Array;
  readonly feeSatoshis: Satoshi;
  readonly locktime: number;
}

export interface Closing {
  /** Unsigned. */
  readonly transaction: Transaction;
  /** What both funding keys sign (SIGHASH_ALL). */
  readonly sighash: Uint8Array;
}

const SEQUENCE = 0xfffffffd;
/** Count, empty item, two signatures with their lengths, and the 71-byte script with its length. */
const FUNDING_WITNESS_WEIGHT = 1 + 1 + 2 * 73 + 72;
const SEGWIT_MARKER_WEIGHT = 2;

/** Throws ProtocolViolation("closing-fee") where the closer cannot pay the fee. */
export function buildClosing(
  crypto: Crypto,
  terms: ClosingTerms,
  variant: ClosingVariant,
): Closing {
  const transaction = unsignedClosing(terms, variant);
  const sighash = segwitSighash(crypto, transaction, 0, {
    amount: terms.fundingSatoshis,
    scriptCode: fundingScript(terms.fundingPubkeys[0], terms.fundingPubkeys[1]),
  });
  return { transaction, sighash };
}

/** What each side would get, in whole satoshis. */
export function closingAmounts(terms: ClosingTerms): {
  readonly closer: Satoshi;
  readonly closee: Satoshi;
} {
  const balance = satoshiFloor(terms.closerMsat);
  demand(terms.feeSatoshis <= balance, "closing-fee", "the fee exceeds the closer's balance");
  const closer = isReturnScript(terms.closerScript) ? 0 : balance - terms.feeSatoshis;
  const closee = isReturnScript(terms.closeeScript) ? 0 : satoshiFloor(terms.closeeMsat);
  return { closer: satoshi(closer), closee: satoshi(closee) };
}

/** The variants that the closer signs; none where every output would be dust. */
export function closerVariants(terms: ClosingTerms): readonly ClosingVariant[] {
  const { closer, closee } = closingAmounts(terms);
  const closerIsDust = closer < dustThreshold(terms.closerScript);
  const closeeIsDust = closee < dustThreshold(terms.closeeScript);
  if (closerIsDust && closeeIsDust) return [];
  if (terms.closerMsat < terms.closeeMsat) {
    return [closerIsDust ? "closeeOutputOnly" : "closerAndCloseeOutputs"];
  }
  if (closerIsDust) return [];
  return closeeIsDust ? ["closerOutputOnly"] : ["closerOutputOnly", "closerAndCloseeOutputs"];
}

/**
 * The one of the `offered` variants that the closee must sign; undefined where BOLT 2 has it
 * refuse.
 */
export function closeeVariant(
  terms: ClosingTerms,
  offered: readonly ClosingVariant[],
): ClosingVariant | undefined {
  const { closee } = closingAmounts(terms);
  const wanted: ClosingVariant =
    closee < dustThreshold(terms.closeeScript)
      ? "closerOutputOnly"
      : offered.includes("closerAndCloseeOutputs")
        ? "closerAndCloseeOutputs"
        : "closeeOutputOnly";
  return offered.includes(wanted) ? wanted : undefined;
}

/**
 * Weight of the signed transaction with both outputs, signatures at their longest; to choose the
 * fee by.
 */
export function closingWeight(terms: Omit<ClosingTerms, "feeSatoshis">): number {
  const unsigned = unsignedClosing({ ...terms, feeSatoshis: satoshi(0) }, "closerAndCloseeOutputs");
  return transactionWeight(unsigned) + SEGWIT_MARKER_WEIGHT + FUNDING_WITNESS_WEIGHT;
}

function unsignedClosing(terms: ClosingTerms, variant: ClosingVariant): Transaction {
  const { closer, closee } = closingAmounts(terms);
  const outputs: TxOutput[] = [];
  if (variant !== "closeeOutputOnly") outputs.push({ script: terms.closerScript, amount: closer });
  if (variant !== "closerOutputOnly") outputs.push({ script: terms.closeeScript, amount: closee });
  outputs.sort((a, b) => a.amount - b.amount || compare(a.script, b.script));
  return {
    version: 2,
    inputs: [unsignedInput(terms.fundingOutpoint, SEQUENCE)],
    outputs,
    locktime: terms.locktime,
  };
}
