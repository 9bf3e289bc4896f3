/** The confirmed facts, read once: which transaction spends which output, and how an HTLC output was spent (BOLT 3, 5). */
import type { Outpoint } from "../../ports/chain.ts";
import type { Crypto } from "../../ports/crypto.ts";
import type { BlockHeight, Preimage, Txid } from "../../primitives/brands.ts";
import { preimage } from "../../primitives/brands.ts";
import {
  outpointKey,
  parseTransaction,
  type Transaction,
  transactionId,
} from "../../transactions/transaction.ts";
import type { ChainFacts } from "./watched.ts";

/** A confirmed spend of one output. */
export interface Spend {
  readonly transaction: Transaction;
  readonly txid: Txid;
  readonly inputIndex: number;
  readonly height: BlockHeight;
}

export interface ChainView {
  readonly tipHeight: BlockHeight;
  spendOf(outpoint: Outpoint): Spend | undefined;
}

/** A fact above the tip is not seen yet. Throws ProtocolViolation("transaction") where a fact is no transaction. */
export function viewChain(crypto: Crypto, facts: ChainFacts): ChainView {
  const spends = new Map<string, Spend>();
  for (const fact of facts.confirmed) {
    if (fact.height > facts.tipHeight) continue;
    const transaction = parseTransaction(fact.raw);
    const id = transactionId(crypto, transaction);
    transaction.inputs.forEach((input, inputIndex) => {
      spends.set(outpointKey(input.outpoint), {
        transaction,
        txid: id,
        inputIndex,
        height: fact.height,
      });
    });
  }
  return { tipHeight: facts.tipHeight, spendOf: (outpoint) => spends.get(outpointKey(outpoint)) };
}

/** By which path of its script an HTLC output was spent. */
export type HtlcSpendPath =
  | { readonly type: "second-stage"; readonly preimage?: Preimage }
  /** The countersignatory of the commitment, directly. */
  | { readonly type: "direct"; readonly preimage?: Preimage }
  | { readonly type: "revocation" };

const PREIMAGE_BYTES = 32;
const PUBLIC_KEY_BYTES = 33;
/** Empty, two signatures, preimage or empty, script. */
const SECOND_STAGE_ITEMS = 5;

/**
 * The witnesses of BOLT 3 differ in their number of items, and in the size of the one before the script. No signature
 * covers that item: on the timeout paths a cheater may put there whatever does not have 32 bytes. Only the second stage
 * has five items, so that their number is asked first (rule `revoked-always-punished`).
 */
export function htlcSpendPath(spend: Spend): HtlcSpendPath {
  const witness = spend.transaction.inputs[spend.inputIndex]?.witness ?? [];
  const choice = witness[witness.length - 2];
  const type = witness.length === SECOND_STAGE_ITEMS ? "second-stage" : "direct";
  if (type === "direct" && choice?.length === PUBLIC_KEY_BYTES) return { type: "revocation" };
  return choice?.length === PREIMAGE_BYTES ? { type, preimage: preimage(choice) } : { type };
}
