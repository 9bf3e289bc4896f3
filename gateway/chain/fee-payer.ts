/**
 * Puts a wallet's coins into transactions that pay for others: children of anchors (BOLT 5, BIP 431) and fees for
 * SINGLE|ANYONECANPAY inputs (BOLT 3). Which coins is the wallet's choice; here is only the arithmetic.
 */
import type { ChildRequest, Outpoint, TxOutput } from "../../core/ports/chain.ts";
import { type Satoshi, satoshi } from "../../core/primitives/brands.ts";
import { dustThreshold } from "../../core/transactions/script.ts";
import {
  parseTransaction,
  sameOutpoint,
  serializeTransaction,
  type Transaction,
  transactionVsize,
  transactionWeight,
  unsignedInput,
  witnessWeight,
} from "../../core/transactions/transaction.ts";
import { MAX_TRUC_CHILD_WEIGHT, MAX_TRUC_WEIGHT } from "../../core/transactions/weights.ts";
import { InsufficientFunds } from "./insufficient-funds.ts";

export interface WalletCoin {
  readonly outpoint: Outpoint;
  readonly output: TxOutput;
}

/** What a wallet must be able to do. */
export interface CoinSource {
  /** Confirmed coins worth at least `amount` beside what spending them costs; set aside. Throws InsufficientFunds. */
  select(amount: Satoshi, feeratePerKw: number): Promise<readonly WalletCoin[]>;
  /** A confirmed coin of this wallet, spent by the mempool or not. */
  coin(outpoint: Outpoint): Promise<WalletCoin | undefined>;
  /** The transaction with the inputs that spend `coins` signed, the others left alone; `spent` is what each input spends. */
  sign(
    transaction: Transaction,
    coins: readonly WalletCoin[],
    spent: readonly TxOutput[],
  ): Promise<Transaction>;
  newScript(): Promise<Uint8Array>;
  unlock(coins: readonly WalletCoin[]): Promise<void>;
}

const REPLACEABLE = 0xfffffffd;
/** A replacement pays for its own relay beside what it replaces (BIP 125 rule 4); also the least feerate of anything. */
const RELAY_PER_KW = 250;
const P2WPKH_INPUT_WEIGHT = 272;
const MAX_ROUNDS = 6;
const MAX_STANDARD_WEIGHT = 400_000;

export async function fundChild(wallet: CoinSource, request: ChildRequest): Promise<Uint8Array> {
  const parents = request.parents.map(parseTransaction);
  const parentsWeight = parents.reduce((sum, parent) => sum + 4 * transactionVsize(parent), 0);
  const { replaced, coins } = await coinsOfReplaced(wallet, request);
  const anchorWeight = request.keyedAnchor?.witnessWeight ?? witnessWeight([]);
  const feeFor = (childWeight: number) => {
    const whole = Math.ceil((request.feeratePerKw * (parentsWeight + childWeight)) / 1000);
    const own = Math.ceil((RELAY_PER_KW * childWeight) / 1000);
    const fee = Math.max(whole - request.parentsFee, own);
    if (replaced === undefined) return fee;
    const outbid = Math.floor((replaced.fee * childWeight) / replaced.weight) + 1;
    return Math.max(fee, replaced.fee + own, outbid);
  };
  const signed = await pay(wallet, {
    base: {
      version: request.version,
      inputs: [unsignedInput(request.anchor, REPLACEABLE)],
      outputs: [],
      locktime: 0,
    },
    baseInputs: [request.anchorOutput],
    missingWitnessWeight: anchorWeight - witnessWeight([]),
    coins,
    feeratePerKw: request.feeratePerKw,
    feeFor,
    maxWeight: request.version === 3 ? MAX_TRUC_CHILD_WEIGHT : MAX_STANDARD_WEIGHT,
  });
  const { keyedAnchor } = request;
  if (keyedAnchor === undefined) return serializeTransaction(signed);
  const witness = keyedAnchor.sign(serializeTransaction(signed, { witness: false }), 0);
  const inputs = signed.inputs.map((input, i) => (i === 0 ? { ...input, witness } : input));
  return serializeTransaction({ ...signed, inputs });
}

