/** A device that buys: pays pushes and HTLCs at the price list that a machine announced, and asks again until it is delivered. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { packPayments, unpackPayments } from "../../core/payments/push.ts";
import { blockHeight, type ChannelId, type PublicKey } from "../../core/primitives/brands.ts";
import { concat, equal, toHex } from "../../core/primitives/bytes.ts";
import type { App, AppHost } from "./app.ts";
import { PRODUCT_BYTES } from "./vending.ts";

/** Purchases under way at a time: the machine remembers more settled ones than this. */
export const MAX_OPEN_PURCHASES = 8;

/** Settled: irrevocable on both sides, so that the machine must have been credited. */
type Stage = "proposed" | "settled";

interface Purchase {
  readonly channelId: ChannelId;
  readonly product: number;
  /** Of 16 bytes for a push; the payment hash of an HTLC. */
  readonly reference: Uint8Array;
  stage: Stage;
  /** Of an HTLC, once it is known: the proof that it was paid. */
  preimage?: Uint8Array;
  readonly done: (delivered: boolean, note: string) => void;
}

export interface Outcome {
  readonly delivered: boolean;
  readonly note: string;
  readonly reference: Uint8Array;
}

export class PayerApp implements App {
  readonly name = "payer";
  private host: AppHost | undefined;
  private readonly open = new Map<string, Purchase>();
  private readonly prices = new Map<string, MessageNamed<"price_list">>();
  private readonly invoices = new Map<number, (invoice: MessageNamed<"invoice">) => void>();
  private nextRequest = 1;

  async start(host: AppHost): Promise<void> {
    this.host = host;
  }

  /** What the machine at the other end of a channel sells. */
  priceList(peer: PublicKey): MessageNamed<"price_list"> | undefined {
    return this.prices.get(toHex(peer));
  }

  onPeer(peer: PublicKey, connected: boolean): void {
    if (!connected) this.prices.delete(toHex(peer));
  }

  onMessage(peer: PublicKey, message: Message): boolean {
    switch (message.type) {
      case "price_list":
        this.prices.set(toHex(peer), message);
        return true;
      case "invoice":
        this.invoices.get(message.request)?.(message);
        this.invoices.delete(message.request);
        return true;
      case "delivery":
        this.delivered(message);
        return true;
      default:
        return false;
    }
  }

  onChannelEvent(id: ChannelId, event: ChannelEvent): void {
    switch (event.type) {
      case "pushSettled":
        for (const { reference } of unpackPayments(event.payments)) this.settled(reference);
        return;
      case "htlcFulfilled":
        this.settled(event.htlc.paymentHash, event.preimage);
        return;
      case "htlcFailed":
        this.end(event.paymentHash, false, "the machine refused the payment: nothing was paid");
        return;
      case "rejected":
        this.rejected(event);
        return;
      case "reestablished":
        this.askAgain(id);
        return;
      default:
        return;
    }
  }

  /** Buys one product by push; resolves when it is delivered, refunded or was not paid. */
  buy(channelId: ChannelId, product: number): Promise<Outcome> {
    const { host } = this;
    const priceMsat = this.priceOf(channelId, product);
    if (!host || priceMsat === undefined) {
      return Promise.reject(new Error(`product ${product} is not on sale, or the machine is away`));
    }
    const random = host.entropy.random(16 - PRODUCT_BYTES);
    const reference = concat(Uint8Array.of(product >> 8, product & 0xff), random);
    return this.begin(channelId, product, reference, () => {
      const payments = packPayments([{ reference, amountMsat: priceMsat }]);
      host.node.command(channelId, { type: "push", payments });
    });
  }

  /** Buys one product by HTLC: asks for a payment hash first. */
  async buyByHtlc(channelId: ChannelId, product: number): Promise<Outcome> {
    const { host } = this;
    const peer = host?.node.record(channelId)?.remoteNodeId;
    const priceMsat = this.priceOf(channelId, product);
    if (!host || !peer || priceMsat === undefined) throw new Error("the machine is away");
    const request = this.nextRequest++;
    const invoice = await new Promise<MessageNamed<"invoice">>((resolve) => {
      this.invoices.set(request, resolve);
      host.node.sendService(peer, { type: "invoice_request", request, product });
    });
    if (invoice.amountMsat !== priceMsat) throw new Error("the invoice is not at the listed price");
    const { paymentHash, amountMsat, cltvExpiryDelta } = invoice;
    const cltvExpiry = blockHeight(host.node.height + cltvExpiryDelta + 1);
    return this.begin(channelId, product, paymentHash, () => {
      host.node.command(channelId, { type: "addHtlc", amountMsat, paymentHash, cltvExpiry });
    });
  }

  private priceOf(channelId: ChannelId, product: number) {
    const peer = this.host?.node.record(channelId)?.remoteNodeId;
    const list = peer && this.priceList(peer);
    return list?.ready ? list.products.find(({ id }) => id === product)?.priceMsat : undefined;
  }

  private begin(
    channelId: ChannelId,
    product: number,
    reference: Uint8Array,
    pay: () => void,
  ): Promise<Outcome> {
    if (this.open.size >= MAX_OPEN_PURCHASES) {
      return Promise.reject(new Error(`${MAX_OPEN_PURCHASES} purchases are under way already`));
    }
    return new Promise((resolve) => {
      const done = (delivered: boolean, note: string) => resolve({ delivered, note, reference });
      const key = toHex(reference);
      this.open.set(key, { channelId, product, reference, stage: "proposed", done });
      pay();
    });
  }

  private settled(reference: Uint8Array, preimage?: Uint8Array): void {
    const purchase = this.open.get(toHex(reference));
    if (!purchase) return;
    purchase.stage = "settled";
    if (preimage) purchase.preimage = preimage;
  }

  private delivered({ reference, delivered, note }: MessageNamed<"delivery">): void {
    this.end(reference, delivered, note);
  }

  private end(reference: Uint8Array, delivered: boolean, note: string): void {
    const key = toHex(reference);
    const purchase = this.open.get(key);
    if (!purchase) return;
    this.open.delete(key);
    const { product } = purchase;
    if (delivered) this.host?.tell({ type: "bought", reference: purchase.reference, product });
    else this.host?.tell({ type: "notDelivered", reference: purchase.reference, note });
    purchase.done(delivered, note);
  }

  private rejected({ command, reason }: Extract<ChannelEvent, { type: "rejected" }>): void {
    if (command.type === "push") {
      for (const { reference } of unpackPayments(command.payments)) {
        this.end(reference, false, reason);
      }
    }
    if (command.type === "addHtlc") this.end(command.paymentHash, false, reason);
  }

  /** The link was lost meanwhile: what is settled was credited, and the word of its delivery may be lost. */
  private askAgain(channelId: ChannelId): void {
    const { host } = this;
    const peer = host?.node.record(channelId)?.remoteNodeId;
    if (!host || !peer) return;
    for (const { channelId: id, reference, preimage, stage } of this.open.values()) {
      if (!equal(id, channelId) || stage !== "settled") continue;
      host.node.sendService(peer, { type: "delivery_request", reference: preimage ?? reference });
    }
  }
}
