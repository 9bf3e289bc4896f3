/** ChainLab on a regtest bitcoind of our own. */

import type { ChainSource, Outpoint, TxOutput } from "../../core/ports/chain.ts";
import {
  type BlockHeight,
  blockHeight,
  type Satoshi,
  satoshi,
  type Txid,
} from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { type RegtestNode, startRegtest } from "../../gateway/chain/bitcoind/node-process.ts";
import { type BitcoindRpc, RpcError } from "../../gateway/chain/bitcoind/rpc.ts";
import { BitcoindSource } from "../../gateway/chain/bitcoind/source.ts";
import { satoshiFromBtc, toDisplay, txidFromDisplay } from "../../gateway/chain/bitcoind/units.ts";
import { BitcoindWallet } from "../../gateway/chain/bitcoind/wallet.ts";
import {
  type ChainLab,
  fillWallet,
  type LabConnection,
  type LabWallet,
  MATURE_BLOCKS,
  type MineOptions,
  type ReorgOptions,
} from "./lab.ts";

export interface RegtestLabOptions {
  readonly onProgress?: (line: string) => void;
  readonly dataFolder?: string;
  /** How often sources look for blocks by themselves; `mine` and `settle` do not wait for it. */
  readonly pollMs?: number;
}

const MINER = "miner";
const DEFAULT_POLL_MS = 250;

export async function startRegtestLab(options: RegtestLabOptions = {}): Promise<ChainLab> {
  const node = await startRegtest(options);
  try {
    return await RegtestLab.open(node, options.pollMs ?? DEFAULT_POLL_MS);
  } catch (error) {
    await node.stop();
    throw error;
  }
}

class RegtestLab implements ChainLab {
  readonly kind = "bitcoind";
  readonly #wallets = new Map<string, Promise<LabWallet>>();
  readonly #sources: BitcoindSource[] = [];

  private constructor(
    private readonly node: RegtestNode,
    private readonly rpc: BitcoindRpc,
    private readonly miner: BitcoindWallet,
    private readonly minerAddress: string,
    private readonly pollMs: number,
    readonly name: string,
    readonly genesisHash: Uint8Array,
  ) {}

  static async open(node: RegtestNode, pollMs: number): Promise<RegtestLab> {
    const rpc = node.connect();
    const miner = await BitcoindWallet.open(rpc, MINER);
    const address = await rpc.wallet(MINER).call<string>("getnewaddress", "", "bech32");
    const source = await BitcoindSource.open(node.connect());
    const { name, genesisHash } = source;
    await source.close();
    const lab = new RegtestLab(node, rpc, miner, address, pollMs, name, genesisHash);
    const height = await lab.height();
    if (height < MATURE_BLOCKS) await lab.mine(MATURE_BLOCKS - height);
    return lab;
  }

  get connection(): LabConnection {
    const { rpcPort, cookieFile } = this.node;
    return { rpcPort, cookieFile };
  }

  async source(): Promise<ChainSource> {
    const source = await BitcoindSource.open(this.node.connect(), { pollMs: this.pollMs });
    this.#sources.push(source);
    return source;
  }

  wallet(name: string): Promise<LabWallet> {
    const known = this.#wallets.get(name);
    if (known) return known;
    const wallet = BitcoindWallet.open(this.rpc, name).then((opened) =>
      fillWallet(this, this.miner, opened, (raw) => this.#send(raw)),
    );
    this.#wallets.set(name, wallet);
    return wallet;
  }

  async height(): Promise<BlockHeight> {
    return blockHeight(await this.rpc.call<number>("getblockcount"));
  }

  async mine(blocks: number, options: MineOptions = {}): Promise<void> {
    if (this.#sources.length === 0) {
      await this.#generate(blocks, options);
    } else {
      for (let left = blocks; left > 0; left--) {
        const first = left === blocks || options.only?.length === 0;
        await this.#generate(1, first ? options : {});
        await this.settle();
      }
    }
    await this.settle();
  }

  async reorg(depth: number, options: ReorgOptions = {}): Promise<void> {
    const height = await this.height();
    const lowest = await this.rpc.call<string>("getblockhash", height - depth + 1);
    await this.rpc.call("invalidateblock", lowest);
    // Paid elsewhere, or it could be the very block that was invalidated.
    const address = await this.rpc.wallet(MINER).call<string>("getnewaddress", "", "bech32");
    await this.#generate(options.blocks ?? depth + 1, options, address);
    await this.settle();
  }

  async utxo(outpoint: Outpoint): Promise<TxOutput | undefined> {
    const found = await this.rpc.call<{ value: number; scriptPubKey: { hex: string } } | null>(
      "gettxout",
      toDisplay(outpoint.txid),
      outpoint.vout,
      false,
    );
    if (found === null) return undefined;
    return { script: fromHex(found.scriptPubKey.hex), amount: satoshiFromBtc(found.value) };
  }

  async sumOfScripts(scripts: readonly Uint8Array[]): Promise<Satoshi> {
    if (scripts.length === 0) return satoshi(0);
    const descriptors = scripts.map((script) => `raw(${toHex(script)})`);
    const found = await this.rpc.call<{ total_amount: number }>(
      "scantxoutset",
      "start",
      descriptors,
    );
    return satoshiFromBtc(found.total_amount);
  }

  async mempool(): Promise<readonly Txid[]> {
    return (await this.rpc.call<string[]>("getrawmempool")).map(txidFromDisplay);
  }

  async mempoolTransaction(id: Txid): Promise<Uint8Array | undefined> {
    try {
      return fromHex(await this.rpc.call<string>("getrawtransaction", toDisplay(id)));
    } catch (error) {
      if (error instanceof RpcError) return undefined;
      throw error;
    }
  }

  async settle(): Promise<void> {
    await this.rpc.call("syncwithvalidationinterfacequeue"); // the wallet has seen the blocks too
    await Promise.all(this.#sources.map((source) => source.settle()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.close()));
    this.rpc.close();
    await this.node.stop();
  }

  async #generate(
    blocks: number,
    { only }: MineOptions,
    address = this.minerAddress,
  ): Promise<void> {
    let plain = blocks;
    if (only !== undefined) {
      await this.rpc.call("generateblock", address, only.map(toHex));
      plain--;
      // Empty blocks after it, where nothing may be mined.
      for (; only.length === 0 && plain > 0; plain--) {
        await this.rpc.call("generateblock", address, []);
      }
    }
    if (plain > 0) await this.rpc.call("generatetoaddress", plain, address);
  }

  async #send(raw: Uint8Array): Promise<void> {
    await this.rpc.call("sendrawtransaction", toHex(raw));
  }
}
