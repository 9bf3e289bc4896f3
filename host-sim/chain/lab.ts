/** A chain that can be told what to do: the same handle on the simulated chain and on a regtest node, for tests and the demo. */
import type { ChainSource, ChainWallet, Outpoint, TxOutput } from "../../core/ports/chain.ts";
import type { BlockHeight, Satoshi, Txid } from "../../core/primitives/brands.ts";

export type LabKind = "sim" | "bitcoind";

export interface ChainLab {
  readonly kind: LabKind;
  /** "sim", "bitcoind 29.4.3 (Knots) regtest" … */
  readonly name: string;
  /** 32 bytes, as in block headers. */
  readonly genesisHash: Uint8Array;
  /** A new source; each node has its own, with its own watches. */
  source(): Promise<ChainSource>;
  /** The wallet of that name, made and filled with mature coins at its first use. */
  wallet(name: string): Promise<ChainWallet>;
  height(): Promise<BlockHeight>;
  /** Mines `blocks` blocks from the mempool, and waits until every source has told its listener. */
  mine(blocks: number, options?: MineOptions): Promise<void>;
  /** Takes the last `depth` blocks away and mines a longer branch; what they held returns to the mempool. */
  reorg(depth: number, options?: ReorgOptions): Promise<void>;
  /** A confirmed, unspent output. */
  utxo(outpoint: Outpoint): Promise<TxOutput | undefined>;
  /** Confirmed, unspent satoshis under these scripts. */
  sumOfScripts(scripts: readonly Uint8Array[]): Promise<Satoshi>;
  mempool(): Promise<readonly Txid[]>;
  mempoolTransaction(txid: Txid): Promise<Uint8Array | undefined>;
  /** Until every source has told its listener what the chain and the mempool hold now. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

export interface MineOptions {
  /** Exactly these transactions in the first block, past every policy; an empty list leaves the mempool where it is. */
  readonly only?: readonly Uint8Array[];
}

export interface ReorgOptions extends MineOptions {
  /** Length of the new branch; `depth + 1` unless told. */
  readonly blocks?: number;
}
