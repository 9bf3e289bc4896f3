/** An in-process Bitcoin chain: real headers with regtest proof of work, blocks from its mempool, reorganisations; no clock, no randomness. */
import { blockHash } from "../../core/chain/headers.ts";
import { merkleRoot } from "../../core/chain/merkle.ts";
import { genesisHeader, REGTEST } from "../../core/chain/networks.ts";
import { hashToNumber, targetOf } from "../../core/chain/work.ts";
import type { Outpoint, TxOutput } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { satoshi, txid } from "../../core/primitives/brands.ts";
import { concat } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { pushNumber } from "../../core/transactions/script.ts";
import { outpointKey, serializeTransaction } from "../../core/transactions/transaction.ts";
import { SimMempool } from "./sim-mempool.ts";
import { type BlockContext, type Coin, checkTransaction } from "./sim-rules.ts";
import { type SimTransaction, simTransaction } from "./sim-transaction.ts";

export interface SimBlock {
  readonly height: number;
  readonly hash: Uint8Array;
  readonly header: Uint8Array;
  readonly transactions: readonly SimTransaction[];
  /** What it spent, to be given back when it leaves. */
  readonly spent: readonly (readonly [key: string, coin: Coin])[];
}

const SECONDS_PER_BLOCK = 600;
const SUBSIDY = 5_000_000_000;
const HALVING_BLOCKS = 150;
const MAX_BLOCK_VSIZE = 998_000;
const MAX_KNOWN = 1_000;
const MEDIAN_BLOCKS = 11;
const HEADER_VERSION = 0x20000000;

export class SimChain {
  readonly crypto: Crypto;
  readonly genesisHash: Uint8Array;
  readonly mempool: SimMempool;
  readonly #blocks: SimBlock[] = [];
  readonly #coins = new Map<string, Coin>();
  readonly #listeners = new Set<() => void>();
  /** What was broadcast, by its bytes: publishers say it again with every block. */
  readonly #known = new Map<string, SimTransaction>();
  /** Differs between branches, so that no two blocks are the same. */
  #extraNonce = 0;

  constructor(crypto: Crypto) {
    this.crypto = crypto;
    const header = genesisHeader(REGTEST);
    this.genesisHash = blockHash(crypto, header);
    this.#blocks.push({ height: 0, hash: this.genesisHash, header, transactions: [], spent: [] });
    const coin = (key: string) => this.#coins.get(key);
    this.mempool = new SimMempool({ crypto, coin, next: () => this.next() });
  }

  /** Called after every block, every reorganisation and everything that enters the mempool. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  offChange(listener: () => void): void {
    this.#listeners.delete(listener);
  }

  get height(): number {
    return this.#blocks.length - 1;
  }

  block(height: number): SimBlock | undefined {
    return this.#blocks[height];
  }

  coin(outpoint: Outpoint): Coin | undefined {
    return this.#coins.get(outpointKey(outpoint));
  }

  /** All unspent outputs. */
  coins(): IterableIterator<[string, Coin]> {
    return this.#coins.entries();
  }

