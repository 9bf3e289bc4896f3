/** A vending machine: announces what it can deliver, is paid by push or HTLC, delivers or gives the money back (DESIGN "Ready → pay → delivered"). */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { type Payment, packPayments, unpackPayments } from "../../core/payments/push.ts";
import {
  type ChannelId,
  type MilliSatoshi,
  type Preimage,
  type PublicKey,
  paymentHash,
  preimage,
} from "../../core/primitives/brands.ts";
import { ascii, concat, equal, toHex } from "../../core/primitives/bytes.ts";
import type { App, AppHost } from "./app.ts";

export interface Product {
  readonly id: number;
  readonly name: string;
  readonly priceMsat: MilliSatoshi;
}

export interface VendingOptions {
  readonly machine: string;
  readonly products: readonly Product[];
  /** Pulses the motor; resolves when the sensor saw the product fall, rejects when it did not. */
  deliver(product: Product): Promise<void>;
}

/** A reference begins with its product's number, so that a payment says what it buys. */
export const PRODUCT_BYTES = 2;
/** Settled references that are remembered; a payer has fewer deliveries outstanding. */
const SETTLED_KEPT = 16;
const SETTLED_KEY = "app/settled";
/** Invoices that may be open at a time; the oldest is forgotten, its HTLC is then failed. */
const MAX_INVOICES = 16;
const INVOICES_KEY = "app/invoices";
const CLTV_EXPIRY_DELTA = 40;

interface Invoice {
  readonly preimage: Preimage;
  readonly product: number;
}

export class VendingApp implements App {
  readonly name = "vending";
  private host: AppHost | undefined;
  private readonly connected = new Map<string, PublicKey>();
  /** 16 bytes each, oldest first: delivered or refunded. */
  private settled: Uint8Array[] = [];
  private invoices: Invoice[] = [];
  /** References whose product is on its way: asked about meanwhile, it is not delivered a second time. */
  private readonly serving = new Set<string>();

  constructor(private readonly options: VendingOptions) {}

  async start(host: AppHost): Promise<void> {
    this.host = host;
    const settled = await host.store.getValue(SETTLED_KEY);
    if (settled) this.settled = chunks(settled, 16);
    const invoices = await host.store.getValue(INVOICES_KEY);
    if (!invoices) return;
    this.invoices = chunks(invoices, 34).map((entry) => ({
      product: ((entry[0] as number) << 8) | (entry[1] as number),
      preimage: preimage(entry.slice(2)),
    }));
  }

  onPeer(peer: PublicKey, connected: boolean): void {
    if (!connected) {
      this.connected.delete(toHex(peer));
      return;
    }
    this.connected.set(toHex(peer), peer);
    this.announce(peer);
  }

  private announce(peer: PublicKey): void {
    const { machine, products } = this.options;
    this.host?.node.sendService(peer, { type: "price_list", machine, ready: true, products });
  }

