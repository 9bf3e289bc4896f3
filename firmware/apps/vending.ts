/** A vending machine: announces what it can deliver, is paid by push or HTLC, delivers or gives the money back (DESIGN "Ready → pay → delivered"). */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { utf8Length } from "../../core/messages/utf8.ts";
import { unpackPayments } from "../../core/payments/push.ts";
import {
  type MilliSatoshi,
  type PublicKey,
  paymentHash,
  preimage,
} from "../../core/primitives/brands.ts";
import { ascii, equal, toHex } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import type { App, AppHost } from "./app.ts";
import type { Arrival, Inbox } from "./inbox.ts";
import {
  decodeNotes,
  encodeNotes,
  hasUnsettled,
  type Invoice,
  isUnderWay,
  openInvoice,
  withInvoice,
} from "./invoices.ts";
import { type Product, priceListOf } from "./product.ts";
import { Refunds, refundReference } from "./refunds.ts";

export interface VendingOptions {
  readonly machine: string;
  readonly products: readonly Product[];
  /** Pulses the motor; resolves when the sensor saw the product fall, rejects when it did not. One at a time. */
  deliver(product: Product): Promise<void>;
  /**
   * Products that ever fell, by a counter that survives power cuts. Without one, what was being delivered when power
   * failed is paid back: the motor may be what brought the power down.
   */
  fallen?(): number | Promise<number>;
}

const CLTV_EXPIRY_DELTA = 40;
/** Bytes of a `delivery`'s note. */
const MAX_NOTE = 128;
const NOT_ARRIVED = "this payment did not arrive";
const OWED = "your money is given back as soon as it can be";
const REFUNDED = "your money was given back";

export class VendingApp implements App {
  readonly name = "vending";
  readonly takesPayments = true;
  private host!: AppHost & { readonly inbox: Inbox };
  private refunds!: Refunds;
  private readonly connected = new Map<string, PublicKey>();
  /** Of arrivals that are being served or given back. */
  private readonly taken = new Set<number>();
  /** Reasons by arrival, told with the payment. */
  private readonly declined = new Map<number, string>();
  private serving = false;
  private readonly priceList: Message;

  constructor(private readonly options: VendingOptions) {
    this.priceList = priceListOf(options.machine, options.products);
  }

  async start(host: AppHost): Promise<void> {
    const { inbox, crypto, store, node } = host;
    assert(inbox, "a machine keeps an inbox");
    this.host = { ...host, inbox };
    this.refunds = new Refunds({
      crypto,
      store,
      push: (channelId, payments) => node.command(channelId, { type: "push", payments }),
      onRefunded: (arrival, reason) => this.run(this.refunded(arrival, reason)),
      onDelayed: (arrival, reason) => {
        if (arrival.isDuplicate) return;
        this.report(arrival.channelId, arrival.reference, false, `${reason}: ${OWED}`);
      },
    });
    await this.afterPowerCut();
    this.serve();
  }

  onPeer(peer: PublicKey, connected: boolean): void {
    if (connected) {
      this.connected.set(toHex(peer), peer);
      this.host.node.sendService(peer, this.priceList);
    } else {
      this.connected.delete(toHex(peer));
    }
  }

  onTip(): void {
    this.serve();
  }

  onChannelEvent(id: Arrival["channelId"], event: ChannelEvent): void {
    switch (event.type) {
      case "pushReceived":
        if (event.declined) this.decline(id, event.payments, event.declined);
        this.serve();
        return;
      case "htlcReceived":
        this.run(this.htlcReceived(id, event));
        return;
      case "htlcSettled":
        if (event.fulfilled) this.run(this.htlcPaid(event.paymentHash, event.amountMsat));
        return;
      case "pushCommitted":
        this.refunds.committed(event.payments);
        return;
      case "rejected":
        this.refunds.rejected(event);
        return;
      case "reestablished":
        this.refunds.reconnected(id);
        this.serve();
        return;
      default:
        return;
    }
  }

