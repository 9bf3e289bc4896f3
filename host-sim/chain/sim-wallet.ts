/** The simulated chain's wallet: P2WPKH keys from a name, largest coins first; it exists so that no test needs a node. */
import type { ChainWallet, ChildRequest, Outpoint, TxOutput } from "../../core/ports/chain.ts";
import {
  type PublicKey,
  type Satoshi,
  type SecretKey,
  satoshi,
  secretKey,
  txid,
} from "../../core/primitives/brands.ts";
import { ascii, fromHex, toHex } from "../../core/primitives/bytes.ts";
import { toDer } from "../../core/transactions/der.ts";
import { dustThreshold, p2wpkh, p2wpkhScriptCode } from "../../core/transactions/script.ts";
import { SIGHASH_ALL, segwitSighash } from "../../core/transactions/sighash.ts";
import {
  outpointKey,
  parseTransaction,
  sameOutpoint,
  serializeTransaction,
  type Transaction,
  transactionWeight,
  unsignedInput,
  withWitness,
} from "../../core/transactions/transaction.ts";
import {
  addFee,
  type CoinSource,
  fundChild,
  type WalletCoin,
} from "../../gateway/chain/fee-payer.ts";
import { InsufficientFunds } from "../../gateway/chain/insufficient-funds.ts";
import type { SweepRequest, SweepWallet } from "../../gateway/chain/sweep-wallet.ts";
import type { SimChain } from "./sim-chain.ts";
import { COINBASE_MATURITY } from "./sim-rules.ts";

interface WalletKey {
  readonly secret: SecretKey;
  readonly key: PublicKey;
}

const REPLACEABLE = 0xfffffffd;
const INPUT_WEIGHT = 272;

export class SimWallet implements ChainWallet, SweepWallet {
  readonly #chain: SimChain;
  readonly #name: string;
  /** By script, hexadecimal. */
  readonly #keys = new Map<string, WalletKey>();
  readonly #locked = new Set<string>();
  readonly #coinSource: CoinSource;