  onChannelEvent(id: ChannelId, event: ChannelEvent): void {
    const record = this.host?.node.record(id);
    if (!record) return;
    const peer = record.remoteNodeId;
    switch (event.type) {
      case "pushReceived": {
        const { declined, duplicates = [] } = event;
        unpackPayments(event.payments).forEach((payment, i) => {
          if (duplicates.includes(i))
            this.refund(id, peer, payment, "the reference was used before");
          else if (declined) this.refund(id, peer, payment, declined);
          else this.run(this.serve(id, peer, payment));
        });
        return;
      }
      case "htlcReceived":
        this.htlcReceived(id, event);
        return;
      case "htlcSettled": {
        const invoice = this.invoiceOf(event.paymentHash);
        if (event.fulfilled && invoice) this.run(this.serveInvoice(peer, invoice));
        return;
      }
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
      this.host?.tell({ type: "failed", reason });
    });
  }

  /** A paid reference becomes a delivery, or the money goes back. */
  private async serve(id: ChannelId, peer: PublicKey, payment: Payment): Promise<void> {
    const { reference, amountMsat } = payment;
    this.host?.tell({ type: "paid", reference, amountMsat });
    const product = this.productOf(reference);
    if (!product) return this.refund(id, peer, payment, "there is no such product");
    if (amountMsat !== product.priceMsat) {
      return this.refund(id, peer, payment, `${product.name} costs ${product.priceMsat} msat`);
    }
    const key = toHex(reference);
    this.serving.add(key);
    try {
      const failure = await this.failureOf(product);
      if (failure !== undefined) return this.refund(id, peer, payment, failure);
      await this.settle(reference);
    } finally {
      this.serving.delete(key);
    }
    this.host?.tell({ type: "delivered", product: product.id, reference });
    this.report(peer, reference, true, product.name);
  }

  /** Undefined where it was delivered. */
  private async failureOf(product: Product): Promise<string | undefined> {
    try {
      await this.options.deliver(product);
      return undefined;
    } catch (cause) {
      return cause instanceof Error ? cause.message : "it did not come out";
    }
  }

  private productOf(reference: Uint8Array): Product | undefined {
    const id = ((reference[0] as number) << 8) | (reference[1] as number);
    return this.options.products.find((product) => product.id === id);
  }

  /** Pushes the amount back under a reference that follows from the first: asked twice, it is paid once. */
  private refund(id: ChannelId, peer: PublicKey, payment: Payment, reason: string): void {
    const { host } = this;
    if (!host) return;
    const { reference: paid, amountMsat } = payment;
    const hash = host.crypto.sha256(concat(ascii("picobolt refund"), paid));
    const reference = hash.slice(0, 16);
    host.node.command(id, { type: "push", payments: packPayments([{ reference, amountMsat }]) });
    host.tell({ type: "refunded", reference: paid, reason });
    this.run(this.settle(paid));
    this.report(peer, paid, false, `${reason}: your money was given back`);
  }

  private report(peer: PublicKey, reference: Uint8Array, delivered: boolean, note: string): void {
    this.host?.node.sendService(peer, { type: "delivery", reference, delivered, note });
  }

  private async settle(reference: Uint8Array): Promise<void> {
    this.settled = [...this.settled, reference.slice(0, 16)].slice(-SETTLED_KEPT);
    await this.host?.store.setValue(SETTLED_KEY, concat(...this.settled));
  }

  /** After a reconnect a payer asks; what was credited and not delivered (a power cut) is delivered now. */
  private async answerDelivery(peer: PublicKey, reference: Uint8Array): Promise<void> {
    const { host } = this;
    if (!host) return;
    if (reference.length === 32) return this.answerProof(peer, host.crypto.sha256(reference));
    if (reference.length !== 16) return;
    if (this.settled.some((one) => equal(one, reference))) {
      this.report(peer, reference, true, "delivered before");
      return;
    }
    if (!(await host.store.isCredited(reference))) {
      this.report(peer, reference, false, "this payment did not arrive");
      return;
    }
    const product = this.productOf(reference);
    const key = toHex(reference);
    if (!product || this.serving.has(key)) return;
    this.serving.add(key);
    try {
      await this.options.deliver(product);
      await this.settle(reference);
    } finally {
      this.serving.delete(key);
    }
    host.tell({ type: "delivered", product: product.id, reference });
    this.report(peer, reference, true, product.name);
  }

  /** A preimage is the proof that its HTLC was paid: an invoice still open was not yet served. */
  private async answerProof(peer: PublicKey, hash: Uint8Array): Promise<void> {
    const invoice = this.invoiceOf(hash);
    if (invoice) await this.serveInvoice(peer, invoice);
    else
      this.report(
        peer,
        hash,
        this.settled.some((one) => equal(one, hash.slice(0, 16))),
        "asked before",
      );
  }

  /** The preimage is stored before its hash is told: an HTLC that comes after a power cut can still be taken. */
  private async makeInvoice(
    peer: PublicKey,
    { request, product: productId }: MessageNamed<"invoice_request">,
  ): Promise<void> {
    const { host } = this;
    const product = this.options.products.find(({ id }) => id === productId);
    if (!host || !product) return;
    const secret = preimage(host.entropy.random(32));
    const invoices = [...this.invoices, { preimage: secret, product: product.id }];
    await this.storeInvoices(invoices.slice(-MAX_INVOICES));
    host.node.sendService(peer, {
      type: "invoice",
      request,
      amountMsat: product.priceMsat,
      paymentHash: paymentHash(host.crypto.sha256(secret)),
      cltvExpiryDelta: CLTV_EXPIRY_DELTA,
    });
  }

  private async storeInvoices(invoices: Invoice[]): Promise<void> {
    this.invoices = invoices;
    const entries = invoices.map(({ product, preimage: secret }) =>
      concat(Uint8Array.of(product >> 8, product & 0xff), secret),
    );
    await this.host?.store.setValue(INVOICES_KEY, concat(...entries));
  }

  private htlcReceived(
    id: ChannelId,
    { htlc, declined }: Extract<ChannelEvent, { type: "htlcReceived" }>,
  ): void {
    const { host } = this;
    if (!host) return;
    const invoice = this.invoiceOf(htlc.paymentHash);
    const product = this.options.products.find((one) => one.id === invoice?.product);
    const fail = (reason: string) =>
      host.node.command(id, { type: "failHtlc", htlcId: htlc.id, reason: ascii(reason) });
    if (declined) fail("declined: the machine is offline");
    else if (!invoice || !product) fail("unknown payment hash");
    else if (htlc.amountMsat !== product.priceMsat) fail("wrong amount");
    else if (htlc.cltvExpiry < host.node.height + CLTV_EXPIRY_DELTA / 2) fail("expires too soon");
    else {
      host.node.command(id, { type: "fulfillHtlc", htlcId: htlc.id, preimage: invoice.preimage });
    }
  }

  private invoiceOf(hash: Uint8Array): Invoice | undefined {
    const sha256 = (bytes: Uint8Array) => this.host?.crypto.sha256(bytes) ?? bytes;
    return this.invoices.find(({ preimage: secret }) => equal(sha256(secret), hash));
  }

  private async serveInvoice(peer: PublicKey, invoice: Invoice): Promise<void> {
    const { host } = this;
    const product = this.options.products.find((one) => one.id === invoice.product);
    if (!host || !product) return;
    const reference = host.crypto.sha256(invoice.preimage);
    await this.storeInvoices(this.invoices.filter((one) => one !== invoice));
    host.tell({ type: "paid", reference, amountMsat: product.priceMsat });
    await this.options.deliver(product);
    await this.settle(reference);
    host.tell({ type: "delivered", product: product.id, reference });
    this.report(peer, reference, true, product.name);
  }
}

function chunks(bytes: Uint8Array, size: number): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = 0; at + size <= bytes.length; at += size) out.push(bytes.slice(at, at + size));
  return out;
}
