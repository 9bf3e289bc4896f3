/** Follows a channel's money on chain from its funding output on, independently of the nodes, and says where every satoshi is. */
import type { ConfirmedTransaction, Outpoint } from "../../core/ports/chain.ts";
import type { BlockHeight } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import {
  outpointKey,
  parseTransaction,
  type Transaction,
} from "../../core/transactions/transaction.ts";
import type { ChainLab } from "./chain-lab.ts";

type Owner = "a" | "b" | "left" | "shared";

export interface Account {
  /** What each side has on chain, with the fees of the transactions that paid it alone. */
  readonly a: number;
  readonly b: number;
  /** Of them, fees. */
  readonly feesOfA: number;
  readonly feesOfB: number;
  /** Fees of transactions that both gain from (the commitment, the mutual close), with what was rounded and trimmed. */
  readonly shared: number;
  /** Anchors that went into the fee of a child which a wallet paid for. */
  readonly anchorsSpent: number;
  /** Outputs that nobody spends: anchors, and what was given up. */
  readonly left: readonly { readonly outpoint: Outpoint; readonly amount: number }[];
}

interface Seen {
  readonly transaction: Transaction;
  readonly txid: Uint8Array;
  readonly height: BlockHeight;
}

const P2WPKH_BYTES = 22;

export class Auditor {
  private readonly seen = new Map<string, Seen>();
  private readonly tracked = new Map<string, number>();

  private constructor(
    private readonly lab: ChainLab,
    private readonly funding: Outpoint,
    private readonly fundingSatoshis: number,
    private readonly payouts: { readonly a: Uint8Array; readonly b: Uint8Array },
  ) {}

  static async start(
    lab: ChainLab,
    channel: { readonly funding: Outpoint; readonly fundingSatoshis: number },
    payouts: { readonly a: Uint8Array; readonly b: Uint8Array },
  ): Promise<{ readonly auditor: Auditor; close(): Promise<void> }> {
    const auditor = new Auditor(lab, channel.funding, channel.fundingSatoshis, payouts);
    auditor.tracked.set(outpointKey(channel.funding), channel.fundingSatoshis);
    const source = await lab.source();
    source.watchOutpoint(channel.funding);
    source.subscribe(
      {
        blockConnected: ({ transactions }) => {
          for (const one of transactions) auditor.see(one, (made) => source.watchOutpoint(made));
        },
        blockDisconnected: (height) => auditor.forget(height),
      },
      await lab.height(),
    );
    return { auditor, close: () => source.close() };
  }

  /** Confirmed transactions of the channel, oldest first. */
  get transactions(): readonly Seen[] {
    return [...this.seen.values()].sort((x, y) => x.height - y.height);
  }

  /** Throws where the chain's unspent outputs say anything else than the transactions. */
  async account(): Promise<Account> {
    const sums = { a: 0, b: 0, feesOfA: 0, feesOfB: 0, shared: 0, anchorsSpent: 0 };
    const left: { outpoint: Outpoint; amount: number }[] = [];
    for (const { transaction, txid } of this.transactions) {
      const inside = transaction.inputs.reduce(
        (sum, { outpoint }) => sum + (this.tracked.get(outpointKey(outpoint)) ?? 0),
        0,
      );
      let outside = 0;
      transaction.outputs.forEach(({ script, amount }, vout) => {
        const outpoint = { txid: txid as never, vout };
        if (!this.tracked.has(outpointKey(outpoint))) return;
        outside += amount;
        if (equal(script, this.payouts.a)) sums.a += amount;
        else if (equal(script, this.payouts.b)) sums.b += amount;
        else if (!this.spenderOf(outpoint)) left.push({ outpoint, amount });
      });
      const fee = inside - outside;
      const owner = this.ownerOf({ transaction, txid });
      if (owner === "a") sums.feesOfA += fee;
      else if (owner === "b") sums.feesOfB += fee;
      else if (outside === 0) sums.anchorsSpent += fee;
      else sums.shared += fee;
    }
    await this.compareWithChain(sums, left);
    const { feesOfA, feesOfB } = sums;
    const account = { ...sums, a: sums.a + feesOfA, b: sums.b + feesOfB, left };
    const leftSum = left.reduce((sum, { amount }) => sum + amount, 0);
    const all = account.a + account.b + account.shared + account.anchorsSpent + leftSum;
    if (all !== this.fundingSatoshis) throw new Error(`unaccounted: ${this.fundingSatoshis - all}`);
    return account;
  }

  private async compareWithChain(
    { a, b }: { readonly a: number; readonly b: number },
    left: Account["left"],
  ): Promise<void> {
    const onChain = [
      await this.lab.sumOfScripts([this.payouts.a]),
      await this.lab.sumOfScripts([this.payouts.b]),
    ];
    if (onChain[0] !== a || onChain[1] !== b) {
      throw new Error(`the chain holds ${onChain.join(" and ")} sat, traced were ${a} and ${b}`);
    }
    for (const { outpoint, amount } of left) {
      const found = await this.lab.utxo(outpoint);
      if (found?.amount !== amount) throw new Error(`${outpointKey(outpoint)} is not on the chain`);
    }
  }

  private see({ raw, txid, height }: ConfirmedTransaction, watch: (made: Outpoint) => void): void {
    const transaction = parseTransaction(raw);
    const isOurs = ({ outpoint }: { readonly outpoint: Outpoint }) =>
      this.tracked.has(outpointKey(outpoint));
    if (!transaction.inputs.some(isOurs)) return;
    const withWallet = !transaction.inputs.every(isOurs);
    this.seen.set(toHex(txid), { transaction, txid, height });
    transaction.outputs.forEach(({ script, amount }, vout) => {
      const isPayout = equal(script, this.payouts.a) || equal(script, this.payouts.b);
      const isChange = withWallet && script.length === P2WPKH_BYTES && !isPayout;
      if (isChange) return;
      this.tracked.set(outpointKey({ txid, vout }), amount);
      if (!isPayout) watch({ txid, vout });
    });
  }

  private forget(height: BlockHeight): void {
    for (const [key, seen] of this.seen) {
      if (seen.height < height) continue;
      this.seen.delete(key);
      seen.transaction.outputs.forEach((_, vout) => {
        this.tracked.delete(outpointKey({ txid: seen.txid as never, vout }));
      });
    }
    this.tracked.set(outpointKey(this.funding), this.fundingSatoshis);
  }

  private spenderOf(outpoint: Outpoint): Seen | undefined {
    return [...this.seen.values()].find(({ transaction }) =>
      transaction.inputs.some((input) => outpointKey(input.outpoint) === outpointKey(outpoint)),
    );
  }

  /** Whoever gets all that a transaction makes, now or by later ones. */
  private ownerOf({ transaction, txid }: Pick<Seen, "transaction" | "txid">): Owner {
    const owners = new Set<Owner>();
    transaction.outputs.forEach(({ script }, vout) => {
      const outpoint = { txid: txid as never, vout };
      if (!this.tracked.has(outpointKey(outpoint))) return;
      if (equal(script, this.payouts.a)) owners.add("a");
      else if (equal(script, this.payouts.b)) owners.add("b");
      else {
        const spender = this.spenderOf(outpoint);
        owners.add(spender ? this.ownerOf(spender) : "left");
      }
    });
    const [only] = owners;
    const isCommitment = transaction.inputs.some(
      ({ outpoint }) => outpointKey(outpoint) === outpointKey(this.funding),
    );
    return owners.size === 1 && only && !isCommitment ? only : "shared";
  }
}