  next(): BlockContext {
    return { height: this.#blocks.length, medianTime: this.#medianTime() };
  }

  /** Undefined where it is in the mempool or a block now, else a node's words. */
  broadcast(raws: readonly Uint8Array[]): { readonly reason?: string; readonly txid?: Uint8Array } {
    let group: SimTransaction[];
    try {
      group = raws.map((raw) => this.#read(raw));
    } catch (error) {
      if (error instanceof ProtocolViolation) return { reason: "TX decode failed" };
      throw error;
    }
    const unconfirmed = group.filter((one) => !this.#isConfirmed(one));
    const last = group[group.length - 1];
    if (!last) return { reason: "an empty package" };
    const [single] = unconfirmed;
    const reason =
      single === undefined
        ? undefined
        : unconfirmed.length === 1
          ? this.mempool.accept(single)
          : this.mempool.acceptPackage(unconfirmed);
    this.#tell();
    return reason === undefined ? { txid: last.txid } : { reason };
  }

  /** Mines one block to `script`: the mempool's best, or exactly `only`; throws where those are not valid. */
  mineBlock(script: Uint8Array, only?: readonly Uint8Array[]): SimBlock {
    const block = this.#mine(script, only);
    this.#tell();
    return block;
  }

  /** Replaces the last `depth` blocks by `blocks` new ones; what they held returns to the mempool first. */
  reorg(
    depth: number,
    options: { script: Uint8Array; blocks: number; only?: readonly Uint8Array[] | undefined },
  ): void {
    if (depth < 1 || depth > this.height) throw new RangeError(`no ${depth} blocks to take away`);
    const returned: SimTransaction[][] = [];
    for (let i = 0; i < depth; i++) returned.unshift(this.#disconnect());
    this.mempool.refill(returned.flat());
    for (let i = 0; i < options.blocks; i++) {
      const only = i === 0 || options.only?.length === 0 ? options.only : undefined;
      this.#mine(options.script, only);
    }
    this.#tell();
  }

  #mine(script: Uint8Array, only: readonly Uint8Array[] | undefined): SimBlock {
    const chosen = only?.map((raw) => this.#read(raw));
    const transactions = chosen ?? this.mempool.best(MAX_BLOCK_VSIZE);
    const context = this.next();
    const spent: [string, Coin][] = [];
    let fees = 0;
    try {
      for (const transaction of transactions) {
        fees += this.#spend(transaction, context, spent);
      }
    } catch (error) {
      for (const [key, coin] of spent.reverse()) this.#coins.set(key, coin);
      for (const transaction of transactions) this.#forgetOutputs(transaction);
      throw error;
    }
    const coinbase = this.#coinbase(context.height, script, fees);
    this.#addOutputs(coinbase, context, true);
    const all = [coinbase, ...transactions];
    const header = this.#header(all);
    const block = {
      height: context.height,
      header,
      hash: blockHash(this.crypto, header),
      transactions: all,
      spent,
    };
    this.#blocks.push(block);
    this.mempool.confirmed(transactions);
    return block;
  }

  /** Checks by consensus alone, adds the outputs, and returns the fee. */
  #spend(transaction: SimTransaction, context: BlockContext, spent: [string, Coin][]): number {
    const outcome = checkTransaction(transaction, (key) => this.#coins.get(key), context);
    if (!outcome.ok) throw new Error(`not valid in a block: ${outcome.reason}`);
    const script = this.mempool.scriptRefusal(transaction, outcome.coins);
    if (script !== undefined) throw new Error(`not valid in a block: ${script}`);
    for (const [i, key] of transaction.spends.entries()) {
      spent.push([key, outcome.coins[i] as Coin]);
      this.#coins.delete(key);
    }
    this.#addOutputs(transaction, context, false);
    return outcome.fee;
  }

  #disconnect(): SimTransaction[] {
    const block = this.#blocks.pop() as SimBlock;
    const [coinbase, ...transactions] = block.transactions as [SimTransaction, ...SimTransaction[]];
    this.#forgetOutputs(coinbase);
    for (const transaction of transactions) this.#forgetOutputs(transaction);
    // What was both made and spent in this block is not brought back.
    const made = new Set(transactions.map(({ key }) => key));
    for (const [key, coin] of block.spent) {
      if (!made.has(key.slice(0, 64))) this.#coins.set(key, coin);
    }
    return transactions;
  }

  #addOutputs(transaction: SimTransaction, context: BlockContext, coinbase: boolean): void {
    transaction.parsed.outputs.forEach((output: TxOutput, vout) => {
      const unspendable = output.script[0] === 0x6a;
      const coin = { output, coinbase, ...context };
      if (!unspendable) this.#coins.set(outpointKey({ txid: transaction.txid, vout }), coin);
    });
  }

  #forgetOutputs(transaction: SimTransaction): void {
    transaction.scripts.forEach((_, vout) => {
      this.#coins.delete(outpointKey({ txid: transaction.txid, vout }));
    });
  }

  #read(raw: Uint8Array): SimTransaction {
    const bytes = Buffer.from(raw).toString("latin1");
    const transaction = this.#known.get(bytes) ?? simTransaction(this.crypto, raw);
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(bytes, transaction);
    return transaction;
  }

  #isConfirmed(transaction: SimTransaction): boolean {
    return transaction.scripts.some((_, vout) =>
      this.#coins.has(outpointKey({ txid: transaction.txid, vout })),
    );
  }

  #coinbase(height: number, script: Uint8Array, fees: number): SimTransaction {
    const subsidy = Math.floor(SUBSIDY / 2 ** Math.floor(height / HALVING_BLOCKS));
    this.#extraNonce++;
    const scriptSig = concat(pushNumber(height), pushNumber(this.#extraNonce + 1000));
    const raw = serializeTransaction({
      version: 2,
      inputs: [
        {
          outpoint: { txid: txid(new Uint8Array(32)), vout: 0xffffffff },
          sequence: 0xffffffff,
          scriptSig,
          witness: [],
        },
      ],
      outputs: [{ script, amount: satoshi(subsidy + fees) }],
      locktime: 0,
    });
    return simTransaction(this.crypto, raw);
  }

  #header(transactions: readonly SimTransaction[]): Uint8Array {
    const header = new Uint8Array(80);
    const view = new DataView(header.buffer);
    const previous = this.#blocks[this.#blocks.length - 1] as SimBlock;
    view.setUint32(0, HEADER_VERSION, true);
    header.set(previous.hash, 4);
    header.set(
      merkleRoot(
        this.crypto,
        transactions.map((one) => one.txid),
      ),
      36,
    );
    view.setUint32(68, timeOf(previous) + SECONDS_PER_BLOCK, true);
    view.setUint32(72, REGTEST.powLimitBits, true);
    const target = targetOf(REGTEST.powLimitBits) as bigint;
    for (let nonce = 0; ; nonce++) {
      view.setUint32(76, nonce, true);
      if (hashToNumber(blockHash(this.crypto, header)) <= target) return header;
    }
  }

  #medianTime(): number {
    const times = this.#blocks.slice(-MEDIAN_BLOCKS).map(timeOf);
    return times.sort((a, b) => a - b)[times.length >> 1] as number;
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

function timeOf(block: SimBlock): number {
  return new DataView(block.header.buffer, block.header.byteOffset).getUint32(68, true);
}
