/** The ChainSource port: what the node asks of Bitcoin, and what it is told; adapters are bitcoind and the simulated chain. */
import type { BlockHeight, Satoshi, Txid } from "../primitives/brands.ts";

export interface Outpoint {
  readonly txid: Txid;
  readonly vout: number;
}

export interface TxOutput {
  readonly script: Uint8Array;
  readonly amount: Satoshi;
}

export interface UnspentOutput extends TxOutput {
  /** Of the block that made it. */
  readonly height: BlockHeight;
}

/** A confirmed transaction with its place; `proof` where the adapter can give one. */
export interface ConfirmedTransaction {
  /** Serialised with witness. */
  readonly raw: Uint8Array;
  readonly txid: Txid;
  readonly height: BlockHeight;
  /** Position in the block. */
  readonly index: number;
  /** Merkle branch from the txid to the root, deepest first, each 32 bytes. */
  readonly branch: readonly Uint8Array[];
}

/**
 * One block as the watcher sees it: the header, and the transactions that spend a watched outpoint or pay a watched
 * script, with those in the same block that spend what they made, in the order of the block.
 */
export interface BlockEvent {
  readonly height: BlockHeight;
  /** 80 bytes. */
  readonly header: Uint8Array;
  readonly transactions: readonly ConfirmedTransaction[];
  /** Of all that are in it, where every transaction is asked for (`watchTransactions`). */
  readonly txids?: readonly Uint8Array[] | undefined;
}

export interface ChainListener {
  /** Blocks arrive in order of height. The next event waits for the promise: what is watched by then is looked for in it. */
  blockConnected(block: BlockEvent): void | Promise<void>;
  /** The block at `height` left the chain; called from the tip downwards. */
  blockDisconnected(height: BlockHeight): void | Promise<void>;
  /** A transaction that concerns what is watched entered the mempool (a hint, it may never confirm). */
  transactionSeen?(raw: Uint8Array): void;
}

export type FeeUrgency = "now" | "soon" | "economy";

/** Outcome of a broadcast; a refusal names the node's own words. */
export type BroadcastResult =
  | { readonly ok: true; readonly txid: Txid }
  | { readonly ok: false; readonly reason: string };

export interface ChainSource {
  /** "bitcoind 29.1 regtest", "sim" … */
  readonly name: string;
  /** 32 bytes, as in block headers. */
  readonly genesisHash: Uint8Array;
  /** Starts delivering blocks from `fromHeight` on; once per source. */
  subscribe(listener: ChainListener, fromHeight: BlockHeight): void;
  /**
   * Blocks that were delivered before, once more, for what is watched by now: `each` in order of height, up to and with
   * `toHeight`.
   */
  replay(
    heights: { readonly from: BlockHeight; readonly to: BlockHeight },
    each: (block: BlockEvent) => void,
  ): Promise<void>;
  watchOutpoint(outpoint: Outpoint): void;
  watchScript(script: Uint8Array): void;
  /** Every transaction is asked for: those for which `concerns` says yes are told like those that spend something watched. */
  watchTransactions?(concerns: (txid: Uint8Array) => boolean): void;
  tip(): Promise<{ height: BlockHeight; hash: Uint8Array }>;
  headers(fromHeight: BlockHeight, count: number): Promise<readonly Uint8Array[]>;
  /** Where `txid` was confirmed, with its branch; undefined where it is not in the chain. */
  transaction(txid: Txid, atHeight?: BlockHeight): Promise<ConfirmedTransaction | undefined>;
  /** A confirmed output that no confirmed transaction spends; undefined where there is none. */
  unspentOutput(outpoint: Outpoint): Promise<UnspentOutput | undefined>;
  /** Satoshi per 1000 weight units. */
  feeratePerKw(urgency: FeeUrgency): Promise<number>;
  broadcast(raw: Uint8Array): Promise<BroadcastResult>;
  /** Parents and one child, together (TRUC packages, BIP 431). */
  broadcastPackage(raws: readonly Uint8Array[]): Promise<BroadcastResult>;
  close(): Promise<void>;
}

/** The on-chain wallet of a gateway: bitcoind's own, or the simulated one. No coin selection of ours. */
export interface ChainWallet {
  newScript(): Promise<Uint8Array>;
  balance(): Promise<Satoshi>;
  /** Confirmed coins that are free: an anchor's child and a version 3 HTLC transaction each take one (BIP 431). */
  freeCoins(): Promise<number>;
  /** A signed, unbroadcast transaction with all-segwit inputs that pays `outputs`. */
  fund(outputs: readonly TxOutput[], feeratePerKw: number): Promise<Uint8Array>;
  /** A signed child of `parents` (version 3 where they are) that spends `anchor` and pays for the package. `anchorWitness` is empty for P2A; for keyed anchors it is computed by `signAnchor`. */
  fundChild(request: ChildRequest): Promise<Uint8Array>;
  /** Adds inputs and change to a transaction whose inputs are signed SINGLE|ANYONECANPAY (index i pays output i). */
  addFee(raw: Uint8Array, inputs: readonly TxOutput[], feeratePerKw: number): Promise<Uint8Array>;
  /**
   * Gives coins that were set aside by `fund` but never broadcast back to the wallet; not those of `named`: whoever asked
   * for the transaction put them in, and may have named a coin that is set aside for something else.
   */
  release(raw: Uint8Array, named?: readonly Outpoint[]): Promise<void>;
}

export interface ChildRequest {
  readonly parents: readonly Uint8Array[];
  /** Fee that the parents pay themselves, in satoshi. */
  readonly parentsFee: Satoshi;
  readonly anchor: Outpoint;
  readonly anchorOutput: TxOutput;
  readonly version: 2 | 3;
  /** Target for parents and child together. */
  readonly feeratePerKw: number;
  /** Weight of the anchor's witness, and the witness for the finished unsigned child; absent for P2A. */
  readonly keyedAnchor?: {
    readonly witnessWeight: number;
    sign(unsignedChild: Uint8Array, inputIndex: number): readonly Uint8Array[];
  };
  /** A child to replace (same wallet coins, higher fee), when bumping. */
  readonly replaces?: Uint8Array;
}
