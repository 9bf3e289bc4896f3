/** What a node's refusal of a transaction means to whoever publishes it (Bitcoin Core validation.cpp, policy/rbf.cpp). */

export type Refusal =
  /** It is in the mempool or in a block. */
  | "known"
  /** An input is spent in a block, or its parent is not there yet: blocks will tell. */
  | "inputs-gone"
  /** Something that pays more spends the same inputs. */
  | "outbid"
  | "other";

const WORDS: readonly (readonly [Refusal, RegExp])[] = [
  [
    "known",
    /txn-already-(in-mempool|known)|txn-same-nonwitness-data-in-mempool|already in (block chain|utxo set)/i,
  ],
  ["inputs-gone", /missing-?inputs|bad-txns-inputs-missingorspent/i],
  ["outbid", /insufficient fee|txn-mempool-conflict|package rbf failed/i],
];

export function refusalOf(reason: string): Refusal {
  return WORDS.find(([, pattern]) => pattern.test(reason))?.[0] ?? "other";
}
