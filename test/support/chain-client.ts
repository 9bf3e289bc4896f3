/** A device's chain client with what it said and what it was told, and blocks to tell it of. */
import { type Checkpoint, genesisCheckpoint } from "../../core/chain/headers.ts";
import { merkleBranch, merkleRoot } from "../../core/chain/merkle.ts";
import { REGTEST } from "../../core/chain/networks.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { ChainClient } from "../../core/node/chain-client.ts";
import { satoshi, type Txid } from "../../core/primitives/brands.ts";
import { concat } from "../../core/primitives/bytes.ts";
import {
  serializeTransaction,
  transactionId,
  unsignedInput,
} from "../../core/transactions/transaction.ts";
import { crypto, mineHeader } from "../chain/synthetic-headers.ts";

export const GENESIS = genesisCheckpoint(REGTEST);
export const FEERATES = { now: 3, soon: 2, economy: 1 };

/** A device's client and what it said. */
export class Client {
  readonly sent: Message[] = [];
  readonly tips: number[] = [];
  readonly refused: string[] = [];
  readonly proven: string[] = [];
  readonly told: string[] = [];
  readonly checkpoints: Checkpoint[] = [];
  readonly client: ChainClient;
  now: number | undefined;

  constructor(checkpoint: Checkpoint = GENESIS, verifiedAtSeconds?: number) {
    this.client = new ChainClient({
      crypto,
      network: REGTEST,
      checkpoint,
      verifiedAtSeconds,
      nowSeconds: () => this.now,
      send: (message) => {
        this.sent.push(message);
        return true;
      },
      events: {
        onTip: (height) => this.tips.push(height),
        onProven: (_, height) => this.proven.push(`${height}`),
        onRefused: (reason) => this.refused.push(reason),
        onPublished: () => {},
        onCheckpoint: (one) => this.checkpoints.push(one),
      },
    });
    this.client.feed({
      channels: () => [],
      setFeerates: () => {},
      rewind: (height: number) => this.told.push(`rewind ${height}`),
      blockConnected: ({ height }: { height: number }) => this.told.push(`block ${height}`),
      transactionConfirmed: (_: Uint8Array, height: number) => this.told.push(`tx ${height}`),
      reconsider: () => this.told.push("reconsider"),
    } as never);
  }

  headers(
    fromHeight: number,
    headers: readonly Uint8Array[],
    tipHeight = fromHeight - 1 + headers.length,
  ) {
    for (let at = 0; at < headers.length; at += 30) {
      this.client.receive({
        type: "chain_headers",
        fromHeight: fromHeight + at,
        headers: concat(...headers.slice(at, at + 30)),
        tipHeight,
        feeratesPerKw: FEERATES,
      });
    }
  }

  get subscriptions(): readonly number[] {
    return this.sent.flatMap((one) => (one.type === "chain_subscribe" ? [one.fromHeight] : []));
  }
}

/** A transaction that pays to a watched outpoint's place, and a block that holds it. */
export function transactionOf(salt: number, outputs = 1): { raw: Uint8Array; txid: Txid } {
  const transaction = {
    version: 2,
    inputs: [unsignedInput({ txid: new Uint8Array(32).fill(salt) as Txid, vout: 0 }, 0xffffffff)],
    outputs: Array.from({ length: outputs }, () => ({
      script: new Uint8Array(22).fill(1),
      amount: satoshi(1000 + salt),
    })),
    locktime: 0,
  };
  return { raw: serializeTransaction(transaction), txid: transactionId(crypto, transaction) };
}

export function blockWith(previous: Uint8Array, salts: readonly number[]) {
  const all = salts.map((salt) => transactionOf(salt));
  const txids = all.map(({ txid }) => txid);
  const header = mineHeader(previous, { merkleRoot: merkleRoot(crypto, txids) });
  const proofOf = (index: number, height: number): MessageNamed<"chain_transaction"> => ({
    type: "chain_transaction",
    raw: (all[index] as { raw: Uint8Array }).raw,
    height,
    index,
    branch: merkleBranch(crypto, txids, index),
  });
  return { header, all, proofOf };
}
