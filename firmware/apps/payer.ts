/** A device that buys: pays pushes and HTLCs at the price list that a machine announced, and asks again until it is delivered. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { packPayments, REFERENCE_BYTES, unpackPayments } from "../../core/payments/push.ts";
import { blockHeight, type ChannelId, type PublicKey } from "../../core/primitives/brands.ts";
import { concat, equal, toHex } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import type { App, AppHost } from "./app.ts";
import { PRODUCT_BYTES } from "./product.ts";
import { MAX_OPEN_PURCHASES, type Purchase, Purchases } from "./purchases.ts";

/** Blocks for which a machine may bind an HTLC's money. */
const MAX_CLTV_EXPIRY_DELTA = 144;
/** The block height that a reference has between its product and its random bytes. */
const HEIGHT_BYTES = 4;

type Done = (delivered: boolean, note: string) => void;

interface InvoiceWait {
  readonly peer: PublicKey;
  resolve(invoice: MessageNamed<"invoice">): void;
  reject(error: Error): void;
}

export interface Outcome {
  readonly delivered: boolean;
  readonly note: string;
  readonly reference: Uint8Array;
}

export class PayerApp implements App {
  readonly name = "payer";
  readonly takesPayments = false;
  private host!: AppHost;
  private purchases!: Purchases;
  /** Who waits for the end of a purchase of this run, by reference. */
  private readonly waiting = new Map<string, Done>();
  /** Irrevocable on both sides, so that the machine must have been credited. */
  private readonly settled = new Set<string>();
  private readonly prices = new Map<string, MessageNamed<"price_list">>();
  private readonly invoices = new Map<number, InvoiceWait>();
  private nextRequest = 1;
  /** Begun over the link that is there now: the word of their delivery cannot have been lost. */
  private readonly fresh = new Set<string>();

  async start(host: AppHost): Promise<void> {
    this.host = host;
    this.purchases = await Purchases.load(host.store);
    for (const purchase of this.purchases.all()) await this.resume(purchase);
  }

  /** What the machine at the other end of a channel sells. */
  priceList(peer: PublicKey): MessageNamed<"price_list"> | undefined {
    return this.prices.get(toHex(peer));
  }

  onPeer(peer: PublicKey, connected: boolean): void {
    if (connected) return;
    this.prices.delete(toHex(peer));
    for (const [request, wait] of this.invoices) {
      if (!equal(wait.peer, peer)) continue;
      this.invoices.delete(request);
      wait.reject(new Error("the machine went away: nothing was paid"));
    }
  }

  onMessage(peer: PublicKey, message: Message): boolean {
    switch (message.type) {
      case "price_list":
        this.prices.set(toHex(peer), copyOf(message));
        return true;
      case "invoice":
        this.invoiced(peer, message);
        return true;
      case "delivery":
        this.delivered(peer, message);
        return true;
      default:
        return false;
    }
  }

  onChannelEvent(id: ChannelId, event: ChannelEvent): void {
    switch (event.type) {
      case "pushSettled":
        for (const { reference } of unpackPayments(event.payments)) this.irrevocable(reference);
        return;
      case "htlcFulfilled":
        this.run(this.proven(event.htlc.paymentHash, event.preimage));
        return;
      case "htlcFailed":
        this.end(event.paymentHash, false, "the machine refused the payment: nothing was paid");
        return;
      case "rejected":
        this.rejected(event);
        return;
      case "reestablished":
        for (const purchase of this.purchases.all()) {
          if (!equal(purchase.channelId, id)) continue;
          this.fresh.delete(toHex(purchase.reference));
          this.ask(purchase);
        }
        return;
      case "closed":
        for (const { channelId, reference } of this.purchases.all()) {
          if (equal(channelId, id)) this.end(reference, false, "the channel has closed");
        }
        return;
      default:
        return;
    }
  }

