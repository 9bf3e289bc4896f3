/** Follows a node's best chain by polling: tells a listener of blocks and reorganisations in order, and of the mempool as a hint. */
import type { BlockEvent, ChainListener } from "../../../core/ports/chain.ts";
import type { Crypto } from "../../../core/ports/crypto.ts";
import { blockHeight } from "../../../core/primitives/brands.ts";
import { fromHex } from "../../../core/primitives/bytes.ts";
import { type ScannedBlock, scanBlock, scanTransaction } from "./block-scan.ts";
import { confirmedAt } from "./confirmed.ts";
import { type BitcoindRpc, RpcError } from "./rpc.ts";
import { toDisplay } from "./units.ts";
import { Watches } from "./watches.ts";

export interface FollowerOptions {
  readonly pollMs?: number;
  readonly onError?: (error: Error) => void;
}

const DEFAULT_POLL_MS = 1000;
/** Delivered blocks whose hashes are kept: the deepest reorganisation that can be followed. */
export const MAX_REORG_BLOCKS = 2016;
/** A mempool this small is looked at whole; in a larger one only spends of watched outpoints are asked for. */
const WHOLE_MEMPOOL = 500;
const OUTPOINTS_PER_QUESTION = 500;

export class Follower {
  readonly watches = new Watches();
  readonly #rpc: BitcoindRpc;
  readonly #crypto: Crypto;
  readonly #options: FollowerOptions;
  #listener: ChainListener | undefined;
  #nextHeight = 0;
  /** Hashes (display order) of the newest delivered blocks, up to `#nextHeight - 1`. */
  #delivered: string[] = [];
  #deliveredInAll = 0;
  /** Mempool transactions that were held against the watches as they were then. */
  #lookedAt = new Set<string>();
  #lookedWithWatches = 0;
  #hinted = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Polls run one after the other. */
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(rpc: BitcoindRpc, crypto: Crypto, options: FollowerOptions) {
    this.#rpc = rpc;
    this.#crypto = crypto;
    this.#options = options;
  }

  start(listener: ChainListener, fromHeight: number): void {
    if (this.#listener !== undefined) throw new Error("this source has its listener already");
    this.#listener = listener;
    this.#nextHeight = fromHeight;
    this.#schedule(0);
  }

  /** What is watched by now, in blocks of the best chain. */
  async replay(from: number, to: number, each: (block: BlockEvent) => void): Promise<void> {
    for (let height = from; height <= to; height++) {
      const hash = await this.#hashAt(height);
      if (hash === undefined) return;
      each(
        this.#eventOf(
          scanBlock(fromHex(await this.#rpc.call<string>("getblock", hash, 0))),
          height,
        ),
      );
    }
  }

  async settle(): Promise<void> {
    await this.#enqueue();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running.catch(() => undefined);
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#enqueue()
        .catch((error: unknown) => {
          if (!this.#stopped) this.#report(error as Error);
        })
        .finally(() => this.#schedule(this.#options.pollMs ?? DEFAULT_POLL_MS));
    }, delayMs);
  }

  #report(error: Error): void {
    if (this.#options.onError) this.#options.onError(error);
    else process.emitWarning(`following the chain: ${error.message}`);
  }

  #enqueue(): Promise<void> {
    const poll = this.#running.catch(() => undefined).then(() => this.#poll());
    this.#running = poll;
    return poll;
  }

  async #poll(): Promise<void> {
    const listener = this.#listener;
    if (listener === undefined) return;
    await this.#followBlocks(listener);
    if (listener.transactionSeen !== undefined) await this.#lookAtMempool(listener);
  }

  async #followBlocks(listener: ChainListener): Promise<void> {
    for (;;) {
      if (this.#stopped) return;
      const tip = this.#delivered[this.#delivered.length - 1];
      const best = await this.#rpc.call<string>("getbestblockhash");
      if (best === tip) return;
      if (tip !== undefined && !(await this.#isActive(tip))) {
        await this.#disconnectTip(listener);
        continue;
      }
      const hash = await this.#hashAt(this.#nextHeight);
      if (hash === undefined) return;
      await this.#connect(listener, hash, tip);
    }
  }

  async #isActive(hash: string): Promise<boolean> {
    const header = await this.#rpc.call<{ confirmations: number }>("getblockheader", hash);
    return header.confirmations > 0;
  }

