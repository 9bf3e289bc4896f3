/** A device that buys: by push or HTLC at the listed price, within its budget, and asks again until it is delivered; or feeds a meter. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { packPayments, REFERENCE_BYTES, unpackPayments } from "../../core/payments/push.ts";
import {
  blockHeight,
  type ChannelId,
  type MilliSatoshi,
  type PublicKey,
  publicKey,
} from "../../core/primitives/brands.ts";
import { ascii, concat, equal, toHex } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import type { App, AppHost } from "./app.ts";
import { type AutobuySettings, watchButton } from "./autobuy.ts";
import { Budget } from "./budget.ts";
import type { Feed, FeedOptions } from "./feed.ts";
import { Feeds } from "./feeds.ts";
import { InvoiceRequests } from "./invoice-requests.ts";
import type { PayerSettings } from "./payer-settings.ts";
import { type ListedProduct, PeerPrices } from "./peer-prices.ts";
import { PRODUCT_BYTES } from "./product.ts";
import { MAX_OPEN_PURCHASES, type Purchase, Purchases } from "./purchases.ts";

/** Blocks for which a machine may bind an HTLC's money. */
const MAX_CLTV_EXPIRY_DELTA = 144;
/** The block height that a reference has between its product and its random bytes. */
const HEIGHT_BYTES = 4;

type Done = (delivered: boolean, note: string) => void;

export interface Outcome {
  readonly delivered: boolean;
  readonly note: string;
  readonly reference: Uint8Array;
}

export interface BuyOptions {
  /** Not above this, whatever the list says. */
  readonly maxMsat?: number | undefined;
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
  private budget!: Budget;
  private prices!: PeerPrices;
  private feeds!: Feeds;
  /** Reserved of the budget, by the reference of a purchase that may still turn out unpaid. */
  private readonly reserved = new Map<string, number>();
  private invoices!: InvoiceRequests;
  private isBuying = false;
  /** Begun over the link that is there now: the word of their delivery cannot have been lost. */
  private readonly fresh = new Set<string>();

  constructor(private readonly settings: PayerSettings = {}) {}

  async start(host: AppHost): Promise<void> {
    this.host = host;
    const { store, clock, node, pins } = host;
    this.budget = await Budget.load(this.settings, { store, clock, height: () => node.height });
    this.prices = new PeerPrices(host);
    this.invoices = new InvoiceRequests(host);
    this.feeds = await Feeds.load(host, this.budget);
    const { autobuy } = this.settings;
    if (autobuy) {
      assert(pins && clock, "buying by a button needs pins and a clock");
      watchButton(autobuy, { pins, clock }, () => this.run(this.pressed(autobuy)));
    }
    this.purchases = await Purchases.load(host.store);
    for (const purchase of this.purchases.all()) await this.resume(purchase);
  }

  /** What the machine at the other end of a channel sells. */
  priceList(peer: PublicKey): MessageNamed<"price_list"> | undefined {
    return this.prices.head(peer);
  }

  /** One page of it; asked for where it is not known. */
  page(peer: PublicKey, page: number): Promise<readonly ListedProduct[]> {
    return this.prices.page(peer, page);
  }

  /** One product of a list of any length; undefined where the machine does not have it, or is away. */
  product(peer: PublicKey, id: number): Promise<ListedProduct | undefined> {
    return this.prices.product(peer, id);
  }

  /** What the meter at the other end of a channel takes; undefined where there is none, or it is away. */
  meterQuote(peer: PublicKey): MessageNamed<"meter_quote"> | undefined {
    return this.feeds.quote(peer);
  }

  /** Spent of the day's budget, in millisatoshi. */
  get spentMsat(): number {
    return this.budget.spentMsat;
  }

  /** Feeds the meter at the other end of a channel until it is enough, or `stop` is called. Throws where it is not ready. */
  feed(channelId: ChannelId, options: FeedOptions): Promise<Feed> {
    return this.feeds.begin(channelId, options);
  }

  stop(): void {
    this.feeds.stopAll("the device is stopping");
  }

  onPeer(peer: PublicKey, connected: boolean): void {
    this.feeds.onPeer(peer, connected);
    if (connected) return;
    this.prices.away(peer);
    this.invoices.away(peer);
  }

  onMessage(peer: PublicKey, message: Message): boolean {
    switch (message.type) {
      case "price_list":
        this.prices.listed(peer, message);
        return true;
      case "availability":
        this.prices.changed(peer, message);
        return true;
      case "meter_quote":
      case "meter_state":
        this.feeds.onMessage(peer, message);
        return true;
      case "invoice":
        this.invoices.answered(peer, message);
        return true;
      case "delivery":
        this.delivered(peer, message);
        return true;
      default:
        return false;
    }
  }

