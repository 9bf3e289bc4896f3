/** The simulated chain as ChainSource: tells its listener at once, in the same call that mined the block. */
import type {
  BlockEvent,
  BroadcastResult,
  ChainListener,
  ChainSource,
  ConfirmedTransaction,
  FeeUrgency,
  Outpoint,
  UnspentOutput,
} from "../../core/ports/chain.ts";
import { type BlockHeight, blockHeight, type Txid, txid } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { confirmedAt } from "../../gateway/chain/bitcoind/confirmed.ts";
import { Watches } from "../../gateway/chain/bitcoind/watches.ts";
import type { SimBlock, SimChain } from "./sim-chain.ts";

/** What `feeratePerKw` gives; a test may change it. */
export interface SimFeerates {
  now: number;
  soon: number;
  economy: number;
}

export class SimSource implements ChainSource {
  readonly name = "sim";
  readonly genesisHash: Uint8Array;
  readonly #chain: SimChain;
  readonly #feerates: SimFeerates;
  readonly #watches = new Watches();
  readonly #onChange = () => this.#pump();
  #listener: ChainListener | undefined;
  #nextHeight = 0;
  #delivered: SimBlock[] = [];
  #hinted = new Set<string>();
  #pumping = false;
  /** The listener's promise that the next event waits for. */
  #waiting: Promise<void> | undefined;

  constructor(chain: SimChain, feerates: SimFeerates) {
    this.#chain = chain;
    this.#feerates = feerates;
    this.genesisHash = chain.genesisHash;
  }

  subscribe(listener: ChainListener, fromHeight: BlockHeight): void {
    if (this.#listener) throw new Error("this source has its listener already");
    this.#listener = listener;
    this.#nextHeight = fromHeight;
    this.#chain.onChange(this.#onChange);
    this.#pump();
  }

  async replay(
    { from, to }: { readonly from: BlockHeight; readonly to: BlockHeight },
    each: (block: BlockEvent) => void,
  ): Promise<void> {
    for (let height = from as number; height <= to; height++) {
      const block = this.#chain.block(height);
      if (block) each(this.#eventOf(block));
    }
  }

  watchOutpoint(outpoint: Outpoint): void {
    this.#watches.outpoint(outpoint);
  }

  watchScript(script: Uint8Array): void {
    this.#watches.script(script);
  }

  watchTransactions(concerns: (txid: Uint8Array) => boolean): void {
    this.#watches.transactions.push(concerns);
  }

  async tip(): Promise<{ height: BlockHeight; hash: Uint8Array }> {
    const { height, hash } = this.#chain.block(this.#chain.height) as SimBlock;
    return { height: blockHeight(height), hash };
  }

  async headers(fromHeight: BlockHeight, count: number): Promise<readonly Uint8Array[]> {
    const headers: Uint8Array[] = [];
    for (let at = fromHeight as number; headers.length < count; at++) {
      const block = this.#chain.block(at);
      if (!block) break;
      headers.push(block.header);
    }
    return headers;
  }

  async transaction(id: Txid, atHeight?: BlockHeight): Promise<ConfirmedTransaction | undefined> {
    const highest = atHeight ?? this.#chain.height;
    for (let at = highest as number; at >= (atHeight ?? 0); at--) {
      const block = this.#chain.block(at);
      const index = block?.transactions.findIndex((one) => equal(one.txid, id)) ?? -1;
      if (block && index >= 0) return confirmedAt(this.#chain.crypto, block, index, at);
    }
    return undefined;
  }

  async unspentOutput(outpoint: Outpoint): Promise<UnspentOutput | undefined> {
    const coin = this.#chain.coin(outpoint);
    return coin && { ...coin.output, height: blockHeight(coin.height) };
  }

  async feeratePerKw(urgency: FeeUrgency): Promise<number> {
    return this.#feerates[urgency];
  }

  async broadcast(raw: Uint8Array): Promise<BroadcastResult> {
    return this.broadcastPackage([raw]);
  }

  async broadcastPackage(raws: readonly Uint8Array[]): Promise<BroadcastResult> {
    const outcome = this.#chain.broadcast(raws);
    return outcome.txid
      ? { ok: true, txid: txid(outcome.txid) }
      : { ok: false, reason: outcome.reason ?? "refused" };
  }

  /** Until the listener's promises are done and it knows all. */
  async settle(): Promise<void> {
    this.#pump();
    while (this.#waiting) await this.#waiting;
  }

  async close(): Promise<void> {
    this.#chain.offChange(this.#onChange);
    this.#listener = undefined;
  }

  /** Tells everything that is new; stops at a promise and goes on after it. */
  #pump(): void {
    if (this.#pumping || this.#waiting) return;
    this.#pumping = true;
    try {
      for (;;) {
        const told = this.#tellNext();
        if (told === "nothing new") break;
        if (told instanceof Promise) {
          this.#waiting = told.finally(() => {
            this.#waiting = undefined;
            this.#pump();
          });
          return;
        }
      }
      this.#hint();
    } finally {
      this.#pumping = false;
    }
  }

  #tellNext(): undefined | Promise<void> | "nothing new" {
    if (!this.#listener) return "nothing new";
    const tip = this.#delivered[this.#delivered.length - 1];
    if (tip && this.#chain.block(tip.height) !== tip) {
      this.#delivered.pop();
      this.#nextHeight--;
      return this.#listener.blockDisconnected(blockHeight(tip.height)) ?? undefined;
    }
    const block = this.#chain.block(this.#nextHeight);
    if (!block) return "nothing new";
    this.#delivered.push(block);
    this.#nextHeight++;
    return this.#listener.blockConnected(this.#eventOf(block)) ?? undefined;
  }

  #eventOf(block: SimBlock): BlockEvent {
    const transactions = this.#watches
      .concernedIn(block.transactions)
      .map((index) => confirmedAt(this.#chain.crypto, block, index, block.height));
    const txids = this.#watches.idsOf(block.transactions);
    return { height: blockHeight(block.height), header: block.header, transactions, txids };
  }

  #hint(): void {
    if (!this.#listener?.transactionSeen) return;
    const present = this.#chain.mempool.entries();
    const keys = new Set(present.map(({ transaction }) => transaction.key));
    this.#hinted = new Set([...this.#hinted].filter((key) => keys.has(key)));
    for (const { transaction } of present) {
      if (this.#hinted.has(transaction.key) || !this.#watches.concerns(transaction)) continue;
      this.#hinted.add(transaction.key);
      this.#listener.transactionSeen(transaction.raw);
    }
  }
}
