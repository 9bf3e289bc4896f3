/** What the demo does to the chain and asks of it: mines, publishes what a cheater kept, follows the money of a channel to its last output. */
import type { BlockEvent, ChainSource, Outpoint } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { blockHeight, satoshi, txid } from "../../core/primitives/brands.ts";
import { equal, fromHex, toHex } from "../../core/primitives/bytes.ts";
import { p2aScript } from "../../core/transactions/script.ts";
import {
  outpointKey,
  parseTransaction,
  type Transaction,
  transactionId,
} from "../../core/transactions/transaction.ts";
import type { JsonObject } from "../../gateway/api/event-json.ts";
import { toDisplay } from "../../gateway/chain/bitcoind/units.ts";
import type { ChainLab } from "../chain/lab.ts";
import type { Methods } from "../processes/control.ts";

/** Where the satoshis of some funding outputs went. */
export interface Audit {
  readonly funded: number;
  /** Confirmed and unspent, by script in hexadecimal, as the chain's UTXO set says. */
  readonly held: Readonly<Record<string, number>>;
  readonly fees: number;
  /** Spent together with others' coins to pay for confirmation. */
  readonly anchors: number;
  readonly unaccounted: number;
  readonly transactions: readonly string[];
}

interface Traced {
  readonly transaction: Transaction;
  readonly txid: string;
}

const CHEATER = "mallory";
const CHEATER_FEERATE_PER_KW = 5000;

export class ChainDesk {
  /** By outpoint: what spends it, as the blocks tell. */
  private readonly spends = new Map<string, Traced>();

  private constructor(
    private readonly lab: ChainLab,
    private readonly crypto: Crypto,
    private readonly source: ChainSource,
  ) {}

  static async open(lab: ChainLab, crypto: Crypto): Promise<ChainDesk> {
    const source = await lab.source();
    const desk = new ChainDesk(lab, crypto, source);
    const from = blockHeight((await lab.height()) + 1);
    source.subscribe(
      { blockConnected: (block) => desk.block(block), blockDisconnected: () => {} },
      from,
    );
    return desk;
  }

  methods(): Methods {
    return {
      chainName: () => this.lab.name,
      height: () => this.lab.height(),
      mine: async ({ blocks }: JsonObject) => this.lab.mine(blocks as number),
      follow: ({ txid: id, vout }: JsonObject) => {
        const outpoint = { txid: txid(fromHex(id as string).reverse()), vout: vout as number };
        this.source.watchOutpoint(outpoint);
      },
      cheat: ({ raw }: JsonObject) => this.cheat(fromHex(raw as string)),
      audit: async ({ fundings, scripts }: JsonObject) =>
        (await this.audit(
          fundings as unknown as readonly Funding[],
          scripts as readonly string[],
        )) as unknown as JsonObject,
    };
  }

  private block({ transactions }: BlockEvent): void {
    for (const { raw } of transactions) {
      const transaction = parseTransaction(raw);
      const id = transactionId(this.crypto, transaction);
      const traced = { transaction, txid: toDisplay(id) };
      for (const { outpoint } of transaction.inputs) this.spends.set(outpointKey(outpoint), traced);
      transaction.outputs.forEach((_, vout) => {
        this.source.watchOutpoint({ txid: id, vout });
      });
    }
  }

  /** Publishes a revoked commitment with a child that pays for it: the anchor is anyone's to spend. */
  private async cheat(raw: Uint8Array): Promise<JsonObject> {
    const transaction = parseTransaction(raw);
    const id = transactionId(this.crypto, transaction);
    const vout = transaction.outputs.findIndex(({ script }) => equal(script, p2aScript()));
    const anchorOutput = transaction.outputs[vout];
    if (!anchorOutput) throw new Error("the commitment has no shared anchor");
    const wallet = await this.lab.wallet(CHEATER);
    const child = await wallet.fundChild({
      parents: [raw],
      parentsFee: satoshi(0),
      anchor: { txid: id, vout },
      anchorOutput,
      version: 3,
      feeratePerKw: CHEATER_FEERATE_PER_KW,
    });
    const result = await this.source.broadcastPackage([raw, child]);
    if (!result.ok) throw new Error(`the chain refused the revoked commitment: ${result.reason}`);
    return { txid: toDisplay(id) };
  }

  private async audit(fundings: readonly Funding[], scripts: readonly string[]): Promise<Audit> {
    const wanted = new Set(scripts);
    let anchors = 0;
    let fees = 0;
    const transactions = new Set<string>();
    const follow = (outpoint: Outpoint): void => {
      const spend = this.spends.get(outpointKey(outpoint));
      if (!spend || transactions.has(spend.txid)) return;
      transactions.add(spend.txid);
      const { inputs, outputs } = spend.transaction;
      const paid = outputs.reduce((sum, { amount }) => sum + amount, 0);
      fees += inputs.reduce((sum, one) => sum + this.amountOf(one.outpoint, fundings), 0) - paid;
      outputs.forEach(({ script, amount }, vout) => {
        const next = { txid: transactionId(this.crypto, spend.transaction), vout };
        if (equal(script, p2aScript())) anchors += amount;
        else if (!wanted.has(toHex(script))) follow(next);
      });
    };
    for (const { txid: id, vout } of fundings) {
      follow({ txid: txid(fromHex(id).reverse()), vout });
    }
    const held: Record<string, number> = {};
    for (const script of wanted) held[script] = await this.lab.sumOfScripts([fromHex(script)]);
    const funded = fundings.reduce((sum, { amount }) => sum + amount, 0);
    const owned = Object.values(held).reduce((sum, amount) => sum + amount, 0);
    const unaccounted = funded - owned - fees - anchors;
    return { funded, held, fees, anchors, unaccounted, transactions: [...transactions] };
  }

  /** Of a funding output, or of an output of a transaction on the way. */
  private amountOf(outpoint: Outpoint, fundings: readonly Funding[]): number {
    const id = toDisplay(outpoint.txid);
    const funding = fundings.find((one) => one.txid === id && one.vout === outpoint.vout);
    if (funding) return funding.amount;
    const parent = [...this.spends.values()].find((one) => one.txid === id);
    const amount = parent?.transaction.outputs[outpoint.vout]?.amount;
    if (amount === undefined)
      throw new Error(`the coin ${id}:${outpoint.vout} is of unknown origin`);
    return amount;
  }
}

export interface Funding {
  readonly txid: string;
  readonly vout: number;
  readonly amount: number;
}