  constructor(chain: SimChain, name: string) {
    this.#chain = chain;
    this.#name = name;
    this.#coinSource = {
      select: async (amount, feeratePerKw) => this.#select(amount, feeratePerKw),
      coin: async (outpoint) => this.#coin(outpoint),
      sign: async (transaction, coins) => this.#sign(transaction, coins),
      newScript: () => this.newScript(),
      unlock: async (coins) => this.#unlock(coins.map((coin) => coin.outpoint)),
    };
  }

  async newScript(): Promise<Uint8Array> {
    return this.nextScript();
  }

  /** The same without a promise, for simulations that must not yield. */
  nextScript(): Uint8Array {
    const { crypto } = this.#chain;
    const secret = secretKey(crypto.sha256(ascii(`sim wallet ${this.#name} ${this.#keys.size}`)));
    const key = crypto.publicKeyOf(secret);
    const script = p2wpkh(crypto, key);
    this.#keys.set(toHex(script), { secret, key });
    return script;
  }

  /** It holds the key of this script. */
  owns(script: Uint8Array): boolean {
    return this.#keys.has(toHex(script));
  }

  async balance(): Promise<Satoshi> {
    const all = this.#mine().reduce((sum, coin) => sum + coin.output.amount, 0);
    return satoshi(all);
  }

  async freeCoins(): Promise<number> {
    return this.#free().length;
  }

  async coins(): Promise<readonly WalletCoin[]> {
    return this.#free();
  }

  async sendAll({ coins, keep, script, feeratePerKw }: SweepRequest): Promise<Uint8Array> {
    const inside = coins.reduce((sum, coin) => sum + coin.output.amount, 0);
    const kept = keep > 0 ? [{ script: this.nextScript(), amount: keep }] : [];
    const inputs = coins.map((coin) => unsignedInput(coin.outpoint, REPLACEABLE));
    const paying = (amount: number) => ({
      version: 2,
      inputs,
      outputs: [{ script, amount: satoshi(amount) }, ...kept],
      locktime: 0,
    });
    const bare = transactionWeight({ ...paying(0), inputs: [] }) + 2;
    const fee = Math.ceil((feeratePerKw * (bare + inputs.length * INPUT_WEIGHT)) / 1000);
    const rest = inside - keep - fee;
    if (rest < dustThreshold(script)) {
      throw new InsufficientFunds(`of ${inside} sat ${rest} are left after the fee of ${fee} sat`);
    }
    for (const { outpoint } of coins) this.#locked.add(outpointKey(outpoint));
    return serializeTransaction(this.#sign(paying(rest), coins));
  }

  async resign(raw: Uint8Array, outputs: readonly TxOutput[]): Promise<Uint8Array> {
    const { inputs, ...rest } = parseTransaction(raw);
    const coins = inputs.map(({ outpoint }) => {
      const coin = this.#coin(outpoint);
      if (!coin) throw new Error(`the coin ${outpointKey(outpoint)} is gone`);
      return coin;
    });
    const bare = inputs.map(({ outpoint, sequence }) => unsignedInput(outpoint, sequence));
    return serializeTransaction(this.#sign({ ...rest, inputs: bare, outputs }, coins));
  }

  async fund(outputs: readonly TxOutput[], feeratePerKw: number): Promise<Uint8Array> {
    const target = outputs.reduce((sum, output) => sum + output.amount, 0);
    const bare = { version: 2, inputs: [], outputs, locktime: 0 };
    const fixed = transactionWeight(bare) + 2 + 4 * 31;
    const fee = (inputs: number) =>
      Math.ceil((feeratePerKw * (fixed + inputs * INPUT_WEIGHT)) / 1000);
    const coins = this.#select(satoshi(target + fee(0)), feeratePerKw);
    const changeScript = this.nextScript();
    const inside = coins.reduce((sum, coin) => sum + coin.output.amount, 0);
    const change = inside - target - fee(coins.length);
    const withChange =
      change >= dustThreshold(changeScript)
        ? [...outputs, { script: changeScript, amount: satoshi(change) }]
        : outputs;
    const inputs = coins.map((coin) => unsignedInput(coin.outpoint, REPLACEABLE));
    return serializeTransaction(this.#sign({ ...bare, inputs, outputs: withChange }, coins));
  }

  fundChild(request: ChildRequest): Promise<Uint8Array> {
    return fundChild(this.#coinSource, request);
  }

  addFee(raw: Uint8Array, inputs: readonly TxOutput[], feeratePerKw: number): Promise<Uint8Array> {
    return addFee(this.#coinSource, raw, inputs, feeratePerKw);
  }

  async release(raw: Uint8Array, named: readonly Outpoint[] = []): Promise<void> {
    this.#unlock(
      parseTransaction(raw)
        .inputs.map((input) => input.outpoint)
        .filter((outpoint) => !named.some((one) => sameOutpoint(one, outpoint))),
    );
  }

  #select(amount: Satoshi, feeratePerKw: number): WalletCoin[] {
    const free = this.#free().sort((a, b) => b.output.amount - a.output.amount);
    const costOfOne = Math.ceil((feeratePerKw * INPUT_WEIGHT) / 1000);
    const chosen: WalletCoin[] = [];
    let worth = 0;
    for (const coin of free) {
      if (worth >= amount) break;
      chosen.push(coin);
      worth += coin.output.amount - costOfOne;
    }
    if (worth < amount) {
      throw new InsufficientFunds(`the wallet "${this.#name}" has ${worth} sat free of ${amount}`);
    }
    for (const { outpoint } of chosen) this.#locked.add(outpointKey(outpoint));
    return chosen;
  }

  #free(): WalletCoin[] {
    const spent = new Set(this.#chain.mempool.entries().flatMap((e) => e.transaction.spends));
    return this.#mine().filter(({ outpoint }) => {
      const key = outpointKey(outpoint);
      return !this.#locked.has(key) && !spent.has(key);
    });
  }

  #mine(): WalletCoin[] {
    const next = this.#chain.next().height;
    const coins: WalletCoin[] = [];
    for (const [key, coin] of this.#chain.coins()) {
      if (!this.#keys.has(toHex(coin.output.script))) continue;
      if (coin.coinbase && next - coin.height < COINBASE_MATURITY) continue;
      const outpoint = { txid: txid(fromHex(key.slice(0, 64))), vout: Number(key.slice(65)) };
      coins.push({ outpoint, output: coin.output });
    }
    return coins;
  }

  #coin(outpoint: Outpoint): WalletCoin | undefined {
    const coin = this.#chain.coin(outpoint);
    return coin && this.#keys.has(toHex(coin.output.script))
      ? { outpoint, output: coin.output }
      : undefined;
  }

  #sign(transaction: Transaction, coins: readonly WalletCoin[]): Transaction {
    const { crypto } = this.#chain;
    let signed = transaction;
    for (const [index, input] of transaction.inputs.entries()) {
      const coin = coins.find(({ outpoint }) => sameOutpoint(outpoint, input.outpoint));
      const key = coin && this.#keys.get(toHex(coin.output.script));
      if (!coin || !key) continue;
      const spent = {
        amount: coin.output.amount,
        scriptCode: p2wpkhScriptCode(crypto, key.key),
      };
      const hash = segwitSighash(crypto, transaction, index, spent);
      const signature = toDer(crypto.sign(hash, key.secret), SIGHASH_ALL);
      signed = withWitness(signed, index, [signature, key.key]);
    }
    return signed;
  }

  #unlock(outpoints: readonly Outpoint[]): void {
    for (const { txid: id, vout } of outpoints)
      this.#locked.delete(outpointKey({ txid: id, vout }));
  }
}
