/** A machine that sells: takes pushes and HTLCs, delivers once for each, gives back what it cannot deliver (DESIGN "Ready → pay → delivered"). */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Message } from "../../core/messages/message.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import type { App, AppHost, AppStatus } from "./app.ts";
import type { Delivery, DeliveryMaker } from "./delivery.ts";
import { Faults } from "./faults.ts";
import { HtlcSales } from "./htlc-sales.ts";
import type { Arrival } from "./inbox.ts";
import { decodeNotes, encodeNotes, hasUnsettled } from "./invoices.ts";
import { shortened, textOf } from "./notes.ts";
import { fixedPrices, type PriceList } from "./price-list.ts";
import { type Product, productOfReference } from "./product.ts";
import { refundReference } from "./refunds.ts";
import { Storefront } from "./storefront.ts";
import { Till, type TillHost } from "./till.ts";

export interface VendingOptions {
  readonly machine: string;
  /** Where the device keeps no price list of its owner's. */
  readonly products?: readonly Product[] | undefined;
  readonly delivery: Delivery | DeliveryMaker;
}

/** Bytes of a `delivery`'s note. */
const MAX_NOTE = 128;
/** Whether the machine is ready is looked at again so often, where there is a clock. */
const REFRESH_MS = 10_000;
const NOT_ARRIVED = "this payment did not arrive";
const OWED = "your money is given back as soon as it can be";
const REFUNDED = "your money was given back";

export class VendingApp implements App {
  readonly name = "vending";
  readonly takesPayments = true;
  private host!: TillHost;
  private prices!: PriceList;
  private delivery!: Delivery;
  private faults!: Faults;
  private till!: Till;
  private front!: Storefront;
  private htlcs!: HtlcSales;
  private cancelRefresh = () => {};

  constructor(private readonly options: VendingOptions) {}

  async start(host: AppHost): Promise<void> {
    const { store, node } = host;
    const { delivery, products, machine } = this.options;
    this.till = new Till(host, {
      serve: (arrival) => this.sell(arrival),
      quote: ({ product }) => this.quote(product),
      refunded: (arrival, reason) => this.undelivered(arrival, `${reason}: ${REFUNDED}`),
      delayed: (arrival, reason) => this.undelivered(arrival, `${reason}: ${OWED}`),
    });
    this.host = this.till.host;
    this.prices = host.prices ?? (await fixedPrices(products ?? []));
    if (products && this.prices.version === 0) await this.prices.setAll(products);
    this.faults = await Faults.load(store, "several products did not come out");
    this.delivery =
      typeof delivery === "function" ? delivery(host, () => this.front.refresh()) : delivery;
    const { prices } = this;
    const machineFault = () => this.machineFault();
    const productFault = (id: number) => this.faults.reason(id);
    this.front = new Storefront({ machine, node, prices, machineFault, productFault });
    this.htlcs = new HtlcSales({
      host: this.host,
      find: (id) => prices.find(id),
      fault: (id) => this.machineFault() ?? productFault(id),
      paid: () => this.till.serve(),
    });
    await this.delivery.start?.();
    prices.onChanged = () => this.till.run(this.front.listChanged());
    await this.afterPowerCut();
    this.refreshLater();
    this.till.serve();
  }

  stop(): void {
    this.till.stop();
    this.cancelRefresh();
    this.delivery.stop?.();
  }

  status(): AppStatus {
    const { note } = this.front;
    return { ready: note === undefined, note, faults: this.faults.all, ...this.till.owed };
  }

  async clear(product?: number): Promise<void> {
    const cleared = this.faults.all.flatMap((one) => one.product ?? []);
    await this.faults.clear(product);
    this.host.tell({ type: "fault", what: "looked at by the owner", cleared: true });
    this.front.refreshAll(product === undefined ? cleared : [product]);
  }

  onPeer(peer: PublicKey, connected: boolean): void {
    if (connected) this.till.run(this.front.connect(peer));
    else this.front.disconnect(peer);
  }

  onTip(): void {
    this.front.refresh();
    this.till.serve();
  }

  onChannelEvent(id: Arrival["channelId"], event: ChannelEvent): void {
    this.till.onChannelEvent(id, event);
    switch (event.type) {
      case "pushReceived":
        this.front.refresh();
        return;
      case "htlcReceived":
        if (event.htlc.onion.length === 0) this.till.run(this.htlcs.received(id, event));
        return;
      case "htlcSettled":
        if (!event.fulfilled) return;
        this.till.run(this.htlcs.settled(event.paymentHash, event.amountMsat));
        return;
      default:
        return;
    }
  }

  onMessage(peer: PublicKey, message: Message): boolean {
    switch (message.type) {
      case "invoice_request":
        this.till.run(this.htlcs.makeInvoice(peer, message));
        return true;
      case "bolt11_request":
        this.till.answer(peer, message);
        return true;
      case "price_list_request":
        this.till.run(this.front.answer(peer, message));
        return true;
      case "delivery_request":
        this.till.run(this.answerDelivery(peer, message.reference));
        return true;
      default:
        return false;
    }
  }

  private machineFault(): string | undefined {
    return this.host.declineReason?.() ?? this.faults.reason() ?? this.delivery.fault?.();
  }

  private refreshLater(): void {
    const { clock } = this.host;
    if (!clock || this.till.isStopped) return;
    this.cancelRefresh = clock.after(REFRESH_MS, () => {
      this.front.refresh();
      this.refreshLater();
    });
  }

  // Serving.

