/** The till of an app that takes payments: each is served once or goes back, whatever happens in between. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { MessageNamed } from "../../core/messages/message.ts";
import type { ChannelId, PublicKey } from "../../core/primitives/brands.ts";
import { assert } from "../../core/primitives/errors.ts";
import type { AppHost } from "./app.ts";
import type { SoldTerms } from "./device-invoice.ts";
import type { Arrival, Inbox } from "./inbox.ts";
import { InvoiceSales, type QuoteMaker } from "./invoice-sales.ts";
import { textOf } from "./notes.ts";
import { Refunds } from "./refunds.ts";

export interface TillApp {
  /**
   * One payment: end it by `till.done` or `till.giveBack`. Called one after the other, and again after a power cut where
   * neither had happened. A payment that is marked `begun` or `owed`, or is a duplicate, is given back by the till itself.
   */
  serve(arrival: Arrival): Promise<void>;
  /** With it the till makes BOLT 11 invoices; what pays them is served like a push, and the money comes only then. */
  readonly quote?: QuoteMaker;
  /** It went back, durably. */
  refunded?(arrival: Arrival, reason: string): void;
  /** It cannot go back now, and is tried again. */
  delayed?(arrival: Arrival, reason: string): void;
}

export type TillHost = AppHost & { readonly inbox: Inbox };

export class Till {
  readonly host: TillHost;
  readonly inbox: Inbox;
  private readonly refunds: Refunds;
  private readonly sales: InvoiceSales | undefined;
  private isSwept = false;
  /** Of arrivals that are being served or given back. */
  private readonly taken = new Set<number>();
  private serving = false;
  private stopped = false;

  constructor(
    host: AppHost,
    private readonly app: TillApp,
  ) {
    const { inbox, crypto, store, node } = host;
    assert(inbox, "an app that takes payments has an inbox");
    this.inbox = inbox;
    this.host = { ...host, inbox };
    this.refunds = new Refunds({
      crypto,
      store,
      node,
      onRefunded: (arrival, reason) => this.run(this.refunded(arrival, reason)),
      onDelayed: (arrival, reason) => app.delayed?.(arrival, reason),
      onOwed: (arrival) => this.run(this.keepOwed(arrival)),
    });
    const arrived = () => this.serve();
    const settled = (arrival: Arrival, reason: string) => this.run(this.settled(arrival, reason));
    this.sales = app.quote && new InvoiceSales(this.host, app.quote, { arrived, settled });
  }

