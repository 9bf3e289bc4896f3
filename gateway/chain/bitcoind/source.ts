/** A Bitcoin node as ChainSource: blocks by polling, filtered for what is watched, with their merkle branches; broadcasts and fee estimates. */
import type {
  BroadcastResult,
  ChainListener,
  ChainSource,
  ConfirmedTransaction,
  FeeUrgency,
  Outpoint,
} from "../../../core/ports/chain.ts";
import type { Crypto } from "../../../core/ports/crypto.ts";
import { type BlockHeight, blockHeight, type Txid } from "../../../core/primitives/brands.ts";
import { equal, fromHex } from "../../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../crypto/choose.ts";
import { type ScannedBlock, scanBlock } from "./block-scan.ts";
import { broadcastPackage, broadcastTransaction } from "./broadcast.ts";
import { confirmedAt } from "./confirmed.ts";
import { feeratePerKw } from "./feerate.ts";
import { Follower } from "./follower.ts";
import { type BitcoindRpc, RpcError } from "./rpc.ts";
import { hashFromDisplay, toDisplay } from "./units.ts";

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

/** How far back a transaction is looked for by its txid alone. */
export const SEARCH_BLOCKS = 144;
const RPC_MISC_ERROR = -8;

export class BitcoindSource implements ChainSource {
  readonly #rpc: BitcoindRpc;
  readonly #options: SourceOptions;
  readonly #crypto: Crypto;
  readonly #follower: Follower;

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

  watchOutpoint(outpoint: Outpoint): void {
    this.#follower.watches.outpoint(outpoint);
  }

  watchScript(script: Uint8Array): void {
    this.#follower.watches.script(script);
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
    const known = await this.#indexedHeight(id);
    if (known !== undefined) return this.#inBlock(id, known);
    const { height } = await this.tip();
    for (let at = height as number; at >= Math.max(0, height - SEARCH_BLOCKS); at--) {
      const hash = await this.#rpc.call<string>("getblockhash", at);
      const block = await this.#rpc.call<{ tx: string[] }>("getblock", hash, 1);
      if (block.tx.includes(toDisplay(id))) return this.#inBlock(id, at);
    }
    return undefined;
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
    let block: ScannedBlock;
    try {
      const hash = await this.#rpc.call<string>("getblockhash", height);
      block = scanBlock(fromHex(await this.#rpc.call<string>("getblock", hash, 0)));
    } catch (error) {
      if (error instanceof RpcError && error.code === RPC_MISC_ERROR) return undefined; // no such height
      throw error;
    }
    const index = block.transactions.findIndex((tx) => equal(tx.txid, id));
    return index < 0 ? undefined : confirmedAt(this.#crypto, block, index, height);
  }

  async #indexedHeight(id: Txid): Promise<number | undefined> {
    try {
      const found = await this.#rpc.call<{ blockhash?: string; confirmations?: number }>(
        "getrawtransaction",
        toDisplay(id),
        1,
      );
      if (found.blockhash === undefined || (found.confirmations ?? 0) < 1) return undefined;
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