  /** A paid reference becomes a delivery, or the money goes back. */
  private async sell(arrival: Arrival): Promise<void> {
    const { till, delivery } = this;
    const product = await this.productOf(arrival);
    const refusal = this.refusalOf(arrival, product);
    if (refusal !== undefined || !product) {
      await till.giveBack(arrival, refusal ?? "there is no such product");
      return;
    }
    if (!delivery.fallen) await till.begin(arrival);
    try {
      await delivery.deliver(product);
    } catch (cause) {
      if (till.isStopped) return; // decided at the next start
      await this.jammed(product, textOf(cause));
      await till.giveBack(arrival, textOf(cause));
      return;
    }
    this.faults.cameOut();
    await this.delivered(arrival, product);
  }

  /** What did not come out is not sold again until the owner has looked at it. */
  private async jammed({ id, name }: Product, what: string): Promise<void> {
    // Where the hardware itself says what is wrong, the product is not to blame.
    if (this.delivery.fault?.() === undefined) await this.faults.jam(id);
    this.host.tell({ type: "fault", what: `${name}: ${what}`, cleared: false });
    this.front.refresh([id]);
  }

  private refusalOf(arrival: Arrival, product: Product | undefined): string | undefined {
    if (!product) return undefined;
    const asked = this.htlcs.invoiceOf(arrival.reference)?.amountMsat ?? product.priceMsat;
    // What an invoice asked for the till has looked at.
    if (!arrival.held && arrival.amountMsat !== asked) return `${product.name} costs ${asked} msat`;
    return this.faults.reason(product.id) ?? this.faults.reason() ?? this.delivery.fault?.();
  }

  /** The reference of a push says it; an HTLC's invoice stays until it is served, or says it itself. */
  private async productOf(arrival: Arrival): Promise<Product | undefined> {
    const { reference } = arrival;
    const ofInvoice =
      this.till.soldOf(arrival)?.product ?? this.htlcs.invoiceOf(reference)?.product;
    const id = reference.length === 32 ? ofInvoice : productOfReference(reference);
    return id === undefined ? undefined : this.prices.find(id);
  }

  private async delivered(arrival: Arrival, product: Product): Promise<void> {
    const { reference, channelId } = arrival;
    await this.forget(arrival);
    this.host.tell({ type: "delivered", product: product.id, reference });
    this.report(channelId, reference, true, product.name);
  }

  /** What an invoice asks for, and whether it can be delivered. */
  private async quote(id: number | undefined) {
    const product = id === undefined ? undefined : await this.prices.find(id);
    if (!product) throw new Error("say which product: this machine sells no other");
    const fault = this.machineFault() ?? this.faults.reason(product.id);
    if (fault !== undefined) throw new Error(fault);
    const description = `${this.options.machine}: ${product.name}`;
    return { amountMsat: product.priceMsat, description };
  }

  /** It is served: what was kept for it is not needed any more. */
  private async forget(arrival: Arrival): Promise<void> {
    const fallen = (await this.delivery.fallen?.()) ?? 0;
    await this.till.done(arrival, (notes) => {
      const { invoices } = decodeNotes(notes);
      const others = invoices.filter((one) => !equal(one.paymentHash, arrival.reference));
      return encodeNotes({ fallen, invoices: others });
    });
  }

  /** What the counter of products says about the one that was under way; HTLCs that were paid meanwhile. */
  private async afterPowerCut(): Promise<void> {
    const { inbox } = this.host;
    const { fallen: before } = decodeNotes(inbox.notes);
    const fallen = (await this.delivery.fallen?.()) ?? before;
    if (fallen > before) {
      for (const arrival of inbox.arrivals) {
        const { isDuplicate, begun, owed, delivered } = arrival;
        if (isDuplicate || begun || owed || delivered) continue;
        const product = await this.productOf(arrival);
        if (!product || this.refusalOf(arrival, product) !== undefined) continue;
        await this.delivered(arrival, product);
        break;
      }
    }
    await this.htlcs.afterPowerCut();
  }

  /** A second payment under a reference says nothing about the first. */
  private undelivered(arrival: Arrival, note: string): void {
    if (!arrival.isDuplicate) this.report(arrival.channelId, arrival.reference, false, note);
  }

  private report(
    channelId: Arrival["channelId"],
    reference: Uint8Array,
    delivered: boolean,
    note: string,
  ): void {
    const peer = this.host.node.record(channelId)?.remoteNodeId;
    if (peer) this.tellPayer(peer, reference, delivered, note);
  }

  private tellPayer(peer: PublicKey, reference: Uint8Array, delivered: boolean, text: string) {
    const note = shortened(text, MAX_NOTE);
    this.host.node.sendService(peer, { type: "delivery", reference, delivered, note });
  }

  /** After a reconnect a payer asks; what waits is served, and told then. */
  private async answerDelivery(peer: PublicKey, asked: Uint8Array): Promise<void> {
    const { crypto, store, inbox } = this.host;
    // A preimage is the proof that its HTLC was paid.
    const reference = asked.length === 32 ? crypto.sha256(asked) : asked;
    if (reference.length !== 32 && reference.length !== 16) return;
    if (this.htlcs.invoiceOf(reference) || inbox.isWaiting(reference)) {
      this.till.serve();
      return;
    }
    if (reference.length === 16 && !(await store.isCredited(reference))) {
      if (!this.isPaying(peer)) this.tellPayer(peer, reference, false, NOT_ARRIVED);
      return;
    }
    const refund = refundReference(crypto, { reference, isDuplicate: false } as Arrival);
    const refunded = await store.isDebited(refund);
    this.tellPayer(peer, reference, !refunded, refunded ? REFUNDED : "delivered before");
  }

  /** Something of this peer's is not yet irrevocable: it is told of when it is. */
  private isPaying(peer: PublicKey): boolean {
    return this.host.node.channels().some(({ channel }) => {
      if (channel.kind !== "live" || !equal(channel.record.remoteNodeId, peer)) return false;
      return hasUnsettled(channel.record);
    });
  }
}