/** Where the transaction pays `feeratePerKw` already, it comes back as it was. Throws RangeError where it would spend our coins on its outputs. */
export async function addFee(
  wallet: CoinSource,
  raw: Uint8Array,
  inputs: readonly TxOutput[],
  feeratePerKw: number,
): Promise<Uint8Array> {
  const base = parseTransaction(raw);
  if (inputs.length !== base.inputs.length) {
    throw new RangeError("addFee needs the output that each input spends");
  }
  // The wallet pays a fee and nothing else: the outputs may be those of whoever asked for it (rule `wallet-pays-fees-alone`).
  if (sum(base.outputs) > sum(inputs)) {
    throw new RangeError("the transaction pays out more than it spends: only its fee is added");
  }
  const feeFor = (weight: number) => Math.ceil((feeratePerKw * weight) / 1000);
  const paid = sum(inputs) - sum(base.outputs);
  if (paid >= feeFor(transactionWeight(base))) return raw;
  const signed = await pay(wallet, {
    base,
    baseInputs: inputs,
    missingWitnessWeight: 0,
    coins: [],
    feeratePerKw,
    feeFor,
    maxWeight: base.version === 3 ? MAX_TRUC_WEIGHT : MAX_STANDARD_WEIGHT,
  });
  return serializeTransaction(signed);
}

interface Payment {
  readonly base: Transaction;
  /** What the inputs of `base` spend. */
  readonly baseInputs: readonly TxOutput[];
  /** Witness that comes later, beyond what `base` shows. */
  readonly missingWitnessWeight: number;
  readonly coins: readonly WalletCoin[];
  readonly feeratePerKw: number;
  feeFor(weight: number): number;
  readonly maxWeight: number;
}

/** Adds coins until they pay the fee, and gives the rest back in one output. */
async function pay(wallet: CoinSource, payment: Payment): Promise<Transaction> {
  const changeScript = await wallet.newScript();
  const dust = dustThreshold(changeScript);
  const given = sum(payment.baseInputs) - sum(payment.base.outputs);
  let coins = payment.coins;
  try {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const spent = [...payment.baseInputs, ...coins.map((coin) => coin.output)];
      const sign = (change: number) =>
        wallet.sign(withCoins(payment.base, coins, changeScript, change), coins, spent);
      const draft = await sign(dust);
      const weight = 4 * Math.ceil((transactionWeight(draft) + payment.missingWitnessWeight) / 4);
      if (weight > payment.maxWeight) {
        throw new InsufficientFunds(
          `the wallet's coins are too small: ${coins.length} of them make a transaction of ` +
            `${weight} weight units, at most ${payment.maxWeight} are relayed; consolidate them`,
        );
      }
      const change = given + sum(coins.map((coin) => coin.output)) - payment.feeFor(weight);
      if (change >= dust && coins.length > 0) {
        return await sign(change);
      }
      const oneMore = payment.feeFor(weight + P2WPKH_INPUT_WEIGHT) - payment.feeFor(weight);
      const missing = Math.max(dust - change + oneMore, dust);
      coins = [...coins, ...(await wallet.select(satoshi(missing), payment.feeratePerKw))];
    }
    throw new InsufficientFunds(`no set of coins pays the fee after ${MAX_ROUNDS} attempts`);
  } catch (error) {
    await wallet.unlock(coins.filter((coin) => !payment.coins.includes(coin)));
    throw error;
  }
}

function withCoins(
  base: Transaction,
  coins: readonly WalletCoin[],
  changeScript: Uint8Array,
  change: number,
): Transaction {
  return {
    ...base,
    inputs: [...base.inputs, ...coins.map((coin) => unsignedInput(coin.outpoint, REPLACEABLE))],
    outputs: [...base.outputs, { script: changeScript, amount: satoshi(change) }],
  };
}

/** The replaced child's own coins, and what it paid. */
async function coinsOfReplaced(wallet: CoinSource, request: ChildRequest) {
  if (request.replaces === undefined) return { replaced: undefined, coins: [] };
  const old = parseTransaction(request.replaces);
  const coins: WalletCoin[] = [];
  for (const { outpoint } of old.inputs) {
    if (sameOutpoint(outpoint, request.anchor)) continue;
    const coin = await wallet.coin(outpoint);
    if (coin === undefined) throw new Error("the child to replace spends a coin that is gone");
    coins.push(coin);
  }
  const spent = sum(coins.map((coin) => coin.output)) + request.anchorOutput.amount;
  return {
    replaced: { fee: spent - sum(old.outputs), weight: 4 * transactionVsize(old) },
    coins,
  };
}

function sum(outputs: readonly TxOutput[]): number {
  return outputs.reduce((total, output) => total + output.amount, 0);
}
