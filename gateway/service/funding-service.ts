/** Makes funding transactions, for devices and for the gateway's own channels: held back until the peer has signed (BOLT 2 "funding_signed"). */
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import type { BroadcastResult, ChainWallet, Outpoint } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { PublicKey, Satoshi, Txid } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import { parseTransaction, transactionId } from "../../core/transactions/transaction.ts";
import type { HeldFunding, HeldFundings } from "./held-fundings.ts";

/** Funding transactions that may be held back at a time, and those of one device. */
export const MAX_HELD = 64;
export const MAX_HELD_BY_ONE = 4;
/** A device that says nothing for so long has given up: the coins are given back. */
export const HELD_BLOCKS = 144;
/** Of `funding_outpoint`, in characters; a node's words are ASCII. */
const MAX_REASON = 200;

export interface FundingServiceOptions {
  readonly crypto: Crypto;
  readonly wallet: ChainWallet;
  readonly held: HeldFundings;
  /** Satoshi per 1000 weight for a funding transaction. */
  feeratePerKw(): Promise<number>;
  broadcast(raw: Uint8Array): Promise<BroadcastResult>;
  height(): number;
  /** Why this device gets no such funding; undefined: it does. */
  refusal(device: PublicKey, amount: Satoshi): string | undefined;
  /** Whether the gateway has a channel of its own on this outpoint. */
  isOwnChannel(outpoint: Outpoint): boolean;
  /** Ends an opening of the gateway's own; `releaseOwn` follows. */
  abandonOwn(temporaryChannelId: Uint8Array): void;
  send(device: PublicKey, message: Message): boolean;
  onFunded(device: PublicKey, id: Txid, amount: Satoshi): void;
  onProblem(text: string): void;
}

export class FundingService {
  /** Being made, by device and temporary channel id. */
  private readonly making = new Set<string>();
  private turn: Promise<void> = Promise.resolve();

  constructor(private readonly options: FundingServiceOptions) {}

  /** True where the message was one of this service's. */
  receive(device: PublicKey, message: Message): boolean {
    if (message.type === "funding_request") {
      this.run(() => this.fund(device, message));
      return true;
    }
    if (message.type === "funding_release") {
      this.run(() => this.release(device, message));
      return true;
    }
    return false;
  }

  /** For a channel of the gateway's own: made, and durable, when it resolves. */
  async makeOwn(
    temporaryChannelId: Uint8Array,
    script: Uint8Array,
    amount: Satoshi,
  ): Promise<Outpoint> {
    return this.make({ device: undefined, temporaryChannelId }, script, amount);
  }

  /** The peer has signed. */
  async broadcastOwn(temporaryChannelId: Uint8Array): Promise<void> {
    const held = this.own(temporaryChannelId);
    if (held) await this.broadcast(held);
  }

  async releaseOwn(temporaryChannelId: Uint8Array): Promise<void> {
    const held = this.own(temporaryChannelId);
    if (held && !held.released) await this.giveBack(held);
  }

  /** After a start, once records are read: an opening does not survive it, a channel does. */
  async resume(): Promise<void> {
    for (const held of this.options.held.all()) {
      if (held.device) continue;
      const { txid, vout } = held;
      if (this.options.isOwnChannel({ txid, vout })) await this.broadcast(held);
      else if (!held.released) await this.giveBack(held);
    }
    await this.tend();
  }

  /** What another process held back for devices that are ours by now, and for channels of the gateway's own. */
  takeOver(stored: Uint8Array | undefined, serves: (device: PublicKey) => boolean): Promise<void> {
    return this.run(async () => {
      const { held, isOwnChannel } = this.options;
      await held.takeOver(stored, (one) => (one.device ? serves(one.device) : isOwnChannel(one)));
      for (const one of held.all()) {
        if (!one.device && isOwnChannel(one)) await this.broadcast(one);
      }
    });
  }

  /** At each block: what was refused is tried again, what nobody wants is given back. */
  tend(): Promise<void> {
    return this.run(async () => {
      for (const held of this.options.held.all()) {
        const isLate = this.options.height() >= held.sinceHeight + HELD_BLOCKS;
        if (held.released) await this.broadcast(held);
        else if (isLate && held.device) await this.giveBack(held);
        else if (isLate) this.options.abandonOwn(held.temporaryChannelId);
      }
    });
  }

