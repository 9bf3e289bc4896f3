/** When a sweep that no block takes is made anew at a higher fee (BIP 125), and for how much: nothing is lost while it waits. */

import { feeFor, feerateAt, REPLACEMENT_STEP_PER_KW } from "../../core/chain/monitor/fees.ts";
import type { MonitorPolicy } from "../../core/chain/monitor/watched.ts";
import type { TxOutput } from "../../core/ports/chain.ts";
import { blockHeight, satoshi } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { dustThreshold } from "../../core/transactions/script.ts";
import { type Transaction, transactionWeight } from "../../core/transactions/transaction.ts";
import type { SweepBody } from "./journal.ts";

/** Blocks within which it is to be in one: what an economy feerate promises. */
const PATIENCE_BLOCKS = 144;
/** Between two versions; a twelfth of the above, as the schedule of claims has it. */
const STEP_BLOCKS = 12;
/** At most this part of what is swept goes to the fee by bumping. */
const MAX_FEE_SHARE = 0.1;

export interface BumpCase {
  readonly body: SweepBody;
  readonly transaction: Transaction;
  /** The operator's. */
  readonly script: Uint8Array;
  readonly tipHeight: number;
  readonly feeratesPerKw: MonitorPolicy["feeratesPerKw"];
  /** As dear as the operator lets a sweep be. */
  readonly maxFeeratePerKw: number;
  /** The node's mempool does not take it at its fee: it is not worth waiting for. */
  readonly isTooCheap: boolean;
}

export interface Bump {
  readonly outputs: readonly TxOutput[];
  readonly feeSat: number;
  readonly amountSat: number;
}

/** Undefined: it stays as it is. */
export function bumpOf(one: BumpCase): Bump | undefined {
  const { body, transaction, script, tipHeight, isTooCheap } = one;
  const age = tipHeight - (body.raisedHeight ?? body.sinceHeight);
  if (age < STEP_BLOCKS && !isTooCheap) return undefined;
  // Of each input the signature may be a byte longer the next time.
  const weight = transactionWeight(transaction) + transaction.inputs.length;
  const worthSat = body.amountSat + body.feeSat;
  const ceiling = Math.min(
    one.maxFeeratePerKw,
    Math.floor((worthSat * MAX_FEE_SHARE * 1_000) / weight),
  );
  const start = blockHeight(body.sinceHeight);
  const deadline = blockHeight(body.sinceHeight + PATIENCE_BLOCKS);
  const policy = { feeratesPerKw: one.feeratesPerKw, irrevocableDepth: 0 };
  const tip = blockHeight(tipHeight);
  const feerate = feerateAt({ start, deadline, urgency: "patient" }, tip, policy, ceiling);
  const paid = Math.ceil((body.feeSat * 1_000) / transactionWeight(transaction));
  if (feerate < paid + REPLACEMENT_STEP_PER_KW) return undefined;
  const feeSat = feeFor(weight, feerate);
  const amountSat = worthSat - feeSat;
  if (amountSat < dustThreshold(script)) return undefined;
  const index = transaction.outputs.findIndex((output) => equal(output.script, script));
  if (index < 0) return undefined; // the operator named another descriptor meanwhile
  const outputs = transaction.outputs.map((output, i) =>
    i === index ? { ...output, amount: satoshi(amountSat) } : output,
  );
  return { outputs, feeSat, amountSat };
}
