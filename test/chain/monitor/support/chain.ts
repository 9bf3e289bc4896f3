/** A chain in a list: it lets in only what consensus would, judged by an interpreter that is not ours, and can reorganise. */
import type { ChainFacts } from "../../../../core/chain/monitor/watched.ts";
import type { Outpoint, TxOutput } from "../../../../core/ports/chain.ts";
import { blockHeight, satoshi, txid } from "../../../../core/primitives/brands.ts";
import {
  outpointKey,
  parseTransaction,
  type Transaction,
  transactionId,
} from "../../../../core/transactions/transaction.ts";
import { crypto } from "../../../support/channel-pair.ts";
import { judgeSpend } from "../../../support/script-verifier.ts";

interface Coin extends TxOutput {
  readonly height: number;
}

const START_HEIGHT = 400;
const SEQUENCE_DISABLED = 2 ** 31;

export class TestChain {
  #tip = START_HEIGHT;
  #confirmed: { readonly raw: Uint8Array; readonly height: number }[] = [];
  readonly #given: { readonly outpoint: Outpoint; readonly coin: Coin }[] = [];

  get tip(): number {
    return this.#tip;
  }

  get facts(): ChainFacts {
    return {
      tipHeight: blockHeight(this.#tip),
      confirmed: this.#confirmed.map(({ raw, height }) => ({ raw, height: blockHeight(height) })),
    };
  }

  /** A coin from outside the test. */
  give(output: TxOutput, id = 0xcc): Outpoint {
    const outpoint = { txid: txid(new Uint8Array(32).fill(id)), vout: this.#given.length };
    this.#given.push({ outpoint, coin: { ...output, height: 1 } });
    return outpoint;
  }

  /** "valid", or why the next block may not hold it. */
  verdict(raw: Uint8Array): string {
    const transaction = parseTransaction(raw);
    const next = this.#tip + 1;
    const final = transaction.inputs.every(({ sequence }) => sequence === 0xffffffff);
    if (!final && transaction.locktime < 500_000_000 && transaction.locktime >= next) {
      return "non-final";
    }
    let balance = 0;
    for (const [index, input] of transaction.inputs.entries()) {
      const coin = this.#coin(input.outpoint);
      if (coin === undefined) return "missing-or-spent";
      balance += coin.amount;
      const relative = input.sequence < SEQUENCE_DISABLED ? input.sequence & 0xffff : 0;
      if (transaction.version >= 2 && next < coin.height + relative) return "non-BIP68-final";
      const verdict = judgeSpend(transaction, index, coin);
      if (verdict !== "valid") return verdict;
    }
    for (const { amount } of transaction.outputs) balance -= amount;
    return balance < 0 ? "in-belowout" : "valid";
  }

  /** Mines a block with these; throws where it may not. */
  confirm(...raws: readonly Uint8Array[]): void {
    const height = this.#tip + 1;
    for (const raw of raws) {
      const verdict = this.verdict(raw);
      if (verdict !== "valid") throw new Error(`${verdict} at ${height}`);
      this.#confirmed.push({ raw, height });
    }
    this.#tip = height;
  }

  mine(blocks: number): void {
    this.#tip += blocks;
  }

  mineTo(tip: number): void {
    this.#tip = Math.max(this.#tip, tip);
  }

  /** The last blocks leave the chain, and as many empty ones and one more take their place. */
  reorg(blocks: number): void {
    const fork = this.#tip - blocks;
    this.#confirmed = this.#confirmed.filter(({ height }) => height <= fork);
    this.#tip += 1;
  }

  /** Forgets the last blocks, to ask what would have been valid then. */
  rewind(blocks: number): void {
    this.#tip -= blocks;
    this.#confirmed = this.#confirmed.filter(({ height }) => height <= this.#tip);
  }

  output(outpoint: Outpoint): TxOutput | undefined {
    return this.#coin(outpoint);
  }

  #coin(outpoint: Outpoint): Coin | undefined {
    const key = outpointKey(outpoint);
    const transactions = this.#confirmed.map(({ raw, height }) => ({
      transaction: parseTransaction(raw),
      height,
    }));
    const spent = transactions.some(({ transaction }) =>
      transaction.inputs.some((input) => outpointKey(input.outpoint) === key),
    );
    if (spent) return undefined;
    const given = this.#given.find((candidate) => outpointKey(candidate.outpoint) === key);
    if (given) return given.coin;
    for (const { transaction, height } of transactions) {
      const output = transaction.outputs[outpoint.vout];
      if (output && outpointKey({ txid: idOf(transaction), vout: outpoint.vout }) === key) {
        return { ...output, height };
      }
    }
    return undefined;
  }
}

export function idOf(transaction: Transaction) {
  return transactionId(crypto, transaction);
}

/** What the transaction pays miners, its inputs being of `chain`. */
export function feeOf(chain: TestChain, raw: Uint8Array): number {
  const { inputs, outputs } = parseTransaction(raw);
  const given = inputs.reduce((sum, input) => sum + (chain.output(input.outpoint)?.amount ?? 0), 0);
  return satoshi(given - outputs.reduce((sum, { amount }) => sum + amount, 0));
}