  onChannelEvent(id: ChannelId, event: ChannelEvent): void {
    this.feeds.onChannelEvent(id, event);
    switch (event.type) {
      case "htlcReceived": {
        const reason = ascii("this device sells nothing");
        this.host.node.command(id, { type: "failHtlc", htlcId: event.htlc.id, reason });
        return;
      }
      case "pushCommitted":
        for (const { reference } of unpackPayments(event.payments)) {
          this.reserved.delete(toHex(reference));
        }
        return;
      case "htlcCommitted":
        this.reserved.delete(toHex(event.htlc.paymentHash));
        return;
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
  async buy(channelId: ChannelId, product: number, options: BuyOptions = {}): Promise<Outcome> {
    const amountMsat = await this.priceOf(channelId, product, options);
    const reference = this.freshReference(product);
    return this.begin({ channelId, product, reference }, amountMsat, () => {
      const payments = packPayments([{ reference, amountMsat }]);
      return this.host.node.command(channelId, { type: "push", payments });
    });
  }

  /** Buys one product by HTLC: asks for a payment hash first. */
  async buyByHtlc(
    channelId: ChannelId,
    product: number,
    options: BuyOptions = {},
  ): Promise<Outcome> {
    const { node } = this.host;
    const priceMsat = await this.priceOf(channelId, product, options);
    const peer = node.record(channelId)?.remoteNodeId;
    if (!peer) throw new Error("the channel is not there: nothing was paid");
    const invoice = await this.invoices.ask(peer, product);
    const { paymentHash, amountMsat, cltvExpiryDelta } = invoice;
    if (amountMsat !== priceMsat) throw new Error("the invoice is not at the listed price");
    if (cltvExpiryDelta > MAX_CLTV_EXPIRY_DELTA) {
      throw new Error(`the machine would bind the money for ${cltvExpiryDelta} blocks`);
    }
    const cltvExpiry = blockHeight(node.height + cltvExpiryDelta + 1);
    return this.begin({ channelId, product, reference: paymentHash }, amountMsat, () =>
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

  /** Throws where it cannot be bought now, in words. */
  private async priceOf(
    channelId: ChannelId,
    id: number,
    { maxMsat }: BuyOptions,
  ): Promise<MilliSatoshi> {
    const refuse = (why: string) => new Error(`${why}: nothing was paid`);
    const peer = this.host.node.record(channelId)?.remoteNodeId;
    const list = peer && this.prices.head(peer);
    if (!peer || !list) throw refuse("the machine is away");
    if (!list.ready) throw refuse(list.note ?? "the machine is not ready");
    const product = await this.prices.product(peer, id);
    if (!product) throw refuse(`product ${id} is not on sale`);
    if (!product.ready) throw refuse(`${product.name} cannot be delivered now`);
    const { priceMsat, name } = product;
    if (priceMsat > (maxMsat ?? Number.POSITIVE_INFINITY)) {
      throw refuse(`${name} costs ${priceMsat} msat, more than ${maxMsat}`);
    }
    return priceMsat;
  }

  private channelWith(peer: Uint8Array): ChannelId | undefined {
    const channels = this.host.node.channels();
    return channels.find(({ channel }) => {
      if (channel.kind !== "live" || channel.record.phase !== "normal") return false;
      return equal(channel.record.remoteNodeId, peer);
    })?.id;
  }

  /** Of a meter the first press begins, the second one ends. */
  private async pressed({ peer, product, maxMsat }: AutobuySettings): Promise<void> {
    const channelId = this.channelWith(peer);
    if (!channelId) throw new Error("there is no channel with the seller: nothing was paid");
    if (product === undefined) {
      if (!this.feeds.stopOf(publicKey(peer))) await this.feeds.begin(channelId, { maxMsat });
      return;
    }
    // One press, one purchase: also by an impatient finger.
    if (this.waiting.size > 0 || this.isBuying) return;
    this.isBuying = true;
    try {
      await this.buy(channelId, product, { maxMsat });
    } finally {
      this.isBuying = false;
    }
  }

  /** Budget and purchase are stored before it is paid. */
  private async begin(
    purchase: Purchase,
    amountMsat: number,
    pay: () => boolean,
  ): Promise<Outcome> {
    const { reference } = purchase;
    const under = this.purchases.all().length;
    assert(under < MAX_OPEN_PURCHASES, `${under} purchases are under way already`);
    assert(!this.purchases.get(reference), "the machine gave the same payment hash twice");
    const peer = this.host.node.record(purchase.channelId)?.remoteNodeId;
    if (peer) await this.budget.reserve(toHex(peer), amountMsat);
    this.reserved.set(toHex(reference), amountMsat);
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
    this.unpaid(purchase);
    this.settled.delete(key);
    this.fresh.delete(key);
    const { product } = purchase;
    if (delivered) this.host.tell({ type: "bought", reference: purchase.reference, product });
    else this.host.tell({ type: "notDelivered", reference: purchase.reference, note });
    this.waiting.get(key)?.(delivered, note);
    this.waiting.delete(key);
  }

  /** What was never signed goes back to the budget. */
  private unpaid({ channelId, reference }: Purchase): void {
    const amountMsat = this.reserved.get(toHex(reference));
    const peer = this.host.node.record(channelId)?.remoteNodeId;
    this.reserved.delete(toHex(reference));
    if (amountMsat && peer) this.run(this.budget.release(toHex(peer), amountMsat));
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