  /** Until nothing is under way. */
  async idle(): Promise<void> {
    await this.turn;
  }

  /** One after the other: limits hold, and no answer overtakes another. */
  private run(work: () => Promise<void>): Promise<void> {
    this.turn = this.turn.then(work).catch((cause: unknown) => {
      this.options.onProblem(`funding: ${cause instanceof Error ? cause.message : cause}`);
    });
    return this.turn;
  }

  private own(temporaryChannelId: Uint8Array): HeldFunding | undefined {
    return this.options.held
      .all()
      .find((one) => !one.device && equal(one.temporaryChannelId, temporaryChannelId));
  }

  private async fund(device: PublicKey, message: MessageNamed<"funding_request">): Promise<void> {
    const { held } = this.options;
    const { amountSatoshis } = message;
    const temporaryChannelId = message.temporaryChannelId.slice();
    const answer = (outpoint: Outpoint | undefined, reason: string) =>
      this.options.send(device, {
        type: "funding_outpoint",
        temporaryChannelId,
        txid: outpoint?.txid,
        vout: outpoint?.vout ?? 0,
        reason,
      });
    const theirs = held.all().filter((one) => one.device && equal(one.device, device));
    const known = theirs.find((one) => equal(one.temporaryChannelId, temporaryChannelId));
    const refusal = this.options.refusal(device, amountSatoshis);
    if (known && refusal === undefined && known.amountSatoshis === amountSatoshis) {
      answer(known, "");
    } else if (known || refusal !== undefined) {
      answer(undefined, (refusal ?? "this channel is funded already").slice(0, MAX_REASON));
    } else if (theirs.length >= MAX_HELD_BY_ONE || held.all().length >= MAX_HELD) {
      answer(undefined, "too many funding transactions are waiting");
    } else {
      try {
        const script = message.script.slice();
        answer(await this.make({ device, temporaryChannelId }, script, amountSatoshis), "");
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        answer(undefined, reason.slice(0, MAX_REASON));
      }
    }
  }

  /** Stored before anybody hears of it. */
  private async make(
    owner: Pick<HeldFunding, "device" | "temporaryChannelId">,
    script: Uint8Array,
    amount: Satoshi,
  ): Promise<Outpoint> {
    const { wallet, crypto, held, feeratePerKw, height } = this.options;
    const key = `${toHex(owner.temporaryChannelId)}`;
    assert(!this.making.has(key), "this channel's funding is being made");
    this.making.add(key);
    try {
      const raw = await wallet.fund([{ script, amount }], await feeratePerKw());
      const transaction = parseTransaction(raw);
      const txid = transactionId(crypto, transaction);
      const vout = transaction.outputs.findIndex((one) => equal(one.script, script));
      try {
        const sinceHeight = height();
        const made = { ...owner, txid, vout, raw, amountSatoshis: amount as number };
        await held.put({ ...made, sinceHeight, released: false });
      } catch (cause) {
        await wallet.release(raw);
        throw cause;
      }
      return { txid, vout };
    } finally {
      this.making.delete(key);
    }
  }

  private async release(
    device: PublicKey,
    message: MessageNamed<"funding_release">,
  ): Promise<void> {
    const held = this.options.held.get(message.txid);
    if (!held?.device || !equal(held.device, device)) return;
    if (message.broadcast) await this.broadcast(held);
    else if (!held.released) await this.giveBack(held);
  }

  /** Kept until the node has taken it. */
  private async broadcast(held: HeldFunding): Promise<void> {
    const { options } = this;
    if (!held.released) await options.held.put({ ...held, released: true });
    const result = await options.broadcast(held.raw);
    if (!result.ok && !isThereAlready(result.reason)) {
      options.onProblem(
        `the funding transaction was refused, and is tried again: ${result.reason}`,
      );
      return;
    }
    await options.held.remove(held.txid);
    if (held.device) options.onFunded(held.device, held.txid, held.amountSatoshis as Satoshi);
  }

  private async giveBack(held: HeldFunding): Promise<void> {
    await this.options.wallet.release(held.raw);
    await this.options.held.remove(held.txid);
  }
}

/** bitcoind's words for a transaction that it has, in a block or in its mempool. */
function isThereAlready(reason: string): boolean {
  return /already|txn-known/i.test(reason);
}
