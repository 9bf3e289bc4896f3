/** Proof of a transaction's place in a block: its merkle branch (see core/chain/merkle.ts for the check). */
import { merkleBranch } from "../../../core/chain/merkle.ts";
import type { ConfirmedTransaction } from "../../../core/ports/chain.ts";
import type { Crypto } from "../../../core/ports/crypto.ts";
import { blockHeight, txid } from "../../../core/primitives/brands.ts";
import type { ScannedBlock } from "./block-scan.ts";

/** A transaction of a block with its place and its merkle branch. */
export function confirmedAt(
  crypto: Crypto,
  block: ScannedBlock,
  index: number,
  height: number,
): ConfirmedTransaction {
  const found = block.transactions[index];
  if (found === undefined) throw new RangeError(`the block has no transaction ${index}`);
  const ids = block.transactions.map((tx) => tx.txid);
  return {
    raw: found.raw.slice(),
    txid: txid(found.txid),
    height: blockHeight(height),
    index,
    branch: merkleBranch(crypto, ids, index),
  };
}
