/** A Bitcoin node as ChainSource: blocks by polling, filtered for what is watched, with their merkle branches; broadcasts and fee estimates. */
import type {
  BlockEvent,
  BroadcastResult,
  ChainListener,
  ChainSource,
  ConfirmedTransaction,
  FeeUrgency,
  Outpoint,
  UnspentOutput,
} from "../../../core/ports/chain.ts";
import type { Crypto } from "../../../core/ports/crypto.ts";
import { type BlockHeight, blockHeight, type Txid } from "../../../core/primitives/brands.ts";
import { equal, fromHex } from "../../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../crypto/choose.ts";
import { broadcastPackage, broadcastTransaction } from "./broadcast.ts";
import { confirmedAt } from "./confirmed.ts";
import { feeratePerKw } from "./feerate.ts";
import { Follower } from "./follower.ts";
import { RecentBlocks } from "./recent-blocks.ts";
import { type BitcoindRpc, RpcError } from "./rpc.ts";
import { TransactionSearch } from "./transaction-search.ts";
import { hashFromDisplay, toDisplay } from "./units.ts";
import { unspentOutput } from "./unspent.ts";

export interface SourceOptions {
  readonly pollMs?: number;
  /** Lowest feerate given, whatever the node thinks. */
  readonly floorPerKw?: number;
  /** Where the node has no estimate (regtest, a fresh node). */
  readonly fallbackPerKw?: number;
  /** What went wrong in the background; polling goes on. A process warning unless given. */
  readonly onError?: (error: Error) => void;
  readonly crypto?: Crypto;
}

export class BitcoindSource implements ChainSource {
  readonly #rpc: BitcoindRpc;
  readonly #options: SourceOptions;
  readonly #crypto: Crypto;
  readonly #follower: Follower;
  readonly #search: TransactionSearch;
  readonly #blocks: RecentBlocks;

  private constructor(
    rpc: BitcoindRpc,
    readonly name: string,
    readonly genesisHash: Uint8Array,
    options: SourceOptions,
  ) {
    this.#rpc = rpc;
    this.#options = options;
    this.#crypto = options.crypto ?? chooseCrypto();
    this.#follower = new Follower(rpc, this.#crypto, options);
    this.#search = new TransactionSearch(rpc);
    this.#blocks = new RecentBlocks(rpc);
  }

  /** Asks the node who it is; throws RpcUnavailable where it does not answer. The source owns the connection. */
  static async open(rpc: BitcoindRpc, options: SourceOptions = {}): Promise<BitcoindSource> {
    const network = await rpc.call<{ subversion: string }>("getnetworkinfo");
    const chain = await rpc.call<{ chain: string }>("getblockchaininfo");
    const genesis = await rpc.call<string>("getblockhash", 0);
    const name = `bitcoind ${versionName(network.subversion)} ${chain.chain}`;
    return new BitcoindSource(rpc, name, hashFromDisplay(genesis), options);
  }

  subscribe(listener: ChainListener, fromHeight: BlockHeight): void {
    this.#follower.start(listener, fromHeight);
  }

  replay(
    { from, to }: { readonly from: BlockHeight; readonly to: BlockHeight },
    each: (block: BlockEvent) => void,
  ): Promise<void> {
    return this.#follower.replay(from, to, each);
  }

  watchOutpoint(outpoint: Outpoint): void {
    this.#follower.watches.outpoint(outpoint);
  }

  watchScript(script: Uint8Array): void {
    this.#follower.watches.script(script);
  }

  watchTransactions(concerns: (txid: Uint8Array) => boolean): void {
    this.#follower.watches.transactions.push(concerns);
  }

  async tip(): Promise<{ height: BlockHeight; hash: Uint8Array }> {
    const hash = await this.#rpc.call<string>("getbestblockhash");
    const header = await this.#rpc.call<{ height: number }>("getblockheader", hash);
    return { height: blockHeight(header.height), hash: hashFromDisplay(hash) };
  }

  async headers(fromHeight: BlockHeight, count: number): Promise<readonly Uint8Array[]> {
    const { height } = await this.tip();
    const last = Math.min(height, fromHeight + Math.min(count, MAX_HEADERS) - 1);
    const heights = Array.from(
      { length: Math.max(0, last - fromHeight + 1) },
      (_, i) => fromHeight + i,
    );
    const headers: Uint8Array[] = [];
    for (let at = 0; at < heights.length; at += HEADERS_PER_BATCH) {
      const part = heights.slice(at, at + HEADERS_PER_BATCH);
      const hashes = await this.#rpc.batch<string>(part.map((h) => ["getblockhash", h] as const));
      const raws = await this.#rpc.batch<string>(
        hashes.map((hash) => ["getblockheader", hash, false] as const),
      );
      headers.push(...raws.map(fromHex));
    }
    return headers;
  }

  /** Without `atHeight` it is looked for with the node's index, where it has one, and in the last SEARCH_BLOCKS blocks. */
  async transaction(id: Txid, atHeight?: BlockHeight): Promise<ConfirmedTransaction | undefined> {
    if (atHeight !== undefined) return this.#inBlock(id, atHeight);
    const indexed = await this.#indexed(id);
    if (indexed === "unconfirmed") return undefined;
    const height = indexed ?? (await this.#search.height(toDisplay(id)));
    return height === undefined ? undefined : this.#inBlock(id, height);
  }

  unspentOutput(outpoint: Outpoint): Promise<UnspentOutput | undefined> {
    return unspentOutput(this.#rpc, outpoint);
  }

  feeratePerKw(urgency: FeeUrgency): Promise<number> {
    return feeratePerKw(this.#rpc, urgency, this.#options);
  }

  broadcast(raw: Uint8Array): Promise<BroadcastResult> {
    return broadcastTransaction(this.#rpc, raw);
  }

  broadcastPackage(raws: readonly Uint8Array[]): Promise<BroadcastResult> {
    return broadcastPackage(this.#rpc, raws);
  }

  /** Polls now, and waits until the listener has been told all that the node holds. */
  settle(): Promise<void> {
    return this.#follower.settle();
  }

  async close(): Promise<void> {
    await this.#follower.stop();
    this.#rpc.close();
  }

  async #inBlock(id: Txid, height: number): Promise<ConfirmedTransaction | undefined> {
    const block = await this.#blocks.at(height);
    if (!block) return undefined;
    const index = block.transactions.findIndex((tx) => equal(tx.txid, id));
    return index < 0 ? undefined : confirmedAt(this.#crypto, block, index, height);
  }

  /** Its height, or that it waits in the mempool; undefined where the node cannot say. */
  async #indexed(id: Txid): Promise<number | "unconfirmed" | undefined> {
    try {
      const found = await this.#rpc.call<{ blockhash?: string; confirmations?: number }>(
        "getrawtransaction",
        toDisplay(id),
        1,
      );
      if (found.blockhash === undefined || (found.confirmations ?? 0) < 1) return "unconfirmed";
      const header = await this.#rpc.call<{ height: number }>("getblockheader", found.blockhash);
      return header.height;
    } catch (error) {
      if (error instanceof RpcError) return undefined;
      throw error;
    }
  }
}

const MAX_HEADERS = 2016;
const HEADERS_PER_BATCH = 250;

/** "29.4.3 Knots" from "/Satoshi:29.4.3/Knots:20260508/". */
function versionName(subversion: string): string {
  const version = /Satoshi:([0-9.]+)/.exec(subversion)?.[1] ?? subversion;
  return subversion.includes("Knots") ? `${version} (Knots)` : version;
}
