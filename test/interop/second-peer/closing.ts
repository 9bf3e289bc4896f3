/** Closing transactions (BOLT 3 "Closing Transaction") and which of their shapes a closer signs and a closee takes (BOLT 2). */
import { Transaction } from "bitcoinjs-lib";
import type { Bytes } from "./bytes.ts";
import type { ChannelTerms } from "./commitment.ts";
import { fundingScript } from "./scripts.ts";

export const SHAPES = ["closerOutputOnly", "closeeOutputOnly", "closerAndCloseeOutputs"] as const;
export type Shape = (typeof SHAPES)[number];

export interface ClosingTerms {
  readonly closerMsat: number;
  readonly closeeMsat: number;
  readonly closerScript: Bytes;
  readonly closeeScript: Bytes;
  readonly feeSatoshis: number;
  readonly locktime: number;
}

const OP_RETURN = 0x6a;

export function buildClosing(channel: ChannelTerms, terms: ClosingTerms, shape: Shape) {
  const { closerScript, closeeScript } = terms;
  const amounts = closingAmounts(terms);
  const outputs = [
    ...(shape === "closeeOutputOnly" ? [] : [{ script: closerScript, amount: amounts.closer }]),
    ...(shape === "closerOutputOnly" ? [] : [{ script: closeeScript, amount: amounts.closee }]),
  ].sort((a, b) => a.amount - b.amount || Buffer.compare(a.script, b.script));
  const transaction = new Transaction();
  transaction.version = 2;
  transaction.locktime = terms.locktime;
  transaction.addInput(channel.fundingTxid, channel.fundingVout, 0xfffffffd);
  for (const { script, amount } of outputs) transaction.addOutput(script, BigInt(amount));
  const script = fundingScript(channel.opener.points.funding, channel.acceptor.points.funding);
  const funding = BigInt(channel.fundingSatoshis);
  const sighash = transaction.hashForWitnessV0(0, script, funding, Transaction.SIGHASH_ALL);
  return { transaction, fundingScript: script, sighash };
}

/** What the closer has to sign. */
export function closersShapes(terms: ClosingTerms): readonly Shape[] {
  const amounts = closingAmounts(terms);
  if (terms.closerMsat < terms.closeeMsat) {
    return isDust(terms.closerScript, amounts.closer)
      ? ["closeeOutputOnly"]
      : ["closerAndCloseeOutputs"];
  }
  return isDust(terms.closeeScript, amounts.closee)
    ? ["closerOutputOnly"]
    : ["closerOutputOnly", "closerAndCloseeOutputs"];
}

/** Which of the signatures the closee takes. */
export function closeesShape(terms: ClosingTerms, signed: readonly Shape[]): Shape {
  if (isDust(terms.closeeScript, closingAmounts(terms).closee)) return "closerOutputOnly";
  return signed.includes("closerAndCloseeOutputs") ? "closerAndCloseeOutputs" : "closeeOutputOnly";
}

function closingAmounts(terms: ClosingTerms) {
  const closer = Math.floor(terms.closerMsat / 1000) - terms.feeSatoshis;
  const closee = Math.floor(terms.closeeMsat / 1000);
  return {
    closer: terms.closerScript[0] === OP_RETURN ? 0 : closer,
    closee: terms.closeeScript[0] === OP_RETURN ? 0 : closee,
  };
}

/** The thresholds of Bitcoin Core (BOLT 3 "Dust Limits"). */
function isDust(script: Bytes, amountSatoshis: number): boolean {
  if (script[0] === OP_RETURN) return false;
  const version0 = script[0] === 0;
  const threshold = version0 && script.length === 22 ? 294 : version0 ? 330 : 354;
  return amountSatoshis < threshold;
}