  /** Buys one product by push; resolves when it is delivered, refunded or was not paid. */
  async buy(channelId: ChannelId, product: number): Promise<Outcome> {
    const amountMsat = this.priceOf(channelId, product);
    if (amountMsat === undefined) {
      throw new Error(`product ${product} is not on sale, or the machine is away`);
    }
    const reference = this.freshReference(product);
    return this.begin({ channelId, product, reference }, () => {
      const payments = packPayments([{ reference, amountMsat }]);
      return this.host.node.command(channelId, { type: "push", payments });
    });
  }

  /** Buys one product by HTLC: asks for a payment hash first. */
  async buyByHtlc(channelId: ChannelId, product: number): Promise<Outcome> {
    const { node } = this.host;
    const peer = node.record(channelId)?.remoteNodeId;
    const priceMsat = this.priceOf(channelId, product);
    if (!peer || priceMsat === undefined) throw new Error("the machine is away");
    const invoice = await this.askInvoice(peer, product);
    const { paymentHash, amountMsat, cltvExpiryDelta } = invoice;
    if (amountMsat !== priceMsat) throw new Error("the invoice is not at the listed price");
    if (cltvExpiryDelta > MAX_CLTV_EXPIRY_DELTA) {
      throw new Error(`the machine would bind the money for ${cltvExpiryDelta} blocks`);
    }
    const cltvExpiry = blockHeight(node.height + cltvExpiryDelta + 1);
    return this.begin({ channelId, product, reference: paymentHash }, () =>
      node.command(channelId, { type: "addHtlc", amountMsat, paymentHash, cltvExpiry }),
    );
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.host.tell({ type: "failed", reason });
    });
  }

  /** Product and height before the random bytes: databases are quicker with keys that come in order. */
  private freshReference(product: number): Uint8Array {
    const ordered = new Uint8Array(PRODUCT_BYTES + HEIGHT_BYTES);
    const view = new DataView(ordered.buffer);
    view.setUint16(0, product);
    view.setUint32(PRODUCT_BYTES, this.host.node.height);
    return concat(ordered, this.host.entropy.random(REFERENCE_BYTES - ordered.length));
  }

  private priceOf(channelId: ChannelId, product: number) {
    const peer = this.host.node.record(channelId)?.remoteNodeId;
    const list = peer && this.priceList(peer);
    return list?.ready ? list.products.find(({ id }) => id === product)?.priceMsat : undefined;
  }

  private askInvoice(peer: PublicKey, product: number): Promise<MessageNamed<"invoice">> {
    if (this.invoices.size >= MAX_OPEN_PURCHASES) {
      return Promise.reject(new Error("too many invoices are awaited"));
    }
    const request = this.nextRequest++;
    return new Promise((resolve, reject) => {
      this.invoices.set(request, { peer, resolve, reject });
      this.host.node.sendService(peer, { type: "invoice_request", request, product });
    });
  }

  private invoiced(peer: PublicKey, message: MessageNamed<"invoice">): void {
    const wait = this.invoices.get(message.request);
    if (!wait || !equal(wait.peer, peer)) return;
    this.invoices.delete(message.request);
    const paymentHash = message.paymentHash.slice() as typeof message.paymentHash;
    wait.resolve({ ...message, paymentHash });
  }

  /** Stored before it is paid. */
  private async begin(purchase: Purchase, pay: () => boolean): Promise<Outcome> {
    const { reference } = purchase;
    const under = this.purchases.all().length;
    assert(under < MAX_OPEN_PURCHASES, `${under} purchases are under way already`);
    assert(!this.purchases.get(reference), "the machine gave the same payment hash twice");
    await this.purchases.put(purchase);
    return new Promise((resolve) => {
      this.fresh.add(toHex(reference));
      this.waiting.set(toHex(reference), (delivered, note) =>
        resolve({ delivered, note, reference }),
      );
      if (!pay()) this.end(reference, false, "the channel is not there: nothing was paid");
    });
  }

  /** After a restart: what was never signed was never paid. */
  private async resume(purchase: Purchase): Promise<void> {
    const { node, store } = this.host;
    const { reference, channelId } = purchase;
    const record = node.record(channelId);
    const htlcs = record?.base.htlcs ?? [];
    const updates = record ? [...record.pending.localSigned, ...record.pending.localAcked] : [];
    const isPaid =
      reference.length === REFERENCE_BYTES
        ? await store.isDebited(reference)
        : purchase.preimage !== undefined ||
          htlcs.some((htlc) => htlc.offeredByLocal && equal(htlc.paymentHash, reference)) ||
          updates.some((one) => one.type === "add" && equal(one.htlc.paymentHash, reference));
    if (!isPaid || !record) this.end(reference, false, "power failed before it was paid");
    else if (reference.length === REFERENCE_BYTES) {
      // Signed, and perhaps never heard: it is asked about when it is irrevocable.
      const isUnderWay = updates.some(
        (one) =>
          one.type === "push" &&
          unpackPayments(one.payments).some((payment) => equal(payment.reference, reference)),
      );
      if (!isUnderWay) this.settled.add(toHex(reference));
    }
  }

  /** It may have been served over a link that is gone, with its word lost. */
  private irrevocable(reference: Uint8Array): void {
    const purchase = this.purchases.get(reference);
    if (!purchase || this.settled.has(toHex(reference))) return;
    this.settled.add(toHex(reference));
    if (this.fresh.has(toHex(reference))) return;
    // After the effects that come with this event: the machine must have the last signature before the question.
    this.run(Promise.resolve().then(() => this.ask(purchase)));
  }

  private async proven(paymentHash: Uint8Array, known: Purchase["preimage"]): Promise<void> {
    const purchase = this.purchases.get(paymentHash);
    if (!purchase) return;
    await this.purchases.put({ ...purchase, preimage: known });
    this.settled.add(toHex(paymentHash));
  }

  /** What became of what was paid? It is delivered now if it was not. */
  private ask({ channelId, reference, preimage }: Purchase): void {
    const { node } = this.host;
    const peer = node.record(channelId)?.remoteNodeId;
    if (!peer || !(this.settled.has(toHex(reference)) || preimage)) return;
    node.sendService(peer, { type: "delivery_request", reference: preimage ?? reference });
  }

  /** Only the machine that was paid may say what became of it. */
  private delivered(
    peer: PublicKey,
    { reference, delivered, note }: MessageNamed<"delivery">,
  ): void {
    const purchase = this.purchases.get(reference);
    const payee = purchase && this.host.node.record(purchase.channelId)?.remoteNodeId;
    if (payee && equal(payee, peer)) this.end(reference, delivered, note);
  }

  private end(reference: Uint8Array, delivered: boolean, note: string): void {
    const purchase = this.purchases.get(reference);
    if (!purchase) return;
    this.run(this.purchases.remove(reference));
    const key = toHex(reference);
    this.settled.delete(key);
    this.fresh.delete(key);
    const { product } = purchase;
    if (delivered) this.host.tell({ type: "bought", reference: purchase.reference, product });
    else this.host.tell({ type: "notDelivered", reference: purchase.reference, note });
    this.waiting.get(key)?.(delivered, note);
    this.waiting.delete(key);
  }

  private rejected({ command, reason }: Extract<ChannelEvent, { type: "rejected" }>): void {
    if (command.type === "push") {
      for (const { reference } of unpackPayments(command.payments)) {
        this.end(reference, false, reason);
      }
    }
    if (command.type === "addHtlc") this.end(command.paymentHash, false, reason);
  }
}

/** The strings of a message are its own; its numbers too: byte strings would be views. */
function copyOf(list: MessageNamed<"price_list">): MessageNamed<"price_list"> {
  return { ...list, products: list.products.map((product) => ({ ...product })) };
}
