/** A chain that can be told what to do: the same handle on the simulated chain and on a regtest node, for tests and the demo. */
import type { ChainSource, ChainWallet, Outpoint, TxOutput } from "../../core/ports/chain.ts";
import {
  type BlockHeight,
  type Satoshi,
  satoshi,
  type Txid,
} from "../../core/primitives/brands.ts";
import type { SweepWallet } from "../../gateway/chain/sweep-wallet.ts";

export type LabWallet = ChainWallet & SweepWallet;

export type LabKind = "sim" | "bitcoind";

export interface ChainLab {
  readonly kind: LabKind;
  /** "sim", "bitcoind 29.4.3 (Knots) regtest" … */
  readonly name: string;
  /** 32 bytes, as in block headers. */
  readonly genesisHash: Uint8Array;
  /** How another process reaches the node; absent where there is none. */
  readonly connection?: LabConnection;
  /** A new source; each node has its own, with its own watches. */
  source(): Promise<ChainSource>;
  /** The wallet of that name, made and filled with mature coins at its first use. */
  wallet(name: string): Promise<LabWallet>;
  height(): Promise<BlockHeight>;
  /** Mines one block after the other from the mempool; before the next, every source has told its listener. */
  mine(blocks: number, options?: MineOptions): Promise<void>;
  /** Takes the last `depth` blocks away and mines a longer branch; what they held returns to the mempool. */
  reorg(depth: number, options?: ReorgOptions): Promise<void>;
  /** A confirmed, unspent output. */
  utxo(outpoint: Outpoint): Promise<TxOutput | undefined>;
  /** Confirmed, unspent satoshis under these scripts. */
  sumOfScripts(scripts: readonly Uint8Array[]): Promise<Satoshi>;
  mempool(): Promise<readonly Txid[]>;
  /** Raw, from the mempool. */
  mempoolTransaction(txid: Txid): Promise<Uint8Array | undefined>;
  /** Until every source has told its listener what the chain and the mempool hold now. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

export interface LabConnection {
  readonly rpcPort: number;
  readonly cookieFile: string;
}

export interface MineOptions {
  /** Exactly these transactions in the first block, past every policy; with an empty list every new block is empty. */
  readonly only?: readonly Uint8Array[];
}

export interface ReorgOptions extends MineOptions {
  /** Length of the new branch; `depth + 1` unless told. */
  readonly blocks?: number;
}

/** Blocks that every lab starts with: ten coinbases are mature. */
export const MATURE_BLOCKS = 110;
/** What a wallet gets at its first use. */
export const WALLET_COINS = 20;
export const WALLET_COIN_SATOSHIS = 50_000_000;

const FILL_PER_KW = 500;

/** Pays a new wallet its coins from the miner's, in one block. */
export async function fillWallet(
  lab: ChainLab,
  miner: ChainWallet,
  wallet: LabWallet,
  send: (raw: Uint8Array) => Promise<void>,
): Promise<LabWallet> {
  if ((await wallet.balance()) > 0) return wallet;
  const outputs: TxOutput[] = [];
  for (let i = 0; i < WALLET_COINS; i++) {
    outputs.push({ script: await wallet.newScript(), amount: satoshi(WALLET_COIN_SATOSHIS) });
  }
  await send(await miner.fund(outputs, FILL_PER_KW));
  await lab.mine(1);
  return wallet;
}
