/** Sales by HTLC: invoices at a price that holds, preimages given away once, and from then on a payment like any other. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { MessageNamed } from "../../core/messages/message.ts";
import {
  type ChannelId,
  type MilliSatoshi,
  type PublicKey,
  paymentHash,
  preimage,
} from "../../core/primitives/brands.ts";
import { ascii, equal } from "../../core/primitives/bytes.ts";
import type { AppHost } from "./app.ts";
import type { Inbox } from "./inbox.ts";
import {
  decodeNotes,
  encodeNotes,
  type Invoice,
  isUnderWay,
  openInvoice,
  withInvoice,
} from "./invoices.ts";
import type { Product } from "./product.ts";

const CLTV_EXPIRY_DELTA = 40;

export interface HtlcSalesParts {
  readonly host: AppHost & { readonly inbox: Inbox };
  find(id: number): Promise<Product | undefined>;
  /** Why this product cannot come out now. */
  fault(product: number): string | undefined;
  /** An HTLC was paid and stands in the inbox. */
  paid(): void;
}

export class HtlcSales {
  constructor(private readonly parts: HtlcSalesParts) {}

  invoiceOf(hash: Uint8Array): Invoice | undefined {
    const { invoices } = decodeNotes(this.parts.host.inbox.notes);
    return invoices.find((one) => equal(one.paymentHash, hash));
  }

  /** The preimage is stored before its hash is told. Who has no channel gets none, who asks again gets the same. */
  async makeInvoice(
    peer: PublicKey,
    { request, product: productId }: MessageNamed<"invoice_request">,
  ): Promise<void> {
    const { host, find, fault } = this.parts;
    const { node, crypto, entropy, inbox } = host;
    const product = await find(productId);
    const hasChannel = node
      .channels()
      .some(({ channel }) => channel.kind === "live" && equal(channel.record.remoteNodeId, peer));
    if (!product || !hasChannel || fault(productId) !== undefined) return;
    const { id, priceMsat } = product;
    const { invoices } = decodeNotes(inbox.notes);
    let invoice = openInvoice(invoices, peer, id, priceMsat);
    if (!invoice) {
      const secret = preimage(entropy.random(32));
      const hash = paymentHash(crypto.sha256(secret));
      const fresh = { payer: peer, product: id, amountMsat: priceMsat, paymentHash: hash };
      invoice = { ...fresh, preimage: secret, madeAtHeight: node.height };
      const list = withInvoice(invoices, invoice);
      if (!list) return; // it has enough of them to pay
      await this.changeInvoices(() => list);
    }
    const { amountMsat } = invoice;
    const asked = { request, amountMsat, paymentHash: invoice.paymentHash };
    node.sendService(peer, { type: "invoice", ...asked, cltvExpiryDelta: CLTV_EXPIRY_DELTA });
  }

  /** Told again after each reconnect until it is settled. */
  async received(
    channelId: ChannelId,
    { htlc, declined }: Extract<ChannelEvent, { type: "htlcReceived" }>,
  ): Promise<void> {
    const { node } = this.parts.host;
    const htlcId = htlc.id;
    const invoice = this.invoiceOf(htlc.paymentHash);
    const fail = (reason: string) =>
      node.command(channelId, { type: "failHtlc", htlcId, reason: ascii(reason) });
    const isThis = invoice?.taken?.htlcId === htlcId && equal(invoice.taken.channelId, channelId);
    if (!invoice || (invoice.taken && !isThis)) fail("unknown payment hash");
    else if (!isThis && declined) fail(declined);
    else if (!isThis && htlc.amountMsat !== invoice.amountMsat) fail("wrong amount");
    else if (!isThis && htlc.cltvExpiry < node.height + CLTV_EXPIRY_DELTA / 2) {
      fail("expires too soon");
    } else if (!isThis && (await this.refusal(invoice))) fail("it cannot be delivered now");
    else {
      // Two with one hash may have come at once: the preimage is given away for one of them.
      if (!isThis && !(await this.take(invoice, channelId, htlcId))) {
        fail("unknown payment hash");
        return;
      }
      node.command(channelId, { type: "fulfillHtlc", htlcId, preimage: invoice.preimage });
    }
  }

  /** From here on it is a payment like any other. */
  async settled(hash: Uint8Array, amountMsat: MilliSatoshi): Promise<void> {
    const { inbox } = this.parts.host;
    const invoice = this.invoiceOf(hash);
    if (!invoice?.taken || inbox.isWaiting(hash)) return;
    const { channelId } = invoice.taken;
    const paid = { channelId, reference: hash.slice(), amountMsat };
    const arrival = inbox.numbered({ ...paid, isDuplicate: false, begun: false });
    await inbox.update((state) => ({ ...state, arrivals: [...state.arrivals, arrival] }));
    this.parts.paid();
  }

  /** HTLCs that were paid while nobody looked. */
  async afterPowerCut(): Promise<void> {
    const { inbox, node } = this.parts.host;
    for (const { taken, paymentHash: hash, amountMsat } of decodeNotes(inbox.notes).invoices) {
      const record = taken && node.record(taken.channelId);
      if (!record || isUnderWay(record, taken.htlcId)) continue;
      await this.settled(hash, amountMsat);
    }
  }

  /** Its product went, or jammed, since the invoice was made: the HTLC is failed, no money has moved. */
  private async refusal({ product }: Invoice): Promise<boolean> {
    const { find, fault } = this.parts;
    return fault(product) !== undefined || (await find(product)) === undefined;
  }

  /** False where another HTLC has it. */
  private async take(invoice: Invoice, channelId: ChannelId, htlcId: number): Promise<boolean> {
    await this.changeInvoices((all) =>
      all.map((one) => {
        const isFree = equal(one.paymentHash, invoice.paymentHash) && one.taken === undefined;
        return isFree ? { ...one, taken: { channelId, htlcId } } : one;
      }),
    );
    const taken = this.invoiceOf(invoice.paymentHash)?.taken;
    return taken?.htlcId === htlcId && equal(taken.channelId, channelId);
  }

  private changeInvoices(change: (invoices: readonly Invoice[]) => readonly Invoice[]) {
    return this.parts.host.inbox.update((state) => {
      const notes = decodeNotes(state.notes);
      return { ...state, notes: encodeNotes({ ...notes, invoices: change(notes.invoices) }) };
    });
  }
}
