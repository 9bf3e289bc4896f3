/** bitcoind's own wallet as ChainWallet: it selects and signs, and gives bech32 change; keys never leave the node. */
import type { ChainWallet, ChildRequest, Outpoint, TxOutput } from "../../../core/ports/chain.ts";
import type { Satoshi } from "../../../core/primitives/brands.ts";
import { fromHex } from "../../../core/primitives/bytes.ts";
import {
  parseTransaction,
  sameOutpoint,
  serializeTransaction,
} from "../../../core/transactions/transaction.ts";
import { addFee, type CoinSource, fundChild, type WalletCoin } from "../fee-payer.ts";
import { InsufficientFunds } from "../insufficient-funds.ts";
import type { SweepRequest, SweepWallet } from "../sweep-wallet.ts";
import { scanTransaction } from "./block-scan.ts";
import { type BitcoindRpc, RpcError, type WalletRpc } from "./rpc.ts";
import { satoshiFromBtc, satPerVb, toDisplay, txidFromDisplay } from "./units.ts";
import { type FundedPsbt, fundPsbt, sendAllPsbt, signCoins, signPsbt } from "./wallet-psbt.ts";

export interface WalletOptions {
  /** Confirmations that coins need before they fund a channel; unconfirmed ones could take the channel with them. */
  readonly minConfirmations?: number;
}

/** bitcoind's rpc/protocol.h and wallet errors. */
const RPC_WALLET_ERROR = -4;
const RPC_WALLET_INSUFFICIENT_FUNDS = -6;
const RPC_WALLET_NOT_FOUND = -18;
const RPC_WALLET_ALREADY_LOADED = -35;
/** Below it the wallet refuses to fund (1 sat per virtual byte). */
const MIN_PER_KW = 250;

export class BitcoindWallet implements ChainWallet, SweepWallet {
  readonly #node: BitcoindRpc;
  readonly #rpc: WalletRpc;
  readonly #minConfirmations: number;
  readonly #coins: CoinSource;

  private constructor(node: BitcoindRpc, name: string, options: WalletOptions) {
    this.#node = node;
    this.#rpc = loadedAgain(node, name);
    this.#minConfirmations = options.minConfirmations ?? 1;
    this.#coins = {
      select: (amount, feeratePerKw) => this.#select(amount, feeratePerKw),
      coin: (outpoint) => this.#coin(outpoint),
      sign: (transaction, coins, spent) => signCoins(node, this.#rpc, transaction, coins, spent),
      newScript: () => this.newScript(),
      unlock: (coins) => this.#unlock(coins.map((coin) => coin.outpoint)),
    };
  }

  /** Loads the wallet of that name, or creates it. */
  static async open(
    node: BitcoindRpc,
    name: string,
    options: WalletOptions = {},
  ): Promise<BitcoindWallet> {
    try {
      await load(node, name);
    } catch (error) {
      if (!(error instanceof RpcError) || error.code !== RPC_WALLET_NOT_FOUND) throw error;
      await node.call("createwallet", name);
    }
    return new BitcoindWallet(node, name, options);
  }

  async newScript(): Promise<Uint8Array> {
    const address = await this.#rpc.call<string>("getnewaddress", "", "bech32");
    const info = await this.#rpc.call<{ scriptPubKey: string }>("getaddressinfo", address);
    return fromHex(info.scriptPubKey);
  }

  /** What is the wallet's own, confirmed or its own change. */
  async balance(): Promise<Satoshi> {
    const { mine } = await this.#rpc.call<{ mine: { trusted: number } }>("getbalances");
    return satoshiFromBtc(mine.trusted);
  }