  onMessage(peer: PublicKey, message: Message): boolean {
    switch (message.type) {
      case "invoice_request":
        this.run(this.makeInvoice(peer, message));
        return true;
      case "delivery_request":
        this.run(this.answerDelivery(peer, message.reference));
        return true;
      default:
        return false;
    }
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.host.tell({ type: "failed", reason });
    });
  }

  // Serving.

  /** One after the other: there is one motor. */
  private serve(): void {
    if (this.serving) return;
    this.serving = true;
    const all = async () => {
      try {
        for (let next = this.next(); next; next = this.next()) await this.serveOne(next);
        await this.refunds.pay();
      } finally {
        this.serving = false;
      }
      if (this.next()) this.serve();
    };
    this.run(all());
  }

  private next(): Arrival | undefined {
    return this.host.inbox.arrivals.find(({ number }) => !this.taken.has(number));
  }

  /** A paid reference becomes a delivery, or the money goes back. */
  private async serveOne(arrival: Arrival): Promise<void> {
    const { number, reference, amountMsat, channelId } = arrival;
    this.taken.add(number);
    if (!this.host.node.record(channelId)) {
      const reason = `a channel ended, and ${amountMsat} msat that bought nothing stay here`;
      this.host.tell({ type: "failed", reason });
      await this.forget(arrival);
      return;
    }
    this.host.tell({ type: "paid", reference, amountMsat });
    const refusal = this.refusalOf(arrival);
    const product = this.productOf(reference);
    if (refusal !== undefined || !product) {
      this.refunds.add(arrival, refusal ?? "there is no such product");
      return;
    }
    try {
      if (!this.options.fallen) await this.mark(arrival);
      await this.options.deliver(product);
    } catch (cause) {
      this.refunds.add(arrival, cause instanceof Error ? cause.message : "it did not come out");
      return;
    }
    await this.delivered(arrival, product);
  }

  private refusalOf(arrival: Arrival): string | undefined {
    const product = this.productOf(arrival.reference);
    if (arrival.isDuplicate) return "the reference was used before";
    if (arrival.begun) return "power failed while it was delivered";
    const declined = this.declined.get(arrival.number);
    if (declined !== undefined) return declined;
    const isFair = product === undefined || arrival.amountMsat === product.priceMsat;
    return isFair ? undefined : `${product.name} costs ${product.priceMsat} msat`;
  }

  /** The reference of a push says it; an HTLC's invoice stays until it is served. */
  private productOf(reference: Uint8Array): Product | undefined {
    const ofPush = ((reference[0] as number) << 8) | (reference[1] as number);
    const id = reference.length === 32 ? this.invoiceOf(reference)?.product : ofPush;
    return this.options.products.find((product) => product.id === id);
  }

  private decline(id: Arrival["channelId"], payments: Uint8Array, reason: string): void {
    for (const { reference } of unpackPayments(payments)) {
      for (const arrival of this.host.inbox.arrivals) {
        const isThis = equal(arrival.reference, reference) && equal(arrival.channelId, id);
        if (isThis && !this.taken.has(arrival.number)) this.declined.set(arrival.number, reason);
      }
    }
  }

  private async mark(arrival: Arrival): Promise<void> {
    await this.host.inbox.update((state) => ({
      ...state,
      arrivals: state.arrivals.map((one) =>
        one.number === arrival.number ? { ...one, begun: true } : one,
      ),
    }));
  }

  private async delivered(arrival: Arrival, product: Product): Promise<void> {
    const { reference, channelId } = arrival;
    await this.forget(arrival);
    this.host.tell({ type: "delivered", product: product.id, reference });
    this.report(channelId, reference, true, product.name);
  }

  private async refunded(arrival: Arrival, reason: string): Promise<void> {
    const { reference, channelId } = arrival;
    await this.forget(arrival);
    this.host.tell({ type: "refunded", reference, reason });
    // A second payment under a reference says nothing about the first.
    if (!arrival.isDuplicate) this.report(channelId, reference, false, `${reason}: ${REFUNDED}`);
  }

  /** It is served: what was kept for it is not needed any more. */
  private async forget(arrival: Arrival): Promise<void> {
    const fallen = await this.options.fallen?.();
    await this.host.inbox.update(({ arrivals, notes }) => ({
      arrivals: arrivals.filter(({ number }) => number !== arrival.number),
      notes: encodeNotes({
        fallen: fallen ?? 0,
        invoices: decodeNotes(notes).invoices.filter(
          (one) => !equal(one.paymentHash, arrival.reference),
        ),
      }),
    }));
    this.taken.delete(arrival.number);
    this.declined.delete(arrival.number);
  }

  /** What the counter of products says about the one that was under way; HTLCs that were paid meanwhile. */
  private async afterPowerCut(): Promise<void> {
    const { inbox, node } = this.host;
    const { fallen: before, invoices } = decodeNotes(inbox.notes);
    const fallen = (await this.options.fallen?.()) ?? before;
    const first = inbox.arrivals.find((one) => this.refusalOf(one) === undefined);
    const product = first && this.productOf(first.reference);
    if (first && product && fallen > before) await this.delivered(first, product);
    for (const { taken, paymentHash: hash, product: id } of invoices) {
      const record = taken && node.record(taken.channelId);
      const price = this.options.products.find((one) => one.id === id)?.priceMsat;
      if (!record || price === undefined || isUnderWay(record, taken.htlcId)) continue;
      await this.htlcPaid(hash, price);
    }
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
    let note = text;
    while (utf8Length(note) > MAX_NOTE) note = [...note].slice(0, -1).join("");
    this.host.node.sendService(peer, { type: "delivery", reference, delivered, note });
  }

  /** After a reconnect a payer asks; what waits is served, and told then. */
  private async answerDelivery(peer: PublicKey, asked: Uint8Array): Promise<void> {
    const { crypto, store, inbox } = this.host;
    // A preimage is the proof that its HTLC was paid.
    const reference = asked.length === 32 ? crypto.sha256(asked) : asked;
    if (reference.length !== 32 && reference.length !== 16) return;
    if (this.invoiceOf(reference) || inbox.isWaiting(reference)) {
      this.serve();
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

  // HTLCs.

  private invoiceOf(hash: Uint8Array): Invoice | undefined {
    const { invoices } = decodeNotes(this.host.inbox.notes);
    return invoices.find((one) => equal(one.paymentHash, hash));
  }

  private changeInvoices(change: (invoices: readonly Invoice[]) => readonly Invoice[]) {
    return this.host.inbox.update((state) => {
      const { fallen, invoices } = decodeNotes(state.notes);
      return { ...state, notes: encodeNotes({ fallen, invoices: change(invoices) }) };
    });
  }

  /** The preimage is stored before its hash is told. Who has no channel gets none, who asks again gets the same. */
  private async makeInvoice(
    peer: PublicKey,
    { request, product: productId }: MessageNamed<"invoice_request">,
  ): Promise<void> {
    const { node, crypto, entropy } = this.host;
    const product = this.options.products.find(({ id }) => id === productId);
    const hasChannel = node
      .channels()
      .some(({ channel }) => channel.kind === "live" && equal(channel.record.remoteNodeId, peer));
    if (!product || !hasChannel) return;
    const { invoices } = decodeNotes(this.host.inbox.notes);
    let invoice = openInvoice(invoices, peer, product.id);
    if (!invoice) {
      const secret = preimage(entropy.random(32));
      const hash = paymentHash(crypto.sha256(secret));
      const fresh = { payer: peer, product: product.id, preimage: secret, paymentHash: hash };
      invoice = { ...fresh, madeAtHeight: node.height };
      const list = withInvoice(invoices, invoice);
      if (!list) return; // it has enough of them to pay
      await this.changeInvoices(() => list);
    }
    const { priceMsat: amountMsat } = product;
    const asked = { request, amountMsat, paymentHash: invoice.paymentHash };
    node.sendService(peer, { type: "invoice", ...asked, cltvExpiryDelta: CLTV_EXPIRY_DELTA });
  }

  /** Told again after each reconnect until it is settled. */
  private async htlcReceived(
    channelId: Arrival["channelId"],
    { htlc, declined }: Extract<ChannelEvent, { type: "htlcReceived" }>,
  ): Promise<void> {
    const { node } = this.host;
    const htlcId = htlc.id;
    const invoice = this.invoiceOf(htlc.paymentHash);
    const product = this.options.products.find((one) => one.id === invoice?.product);
    const fail = (reason: string) =>
      node.command(channelId, { type: "failHtlc", htlcId, reason: ascii(reason) });
    const isThis = invoice?.taken?.htlcId === htlcId && equal(invoice.taken.channelId, channelId);
    if (!invoice || !product || (invoice.taken && !isThis)) fail("unknown payment hash");
    else if (!isThis && declined) fail(declined);
    else if (!isThis && htlc.amountMsat !== product.priceMsat) fail("wrong amount");
    else if (!isThis && htlc.cltvExpiry < node.height + CLTV_EXPIRY_DELTA / 2) {
      fail("expires too soon");
    } else {
      if (!isThis) {
        await this.changeInvoices((all) =>
          all.map((one) =>
            equal(one.paymentHash, invoice.paymentHash)
              ? { ...one, taken: { channelId, htlcId } }
              : one,
          ),
        );
      }
      node.command(channelId, { type: "fulfillHtlc", htlcId, preimage: invoice.preimage });
    }
  }

  /** From here on it is a payment like any other. */
  private async htlcPaid(hash: Uint8Array, amountMsat: MilliSatoshi): Promise<void> {
    const { inbox } = this.host;
    const invoice = this.invoiceOf(hash);
    if (!invoice?.taken || inbox.isWaiting(hash)) return;
    const { channelId } = invoice.taken;
    const paid = { channelId, reference: hash.slice(), amountMsat };
    const arrival = inbox.numbered({ ...paid, isDuplicate: false, begun: false });
    await inbox.update((state) => ({ ...state, arrivals: [...state.arrivals, arrival] }));
    this.serve();
  }
}