  /** Serves what waits; call it at the end of the app's start, and whenever something may go on. */
  serve(): void {
    if (this.serving || this.stopped) return;
    if (!this.isSwept) this.sales?.sweep();
    this.isSwept = true;
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

  stop(): void {
    this.stopped = true;
  }

  get isStopped(): boolean {
    return this.stopped;
  }

  /** What is to be given back and is not yet, and what never can be: for the owner. */
  get owed(): { readonly owedMsat: number; readonly owedPayments: number } {
    const { owedMsat, owedPayments } = this.inbox;
    return {
      owedMsat: owedMsat + this.refunds.waitingMsat,
      owedPayments: owedPayments + this.refunds.waitingPayments,
    };
  }

  /** Somebody asks for an invoice. */
  answer(peer: PublicKey, asked: MessageNamed<"bolt11_request">): void {
    if (this.sales) this.run(this.sales.answer(peer, asked));
  }

  /** What a payment by invoice buys; undefined for one that came in another way. */
  soldOf(arrival: Arrival): SoldTerms | undefined {
    return this.sales?.soldOf(arrival);
  }

  /** Hand every channel event to it; an HTLC with instructions is the till's where it makes invoices. */
  onChannelEvent(id: ChannelId, event: ChannelEvent): void {
    switch (event.type) {
      case "pushReceived":
        this.inbox.hear(id, event.payments, event.declined);
        this.serve();
        return;
      case "htlcReceived":
        if (this.sales && event.htlc.onion.length > 0) this.run(this.sales.received(id, event));
        return;
      case "htlcSettled":
        this.sales?.sweep();
        return;
      case "pushCommitted":
        this.refunds.committed(event.payments);
        return;
      case "rejected":
        this.refunds.rejected(event);
        return;
      case "reestablished":
      case "ready":
      case "forceClosing":
      case "onChain":
      case "closed":
      case "forgotten":
        this.refunds.reconnected(id);
        this.sales?.sweep();
        this.serve();
        return;
      default:
        return;
    }
  }

  /** Durable before what cannot be undone: power may fail while the motor runs. */
  begin(arrival: Arrival): Promise<void> {
    return this.mark(arrival, { begun: true });
  }

  /** The decision is durable: neither a cleared fault nor a new price turns it into a delivery. */
  async giveBack(arrival: Arrival, reason: string): Promise<void> {
    if (!arrival.owed && !arrival.isDuplicate) await this.mark(arrival, { owed: true });
    if (arrival.held) this.sales?.resolve({ ...arrival, owed: true }, reason);
    else this.refunds.add(arrival, reason);
  }

  /** It was served. `notes`: what the app keeps beside its inbox changes in the same write. */
  async done(arrival: Arrival, notes?: (notes: Uint8Array) => Uint8Array): Promise<void> {
    const { number, held } = arrival;
    const served = { delivered: true };
    await this.inbox.update((state) => ({
      ...state,
      // Of a held one it is durable that it was served, before the preimage is shown; the money is there later.
      arrivals: held
        ? marked(state.arrivals, number, served)
        : state.arrivals.filter((one) => one.number !== number),
      notes: notes ? notes(state.notes) : state.notes,
    }));
    this.taken.delete(number);
    if (held) this.sales?.resolve({ ...arrival, ...served });
  }

  /** A held one left its channel: paid, or gone back. */
  private async settled(arrival: Arrival, reason: string): Promise<void> {
    const { number, reference, delivered } = arrival;
    let isFirst = false;
    await this.inbox.update((state) => {
      const arrivals = state.arrivals.filter((one) => one.number !== number);
      isFirst = arrivals.length < state.arrivals.length;
      return { ...state, arrivals };
    });
    this.taken.delete(number);
    if (delivered || !isFirst) return;
    this.host.tell({ type: "refunded", reference, reason });
    this.app.refunded?.(arrival, reason);
  }

  /** What fails is told to whoever operates the device. */
  run(work: Promise<void>): void {
    work.catch((cause: unknown) => this.host.tell({ type: "failed", reason: textOf(cause) }));
  }

  private next(): Arrival | undefined {
    const { inbox, taken } = this;
    return inbox.arrivals.find(
      (one) => !one.delivered && !taken.has(one.number) && inbox.isHeard(one),
    );
  }

  private async serveOne(arrival: Arrival): Promise<void> {
    const { number, reference, amountMsat } = arrival;
    this.taken.add(number);
    const refusal = this.refusalOf(arrival);
    if (!arrival.owed) this.host.tell({ type: "paid", reference, amountMsat });
    if (refusal === undefined) await this.app.serve(arrival);
    else await this.giveBack(arrival, refusal);
  }

  private refusalOf(arrival: Arrival): string | undefined {
    if (arrival.isDuplicate) return "the reference was used before";
    if (arrival.owed) return "it could not be delivered";
    if (arrival.begun) return "power failed while it was delivered";
    return arrival.held ? this.sales?.refusalOf(arrival) : this.inbox.declined(arrival);
  }

  private async mark({ number }: Arrival, marks: Partial<Arrival>): Promise<void> {
    await this.inbox.update((state) => ({
      ...state,
      arrivals: marked(state.arrivals, number, marks),
    }));
  }

  private async refunded(arrival: Arrival, reason: string): Promise<void> {
    await this.done(arrival);
    this.host.tell({ type: "refunded", reference: arrival.reference, reason });
    this.app.refunded?.(arrival, reason);
  }

  /** Nobody can be paid back over a channel that is gone: the owner sees what is owed, and for which reference. */
  private async keepOwed(arrival: Arrival): Promise<void> {
    const { reference, amountMsat, number } = arrival;
    await this.inbox.update((state) => ({
      ...state,
      arrivals: state.arrivals.filter((one) => one.number !== number),
      owedMsat: state.owedMsat + amountMsat,
      owedPayments: state.owedPayments + 1,
    }));
    this.taken.delete(number);
    this.host.tell({ type: "owed", reference, amountMsat });
  }
}

function marked(arrivals: readonly Arrival[], number: number, marks: Partial<Arrival>) {
  return arrivals.map((one) => (one.number === number ? { ...one, ...marks } : one));
}