  async freeCoins(): Promise<number> {
    return (await this.#rpc.call<unknown[]>("listunspent", this.#minConfirmations)).length;
  }

  async coins(): Promise<readonly WalletCoin[]> {
    const found = await this.#rpc.call<ListedCoin[]>("listunspent", this.#minConfirmations);
    return found
      .filter(({ spendable }) => spendable)
      .map(({ txid, vout, amount, scriptPubKey }) => ({
        outpoint: { txid: txidFromDisplay(txid), vout },
        output: { script: fromHex(scriptPubKey), amount: satoshiFromBtc(amount) },
      }));
  }

  async sendAll({ coins, keep, script, feeratePerKw }: SweepRequest): Promise<Uint8Array> {
    const kept = keep > 0 ? { script: await this.newScript(), amount: keep } : undefined;
    const feeRate = satPerVb(Math.max(feeratePerKw, MIN_PER_KW));
    const outpoints = coins.map(({ outpoint }) => outpoint);
    try {
      const raw = await sendAllPsbt(this.#node, this.#rpc, { outpoints, kept, script, feeRate });
      return serializeTransaction(raw);
    } catch (error) {
      await this.#unlock(outpoints);
      if (error instanceof RpcError && isTooLittle(error)) {
        throw new InsufficientFunds(`the node's wallet: ${error.reason}`);
      }
      throw error;
    }
  }

  async resign(raw: Uint8Array, outputs: readonly TxOutput[]): Promise<Uint8Array> {
    const transaction = { ...parseTransaction(raw), outputs };
    const coins: WalletCoin[] = [];
    for (const { outpoint } of transaction.inputs) coins.push(await this.#wanted(outpoint));
    const spent = coins.map(({ output }) => output);
    return serializeTransaction(await signCoins(this.#node, this.#rpc, transaction, coins, spent));
  }

  async fund(outputs: readonly TxOutput[], feeratePerKw: number): Promise<Uint8Array> {
    const { psbt, outpoints } = await this.#fundPsbt(outputs, feeratePerKw);
    try {
      const signed = await signPsbt(this.#node, this.#rpc, psbt);
      if (signed.inputs.some((input) => input.witness.length === 0)) {
        throw new Error(
          "the wallet holds coins that are not segwit, and a channel funded with them could be " +
            "lost by malleation; send them to a bech32 address of the wallet first",
        );
      }
      return serializeTransaction(signed);
    } catch (error) {
      await this.#unlock(outpoints);
      throw error;
    }
  }

  fundChild(request: ChildRequest): Promise<Uint8Array> {
    return fundChild(this.#coins, request);
  }

  addFee(raw: Uint8Array, inputs: readonly TxOutput[], feeratePerKw: number): Promise<Uint8Array> {
    return addFee(this.#coins, raw, inputs, feeratePerKw);
  }

  /** A child whose parent lost against another transaction left the mempool: the node's wallet has to be told. */
  async release(raw: Uint8Array, named: readonly Outpoint[] = []): Promise<void> {
    await this.#unlock(
      parseTransaction(raw)
        .inputs.map((input) => input.outpoint)
        .filter((outpoint) => !named.some((one) => sameOutpoint(one, outpoint))),
    );
    try {
      await this.#rpc.call("abandontransaction", toDisplay(scanTransaction(raw).txid));
    } catch (error) {
      if (!(error instanceof RpcError)) throw error; // never sent, in the mempool, or in a block
    }
  }

  /** The node fills in inputs and change, and sets the coins aside. */
  async #fundPsbt(outputs: readonly TxOutput[], feeratePerKw: number): Promise<FundedPsbt> {
    try {
      return await fundPsbt(this.#node, this.#rpc, outputs, {
        feeRate: satPerVb(Math.max(feeratePerKw, MIN_PER_KW)),
        minConfirmations: this.#minConfirmations,
      });
    } catch (error) {
      if (error instanceof RpcError && isInsufficient(error)) {
        throw new InsufficientFunds(`the node's wallet: ${error.reason}`);
      }
      throw error;
    }
  }

  /** The node's own coin selection, asked through a payment to ourselves that is never made. */
  async #select(amount: Satoshi, feeratePerKw: number): Promise<readonly WalletCoin[]> {
    const script = await this.newScript();
    const { outpoints } = await this.#fundPsbt([{ script, amount }], feeratePerKw);
    return Promise.all(outpoints.map((outpoint) => this.#wanted(outpoint)));
  }

  async #wanted(outpoint: Outpoint): Promise<WalletCoin> {
    const coin = await this.#coin(outpoint);
    if (coin === undefined) throw new Error(`the coin ${toDisplay(outpoint.txid)} is gone`);
    return coin;
  }

  async #coin(outpoint: Outpoint): Promise<WalletCoin | undefined> {
    const found = await this.#node.call<{
      value: number;
      scriptPubKey: { hex: string };
    } | null>("gettxout", toDisplay(outpoint.txid), outpoint.vout, false);
    if (found === null) return undefined;
    const output = {
      script: fromHex(found.scriptPubKey.hex),
      amount: satoshiFromBtc(found.value),
    };
    return { outpoint, output };
  }

  async #unlock(outpoints: readonly Outpoint[]): Promise<void> {
    const locked = await this.#rpc.call<{ txid: string; vout: number }[]>("listlockunspent");
    const ours = outpoints.map(({ txid, vout }) => ({ txid: toDisplay(txid), vout }));
    const both = ours.filter((o) => locked.some((l) => l.txid === o.txid && l.vout === o.vout));
    if (both.length > 0) await this.#rpc.call("lockunspent", true, both);
  }
}

interface ListedCoin {
  readonly txid: string;
  readonly vout: number;
  readonly amount: number;
  readonly scriptPubKey: string;
  readonly spendable: boolean;
}

/** The words of `sendall` where what is left after the fee is nothing, or dust. */
function isTooLittle(error: RpcError): boolean {
  return isInsufficient(error) || /dust|low for|too large|bigger than/i.test(error.reason);
}

async function load(node: BitcoindRpc, name: string): Promise<void> {
  try {
    await node.call("loadwallet", name);
  } catch (error) {
    if (!(error instanceof RpcError) || !isLoaded(error)) throw error;
  }
}

/** A node that was restarted has no wallet loaded: ours is, before what was asked is asked again. */
function loadedAgain(node: BitcoindRpc, name: string): WalletRpc {
  const rpc = node.wallet(name);
  let loading: Promise<void> | undefined;
  return {
    call: async <T>(method: string, ...parameters: readonly unknown[]) => {
      try {
        return await rpc.call<T>(method, ...parameters);
      } catch (error) {
        if (!(error instanceof RpcError) || error.code !== RPC_WALLET_NOT_FOUND) throw error;
        loading ??= load(node, name).finally(() => {
          loading = undefined;
        });
        await loading;
        return rpc.call<T>(method, ...parameters);
      }
    },
  };
}

function isLoaded(error: RpcError): boolean {
  if (error.code === RPC_WALLET_ALREADY_LOADED) return true;
  return error.code === RPC_WALLET_ERROR && error.reason.includes("already loaded");
}

function isInsufficient(error: RpcError): boolean {
  if (error.code === RPC_WALLET_INSUFFICIENT_FUNDS) return true;
  return error.code === RPC_WALLET_ERROR && /insufficient|fee needed/i.test(error.reason);
}
