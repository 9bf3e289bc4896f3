/** Sales by BOLT 11 invoice: the HTLC is held until the app has served it, and its preimage shown only then; else it fails and the payer has its money. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { MessageNamed } from "../../core/messages/message.ts";
import type { ChannelId, MilliSatoshi, PublicKey } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { DeviceInvoices, FINAL_CLTV_DELTA, type SoldTerms } from "./device-invoice.ts";
import type { Arrival } from "./inbox.ts";
import { isUnderWay } from "./invoices.ts";
import { shortened, textOf } from "./notes.ts";
import type { TillHost } from "./till.ts";

export interface Asked {
  readonly product: number | undefined;
  readonly amountMsat: MilliSatoshi | undefined;
}

export interface Quote {
  readonly amountMsat: MilliSatoshi;
  /** What it is for, in the invoice. */
  readonly description: string;
}

/** What an invoice would ask for; throws, in words, where it cannot be served now. */
export type QuoteMaker = (asked: Asked) => Promise<Quote>;

type Received = Extract<ChannelEvent, { type: "htlcReceived" }>;

/** BOLT 4: incorrect_or_unknown_payment_details. */
const UNKNOWN_PAYMENT = Uint8Array.of(0x40, 15);
const MAX_NOTE = 96;
/** Of `Quote.amountMsat`, in millisatoshi: what 48 bits hold. */
const MAX_AMOUNT_MSAT = 2 ** 48 - 1;
/** BOLT 4: a payer may add something against being traced, not more than this. */
const MOST_TIMES_OVERPAID = 2;
/** Below this nothing is delivered any more: there must be time to have the money on chain. */
const LEAST_BLOCKS = FINAL_CLTV_DELTA / 2;
const LATER = "it could not be delivered";

export class InvoiceSales {
  private readonly invoices: DeviceInvoices | undefined;
  /** Why they go back, for the payer; by number. */
  private readonly reasons = new Map<number, string>();

  constructor(
    private readonly host: TillHost,
    private readonly quote: QuoteMaker,
    /** A payment came; one that was decided has left its channel. */
    private readonly heard: { arrived(): void; settled(arrival: Arrival, reason: string): void },
  ) {
    const { invoices: place, crypto, entropy, clock, node } = host;
    if (!place) return;
    const height = () => node.height;
    const nowSeconds = () => clock?.nowSeconds();
    this.invoices = new DeviceInvoices({ ...place, crypto, entropy, height, nowSeconds });
  }

  async answer(peer: PublicKey, asked: MessageNamed<"bolt11_request">): Promise<void> {
    const { request } = asked;
    const descriptionHash = asked.descriptionHash?.slice();
    const { node } = this.host;
    let invoice: string | undefined;
    let note: string | undefined;
    try {
      invoice = await this.make(asked, descriptionHash);
    } catch (cause) {
      note = shortened(textOf(cause), MAX_NOTE);
    }
    node.sendService(peer, { type: "bolt11", request, invoice, note });
  }

  private async make(asked: Asked, descriptionHash?: Uint8Array): Promise<string> {
    const { invoices, host } = this;
    if (!invoices) throw new Error("this device makes no invoices");
    const refusal = host.declineReason?.();
    if (refusal !== undefined) throw new Error(refusal);
    const { product } = asked;
    const quoted = await this.quote({ product, amountMsat: asked.amountMsat });
    if (quoted.amountMsat > MAX_AMOUNT_MSAT) throw new Error("that is more than can be asked for");
    return invoices.make({ ...quoted, product, descriptionHash });
  }

  /** An HTLC with instructions; told again after each reconnect until it is settled. */
  async received(channelId: ChannelId, { htlc, declined }: Received): Promise<void> {
    const { inbox } = this.host;
    const { id: htlcId, paymentHash, amountMsat } = htlc;
    const known = inbox.arrivals.find(({ reference }) => equal(reference, paymentHash));
    if (known) {
      const isThis = known.held?.htlcId === htlcId && equal(known.channelId, channelId);
      if (isThis) this.resolve(known);
      else this.fail(channelId, htlcId, UNKNOWN_PAYMENT);
      return;
    }
    const secret = this.secretOf(htlc);
    if (!secret) {
      this.fail(channelId, htlcId, UNKNOWN_PAYMENT);
      return;
    }
    const refusal = declined ?? (await this.refusal(secret));
    if (refusal !== undefined) {
      this.fail(channelId, htlcId, plain(refusal));
      return;
    }
    const held = { htlcId, secret };
    const reference = paymentHash.slice();
    const fresh = { channelId, reference, amountMsat, isDuplicate: false, begun: false, held };
    const arrival = inbox.numbered(fresh);
    await inbox.update((state) => {
      const isTaken = state.arrivals.some((one) => equal(one.reference, reference));
      return isTaken ? state : { ...state, arrivals: [...state.arrivals, arrival] };
    });
    if (inbox.arrivals.some(({ number }) => number === arrival.number)) this.heard.arrived();
    else await this.received(channelId, { type: "htlcReceived", htlc });
  }

