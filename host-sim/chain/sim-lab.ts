/** ChainLab on the simulated chain. */
import type { ChainSource, Outpoint, TxOutput } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import {
  type BlockHeight,
  blockHeight,
  type Satoshi,
  satoshi,
  type Txid,
} from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import {
  type ChainLab,
  fillWallet,
  type LabWallet,
  MATURE_BLOCKS,
  type MineOptions,
  type ReorgOptions,
} from "./lab.ts";
import { SimChain } from "./sim-chain.ts";
import { type SimFeerates, SimSource } from "./sim-source.ts";
import { SimWallet } from "./sim-wallet.ts";

const FEERATES: SimFeerates = { now: 2500, soon: 1000, economy: 500 };

export function startSimLab(crypto: Crypto = chooseCrypto()): SimLab {
  return new SimLab(crypto);
}

export class SimLab implements ChainLab {
  readonly kind = "sim";
  readonly name = "sim";
  readonly genesisHash: Uint8Array;
  readonly chain: SimChain;
  readonly feerates: SimFeerates = { ...FEERATES };
  readonly #miner: SimWallet;
  readonly #minerScript: Uint8Array;
  readonly #wallets = new Map<string, Promise<LabWallet>>();
  readonly #sources: SimSource[] = [];

  constructor(crypto: Crypto) {
    this.chain = new SimChain(crypto);
    this.genesisHash = this.chain.genesisHash;
    this.#miner = new SimWallet(this.chain, "miner");
    this.#minerScript = this.#miner.nextScript();
    for (let i = 0; i < MATURE_BLOCKS; i++) this.chain.mineBlock(this.#minerScript);
  }

  async source(): Promise<ChainSource> {
    const source = new SimSource(this.chain, this.feerates);
    this.#sources.push(source);
    return source;
  }

  wallet(name: string): Promise<LabWallet> {
    const known = this.#wallets.get(name);
    if (known) return known;
    const wallet = fillWallet(this, this.#miner, new SimWallet(this.chain, name), async (raw) => {
      const { reason } = this.chain.broadcast([raw]);
      if (reason !== undefined) throw new Error(`the miner's payment was refused: ${reason}`);
    });
    this.#wallets.set(name, wallet);
    return wallet;
  }

  async height(): Promise<BlockHeight> {
    return blockHeight(this.chain.height);
  }

  async mine(blocks: number, { only }: MineOptions = {}): Promise<void> {
    for (let i = 0; i < blocks; i++) {
      this.chain.mineBlock(this.#minerScript, i === 0 || only?.length === 0 ? only : undefined);
      await this.settle();
    }
  }

  async reorg(depth: number, options: ReorgOptions = {}): Promise<void> {
    const { blocks = depth + 1, only } = options;
    this.chain.reorg(depth, { script: this.#minerScript, blocks, only });
    await this.settle();
  }

  async utxo(outpoint: Outpoint): Promise<TxOutput | undefined> {
    return this.chain.coin(outpoint)?.output;
  }

  async sumOfScripts(scripts: readonly Uint8Array[]): Promise<Satoshi> {
    const wanted = new Set(scripts.map(toHex));
    let sum = 0;
    for (const [, { output }] of this.chain.coins()) {
      if (wanted.has(toHex(output.script))) sum += output.amount;
    }
    return satoshi(sum);
  }

  async mempool(): Promise<readonly Txid[]> {
    return this.chain.mempool.entries().map(({ transaction }) => transaction.txid);
  }

  async mempoolTransaction(id: Txid): Promise<Uint8Array | undefined> {
    return this.chain.mempool.get(toHex(id))?.transaction.raw;
  }

  async settle(): Promise<void> {
    for (const source of this.#sources) await source.settle();
  }

  async close(): Promise<void> {
    for (const source of this.#sources) await source.close();
  }
}
