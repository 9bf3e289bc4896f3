/** What is watched on chain, and which transactions of a block concern it. */
import type { Outpoint } from "../../../core/ports/chain.ts";
import { outpointKey } from "../../../core/transactions/transaction.ts";
import type { BlockTransaction } from "./block-scan.ts";

/** Watches are never dropped one by one; this many are some hundred bytes each. */
export const MAX_WATCHES = 1_000_000;

export class Watches {
  readonly outpoints = new Set<string>();
  readonly scripts = new Set<string>();
  /** A watchtower knows neither: it looks at every txid. */
  readonly transactions: ((txid: Uint8Array) => boolean)[] = [];

  get size(): number {
    return this.outpoints.size + this.scripts.size;
  }

  outpoint(outpoint: Outpoint): void {
    this.#add(this.outpoints, outpointKey(outpoint));
  }

  script(script: Uint8Array): void {
    this.#add(this.scripts, Buffer.from(script).toString("hex"));
  }

  concerns(transaction: BlockTransaction): boolean {
    return (
      transaction.spends.some((key) => this.outpoints.has(key)) ||
      transaction.scripts.some((script) => this.scripts.has(script)) ||
      this.transactions.some((concerns) => concerns(transaction.txid))
    );
  }

  /** Indices of the transactions that concern a watch, and of those in the block that spend what they made. */
  concernedIn(transactions: readonly BlockTransaction[]): number[] {
    const indices: number[] = [];
    const made = new Set<string>();
    transactions.forEach((transaction, index) => {
      if (!this.concerns(transaction) && !transaction.spends.some((key) => made.has(key))) return;
      indices.push(index);
      transaction.scripts.forEach((_, vout) => {
        made.add(outpointKey({ txid: transaction.txid, vout }));
      });
    });
    return indices;
  }

  /** Of all of them, for whoever looks at every one. */
  idsOf(transactions: readonly BlockTransaction[]): readonly Uint8Array[] | undefined {
    return this.transactions.length > 0 ? transactions.map(({ txid }) => txid) : undefined;
  }

  #add(set: Set<string>, key: string): void {
    if (set.size >= MAX_WATCHES) throw new RangeError(`more than ${MAX_WATCHES} watches`);
    set.add(key);
  }
}
