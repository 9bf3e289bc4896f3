/** Brings transactions of one channel before bitcoinjs-lib and before a real node, and keeps what they said for a table. */
import { expect } from "vitest";
import type { Outpoint, TxOutput } from "../../core/ports/chain.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import {
  outpointKey,
  parseTransaction,
  serializeTransaction,
  type Transaction,
  transactionId,
} from "../../core/transactions/transaction.ts";
import { BitcoindRpc } from "../../gateway/chain/bitcoind/rpc.ts";
import type { ChainLab } from "../../host-sim/chain/lab.ts";
import { crypto } from "../support/channel-pair.ts";
import { bitcoinjsFigures, fittingSignatures, ownFigures } from "./bitcoinjs-judge.ts";

export interface Case {
  readonly kind: string;
  readonly transaction: Transaction;
  /** Unconfirmed: they go with it. */
  readonly parents?: readonly Transaction[];
  /** It pays no fee: only a block takes it. */
  readonly isFree?: boolean;
  /** Anyone may send it: it has no signature of ours. */
  readonly signatures?: number;
}

interface Decoded {
  readonly txid: string;
  readonly hash: string;
  readonly weight: number;
  readonly vsize: number;
}

interface Accepted {
  readonly allowed?: boolean;
  readonly "reject-reason"?: string;
}

export class Court {
  /** Kind → channel type → who agreed. */
  readonly verdicts = new Map<string, Map<string, string>>();
  private readonly made = new Map<string, TxOutput>();
  private readonly rpc: BitcoindRpc;

  constructor(readonly lab: ChainLab) {
    const { connection } = lab;
    if (!connection) throw new Error("a real node is needed");
    const { rpcPort: port, cookieFile } = connection;
    this.rpc = new BitcoindRpc({ port, auth: { cookieFile } });
  }

  close(): void {
    this.rpc.close();
  }

  /** Every judge agrees, or the test fails. */
  async judge(channelType: string, one: Case): Promise<void> {
    const { kind, transaction, parents = [], isFree = false, signatures = 1 } = one;
    const raw = serializeTransaction(transaction);
    for (const each of [...parents, transaction]) this.remember(each);
    const own = ownFigures(raw);
    expect(bitcoinjsFigures(raw), kind).toEqual(own);
    const spent = await Promise.all(transaction.inputs.map(({ outpoint }) => this.spent(outpoint)));
    const fitting = fittingSignatures(raw, spent);
    expect(fitting, `${kind}: signatures`).toBeGreaterThanOrEqual(signatures);

    const decoded = await this.rpc.call<Decoded>("decoderawtransaction", toHex(raw));
    const { txid, hash: wtxid, weight, vsize } = decoded;
    expect({ txid, wtxid, weight, vsize }, kind).toEqual(own);
    const judges = [`bitcoinjs (${fitting})`];
    if (!isFree) {
      const refusal = await this.refusal(transaction, parents);
      expect(refusal, `${kind} of ${channelType}`).toBeUndefined();
      judges.push("mempool");
    }
    await this.tryBlock([...parents, transaction]);
    judges.push("block");
    const row = this.verdicts.get(kind) ?? new Map<string, string>();
    row.set(channelType, judges.join(", "));
    this.verdicts.set(kind, row);
  }

  /** Why the node's mempool would not take it; undefined where it would. */
  async refusal(
    transaction: Transaction,
    parents: readonly Transaction[] = [],
  ): Promise<string | undefined> {
    const raws = [...parents, transaction].map((one) => toHex(serializeTransaction(one)));
    const found = await this.rpc.call<Accepted[]>("testmempoolaccept", raws);
    const refused = found.find(({ allowed }) => allowed !== true);
    return refused && (refused["reject-reason"] ?? JSON.stringify(refused));
  }

  /** Valid in a block that is made and checked, and not kept. */
  private async tryBlock(transactions: readonly Transaction[]): Promise<void> {
    const raws = transactions.map((one) => toHex(serializeTransaction(one)));
    await this.rpc.call("generateblock", "raw(51)", raws, false);
  }

  /** Into the mempool: alone, or as a package (BIP 431), which is one more verdict on these kinds. */
  async submit(
    channelType: string,
    transactions: readonly Transaction[],
    kinds: readonly string[],
  ): Promise<void> {
    for (const one of transactions) this.remember(one);
    const raws = transactions.map((one) => toHex(serializeTransaction(one)));
    if (raws.length === 1) await this.rpc.call("sendrawtransaction", raws[0]);
    else {
      const { package_msg: said } = await this.rpc.call<{ package_msg: string }>(
        "submitpackage",
        raws,
      );
      expect(said).toBe("success");
    }
    for (const kind of kinds) {
      const row = this.verdicts.get(kind);
      row?.set(channelType, `${row.get(channelType)}, package`);
    }
  }

  /** Into a block, past every policy. */
  async mine(transactions: readonly Transaction[]): Promise<void> {
    for (const one of transactions) this.remember(one);
    await this.lab.mine(1, { only: transactions.map((one) => serializeTransaction(one)) });
  }

  private remember(transaction: Transaction): void {
    const txid = transactionId(crypto, transaction);
    transaction.outputs.forEach((output, vout) => {
      this.made.set(outpointKey({ txid, vout }), output);
    });
  }

  private async spent(outpoint: Outpoint): Promise<TxOutput> {
    const found = this.made.get(outpointKey(outpoint)) ?? (await this.lab.utxo(outpoint));
    if (!found) throw new Error(`there is no output ${outpointKey(outpoint)}`);
    return found;
  }

  table(channelTypes: readonly string[]): string {
    const rows = [...this.verdicts].map(([kind, verdicts]) => [
      kind,
      ...channelTypes.map((type) => verdicts.get(type) ?? "-"),
    ]);
    return [["kind", ...channelTypes], ...rows]
      .map(
        ([kind = "", ...cells]) => `${kind.padEnd(38)}${cells.map((c) => c.padEnd(40)).join("")}`,
      )
      .join("\n");
  }
}

export const parsed = (raw: Uint8Array): Transaction => parseTransaction(raw);
