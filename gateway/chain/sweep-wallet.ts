/** What a sweep needs of the gateway's wallet: its coins one by one, and a transaction that spends chosen ones whole. */
import type { TxOutput } from "../../core/ports/chain.ts";
import type { Satoshi } from "../../core/primitives/brands.ts";
import type { WalletCoin } from "./fee-payer.ts";

export interface SweepRequest {
  readonly coins: readonly WalletCoin[];
  /** Of their sum so much stays with the wallet, at a new address of its own; 0: nothing does. */
  readonly keep: Satoshi;
  /** Gets the rest, less the fee. */
  readonly script: Uint8Array;
  readonly feeratePerKw: number;
}

export interface SweepWallet {
  /** Confirmed coins that are free. */
  coins(): Promise<readonly WalletCoin[]>;
  /** Signed, not broadcast; its coins are set aside until `release`. Throws InsufficientFunds where the fee takes it all. */
  sendAll(request: SweepRequest): Promise<Uint8Array>;
  /** The same coins into other outputs, signed anew: to replace it at a higher fee. Throws where one is not the wallet's, or is spent in a block. */
  resign(raw: Uint8Array, outputs: readonly TxOutput[]): Promise<Uint8Array>;
  /** Gives them back, where it was never sent. */
  release(raw: Uint8Array): Promise<void>;
}

/** Each transaction is small enough for any node's mempool, whatever its coins are. */
export const MAX_SWEPT_COINS = 200;
