/** Makes funding transactions for devices from the gateway's wallet: held back until the device says that its peer has signed. */
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import type { BroadcastResult, ChainWallet } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { type PublicKey, type Satoshi, type Txid, txid } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { parseTransaction, transactionId } from "../../core/transactions/transaction.ts";

/** Funding transactions that may be held back at a time. */
const MAX_HELD = 64;

export interface FundingServiceOptions {
  readonly crypto: Crypto;
  readonly wallet: ChainWallet;
  /** Satoshi per 1000 weight for a funding transaction. */
  feeratePerKw(): Promise<number>;
  broadcast(raw: Uint8Array): Promise<BroadcastResult>;
  /** Why this device gets no such funding; undefined: it does. */
  refusal(device: PublicKey, amount: Satoshi): string | undefined;
  send(device: PublicKey, message: Message): boolean;
  onFunded(device: PublicKey, id: Txid, amount: Satoshi): void;
  onProblem(text: string): void;
}

interface Held {
  readonly device: PublicKey;
  readonly raw: Uint8Array;
  readonly amount: Satoshi;
}

export class FundingService {
  private readonly held = new Map<string, Held>();

  constructor(private readonly options: FundingServiceOptions) {}

  /** True where the message was one of this service's. */
  receive(device: PublicKey, message: Message): boolean {
    if (message.type === "funding_request") {
      this.run(this.fund(device, message));
      return true;
    }
    if (message.type === "funding_release") {
      this.run(this.release(device, message));
      return true;
    }
    return false;
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) => {
      this.options.onProblem(`funding: ${cause instanceof Error ? cause.message : cause}`);
    });
  }

  private async fund(device: PublicKey, message: MessageNamed<"funding_request">): Promise<void> {
    const { wallet, crypto } = this.options;
    const { temporaryChannelId, script, amountSatoshis } = message;
    const answer = (id: Txid | undefined, vout: number, reason: string) =>
      this.options.send(device, {
        type: "funding_outpoint",
        temporaryChannelId,
        txid: id,
        vout,
        reason,
      });
    const refusal =
      this.held.size >= MAX_HELD
        ? "too many funding transactions are waiting"
        : this.options.refusal(device, amountSatoshis);
    if (refusal !== undefined) {
      answer(undefined, 0, refusal);
      return;
    }
    try {
      const output = { script: script.slice(), amount: amountSatoshis };
      const raw = await wallet.fund([output], await this.options.feeratePerKw());
      const transaction = parseTransaction(raw);
      const id = transactionId(crypto, transaction);
      const vout = transaction.outputs.findIndex((one) => equal(one.script, output.script));
      this.held.set(toHex(id), { device, raw, amount: amountSatoshis });
      answer(id, vout, "");
    } catch (cause) {
      answer(undefined, 0, (cause instanceof Error ? cause.message : String(cause)).slice(0, 200));
    }
  }

  private async release(
    device: PublicKey,
    message: MessageNamed<"funding_release">,
  ): Promise<void> {
    const key = toHex(message.txid);
    const held = this.held.get(key);
    if (!held || !equal(held.device, device)) return;
    if (!message.broadcast) {
      this.held.delete(key);
      await this.options.wallet.release(held.raw);
      return;
    }
    const result = await this.options.broadcast(held.raw);
    if (!result.ok) {
      this.options.onProblem(`the funding transaction was refused: ${result.reason}`);
      return;
    }
    this.held.delete(key);
    this.options.onFunded(device, txid(message.txid.slice()), held.amount);
  }
}