  async #disconnectTip(listener: ChainListener): Promise<void> {
    if (this.#delivered.length === 1 && this.#delivered.length < this.#deliveredInAll) {
      throw new Error(`a reorganisation of more than ${MAX_REORG_BLOCKS} blocks: not followed`);
    }
    this.#delivered.pop();
    this.#deliveredInAll--;
    this.#nextHeight--;
    await listener.blockDisconnected(blockHeight(this.#nextHeight));
  }

  async #connect(listener: ChainListener, hash: string, tip: string | undefined): Promise<void> {
    const block = scanBlock(fromHex(await this.#rpc.call<string>("getblock", hash, 0)));
    const previous = toDisplay(block.header.subarray(4, 36));
    if (tip !== undefined && previous !== tip) return; // the chain moved between two questions: look again
    const height = this.#nextHeight;
    const event = this.#eventOf(block, height);
    this.#delivered.push(hash);
    this.#deliveredInAll++;
    if (this.#delivered.length > MAX_REORG_BLOCKS) this.#delivered.shift();
    this.#nextHeight++;
    await listener.blockConnected(event);
  }

  #eventOf(block: ScannedBlock, height: number): BlockEvent {
    const transactions = this.watches
      .concernedIn(block.transactions)
      .map((index) => confirmedAt(this.#crypto, block, index, height));
    const txids = this.watches.idsOf(block.transactions);
    return { height: blockHeight(height), header: block.header.slice(), transactions, txids };
  }

  async #hashAt(height: number): Promise<string | undefined> {
    try {
      return await this.#rpc.call<string>("getblockhash", height);
    } catch (error) {
      if (error instanceof RpcError) return undefined; // beyond the tip
      throw error;
    }
  }

  async #lookAtMempool(listener: ChainListener): Promise<void> {
    const { size } = await this.#rpc.call<{ size: number }>("getmempoolinfo");
    const ids =
      size <= WHOLE_MEMPOOL
        ? await this.#rpc.call<string[]>("getrawmempool")
        : await this.#spendersOfWatched();
    const present = new Set(ids);
    const newWatches = this.watches.size !== this.#lookedWithWatches;
    const known = newWatches ? this.#hinted : this.#lookedAt;
    this.#lookedWithWatches = this.watches.size;
    const hinted = [...this.#hinted].filter((id) => present.has(id));
    for (const id of ids.filter((candidate) => !known.has(candidate))) {
      const raw = await this.#mempoolTransaction(id);
      if (raw === undefined || !this.watches.concerns(scanTransaction(raw))) continue;
      hinted.push(id);
      listener.transactionSeen?.(raw);
    }
    this.#lookedAt = present;
    this.#hinted = new Set(hinted);
  }

  async #spendersOfWatched(): Promise<string[]> {
    const outpoints = [...this.watches.outpoints].map((key) => {
      const [id = "", vout] = key.split(":");
      return { txid: toDisplay(fromHex(id)), vout: Number(vout) };
    });
    const spenders = new Set<string>();
    for (let at = 0; at < outpoints.length; at += OUTPOINTS_PER_QUESTION) {
      const answers = await this.#rpc.call<{ spendingtxid?: string }[]>(
        "gettxspendingprevout",
        outpoints.slice(at, at + OUTPOINTS_PER_QUESTION),
      );
      for (const { spendingtxid } of answers) if (spendingtxid) spenders.add(spendingtxid);
    }
    return [...spenders];
  }

  async #mempoolTransaction(id: string): Promise<Uint8Array | undefined> {
    try {
      return fromHex(await this.#rpc.call<string>("getrawtransaction", id));
    } catch (error) {
      if (error instanceof RpcError) return undefined; // confirmed or replaced meanwhile
      throw error;
    }
  }
}