  /** Undefined: no invoice of ours asks for this, or not any more, or not so. */
  private secretOf(htlc: Received["htlc"]): Uint8Array | undefined {
    const { invoices, host } = this;
    const opened = invoices?.open(htlc.onion, htlc.paymentHash);
    if (!invoices || !opened) return undefined;
    const { amountMsat, isExpired } = invoices.terms(opened.paymentSecret);
    const isAmount = htlc.amountMsat >= opened.totalMsat && opened.totalMsat >= amountMsat;
    const isFair = isAmount && htlc.amountMsat <= MOST_TIMES_OVERPAID * amountMsat;
    const isInTime = htlc.cltvExpiry >= host.node.height + LEAST_BLOCKS;
    return isFair && isInTime && !isExpired ? opened.paymentSecret : undefined;
  }

  private async refusal(secret: Uint8Array): Promise<string | undefined> {
    try {
      await this.quote(this.termsOf(secret));
      return undefined;
    } catch (cause) {
      return textOf(cause);
    }
  }

  /** What a held payment buys. */
  soldOf({ held }: Arrival): SoldTerms | undefined {
    return held && this.termsOf(held.secret);
  }

  private termsOf(secret: Uint8Array): SoldTerms {
    if (!this.invoices) throw new Error("this device makes no invoices");
    return this.invoices.terms(secret);
  }

  /** Just before it is served: why it is not any more. */
  refusalOf({ channelId, held }: Arrival): string | undefined {
    const { node } = this.host;
    const record = node.record(channelId);
    const htlc = record?.base.htlcs.find((one) => !one.offeredByLocal && one.id === held?.htlcId);
    if (!htlc || record?.phase !== "normal") return "its channel is closing";
    return htlc.cltvExpiry < node.height + LEAST_BLOCKS ? "it came too late" : undefined;
  }

  /** It was decided, durably: the preimage is shown, or it is failed. Again after a restart and a reconnect. */
  resolve(arrival: Arrival, reason?: string): void {
    const { channelId, held, number, delivered, owed } = arrival;
    if (!held || !(delivered || owed)) return;
    const { htlcId } = held;
    if (reason !== undefined) this.reasons.set(number, reason);
    if (delivered) {
      const { preimage } = this.termsOf(held.secret);
      this.host.node.command(channelId, { type: "fulfillHtlc", htlcId, preimage });
    } else this.fail(channelId, htlcId, plain(this.reasons.get(number) ?? LATER));
  }

  /** What was decided and stands in its channel is settled there; what left it is done with. */
  sweep(): void {
    const { inbox, node } = this.host;
    for (const arrival of inbox.arrivals) {
      const { held, channelId, number, delivered, owed } = arrival;
      if (!held || !(delivered || owed)) continue;
      const record = node.record(channelId);
      if (record ? isUnderWay(record, held.htlcId) : node.isStored(channelId)) {
        this.resolve(arrival);
        continue;
      }
      this.heard.settled(arrival, this.reasons.get(number) ?? LATER);
      this.reasons.delete(number);
    }
  }

  private fail(channelId: ChannelId, htlcId: number, reason: Uint8Array): void {
    this.host.node.command(channelId, { type: "failHtlc", htlcId, reason });
  }
}

/** As people who pay read it, whatever their program makes of other letters. */
function plain(text: string): Uint8Array {
  const out = new Uint8Array(Math.min(text.length, MAX_NOTE));
  for (let i = 0; i < out.length; i++) {
    const code = text.charCodeAt(i);
    out[i] = code >= 0x20 && code < 0x7f ? code : 0x3f;
  }
  return out;
}
