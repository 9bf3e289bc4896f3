/** What a node's refusal of a transaction means to whoever publishes it (Bitcoin Core validation.cpp, policy/rbf.cpp, truc_policy.cpp). */

export type Refusal =
  /** It is in the mempool or in a block. */
  | "known"
  /** Something that pays more spends the same inputs. */
  | "outbid"
  /** An input is spent in a block, or its parent is not there yet: blocks will tell. */
  | "inputs-gone"
  /** Its parent has to confirm first. */
  | "too-early"
  | "other";

const KNOWN =
  /txn-already-(in-mempool|known)|txn-same-nonwitness-data-in-mempool|already in (block chain|utxo set)/i;
/** Of those, what tells of a block: its outputs are coins (validation.cpp, node/transaction.cpp). */
const IN_CHAIN = /txn-already-known|already in (block chain|utxo set)/i;
const OUTBID =
  /insufficient (anti-DoS )?fee|txn-mempool-conflict|package rbf failed|truc-descendants-toomany/i;
const TOO_EARLY = /truc-spends-nontruc|truc-ancestors-toomany/i;
const GONE = /missing-?inputs|bad-txns-inputs-missingorspent/i;
/** What a package's refusal says beside its reason. */
const FRAME = /^(transaction failed|min relay fee not met.*)$/i;

/** The node has it in a block. */
export function isInChain(reason: string): boolean {
  return IN_CHAIN.test(reason);
}

/** The reasons of a package's transactions come in one line, divided by "; ". */
export function refusalOf(reason: string): Refusal {
  if (KNOWN.test(reason)) return "known";
  if (OUTBID.test(reason)) return "outbid";
  if (TOO_EARLY.test(reason)) return "too-early";
  const reasons = reason.split("; ").filter((part) => !FRAME.test(part));
  return reasons.length > 0 && reasons.every((part) => GONE.test(part)) ? "inputs-gone" : "other";
}
