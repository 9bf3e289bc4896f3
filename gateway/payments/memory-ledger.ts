/** A Ledger that forgets with the process: for trials, tests, and as the model that the others are held to. */
import type { ChannelId, PaymentHash } from "../../core/primitives/brands.ts";
import { compare, equal, toHex } from "../../core/primitives/bytes.ts";
import {
  type InvoicePlace,
  isInTheWay,
  isOver,
  type Ledger,
  type ListedPayment,
  MAX_LISTED,
  type Payment,
  type PaymentFilter,
  type PaymentKind,
  type PaymentTotals,
  type StoredInvoice,
} from "./ledger.ts";

export class MemoryLedger implements Ledger {
  private readonly payments = new Map<string, ListedPayment>();
  private readonly kept = new Map<string, StoredInvoice>();

  async put(payment: Payment): Promise<void> {
    const key = keyOf(payment.kind, payment.paymentHash);
    const sequence = this.payments.get(key)?.sequence ?? this.payments.size + 1;
    this.payments.set(key, { ...payment, sequence });
  }

  async claim(payment: Payment): Promise<boolean> {
    if (isInTheWay(this.get(payment.kind, payment.paymentHash), payment)) return false;
    await this.put(payment);
    return true;
  }

  get(kind: PaymentKind, hash: PaymentHash): Payment | undefined {
    const found = this.payments.get(keyOf(kind, hash));
    return found && withoutSequence(found);
  }

  pending(incoming?: readonly ChannelId[]): readonly Payment[] {
    const all = [...this.payments.values()].filter(({ status }) => status === "pending");
    const isAsked = (one: Payment) =>
      !incoming || (one.kind === "forwarded" && isOver(one, incoming));
    return all.filter(isAsked).map(withoutSequence);
  }

  orphans(): readonly Payment[] {
    return this.pending().filter(({ kind }) => kind === "sent");
  }

  list({ limit = MAX_LISTED, ...filter }: PaymentFilter): readonly ListedPayment[] {
    return this.matching(filter).reverse().slice(0, Math.min(limit, MAX_LISTED));
  }

  totals({ before: _, ...filter }: PaymentFilter): PaymentTotals {
    const all = this.matching(filter);
    const sum = (field: "amountMsat" | "feeMsat") =>
      all.reduce((total, payment) => total + payment[field], 0);
    return { count: all.length, amountMsat: sum("amountMsat"), feeMsat: sum("feeMsat") };
  }

  async putInvoice(invoice: StoredInvoice): Promise<void> {
    this.kept.set(toHex(invoice.paymentHash), invoice);
  }

  invoice(hash: PaymentHash): StoredInvoice | undefined {
    return this.kept.get(toHex(hash));
  }

  invoices(options: { readonly limit?: number; readonly before?: InvoicePlace }) {
    const { limit = MAX_LISTED, before } = options;
    const all = [...this.kept.values()].sort(newestFirst);
    const older = before ? all.filter((one) => newestFirst(before, one) < 0) : all;
    return older.slice(0, Math.min(limit, MAX_LISTED));
  }

  private matching(filter: PaymentFilter): ListedPayment[] {
    const { kind, status, party, from = 0 } = filter;
    const { until = Number.POSITIVE_INFINITY, before = Number.POSITIVE_INFINITY } = filter;
    return [...this.payments.values()].filter(
      (payment) =>
        (kind === undefined || payment.kind === kind) &&
        (status === undefined || payment.status === status) &&
        payment.createdAt >= from &&
        payment.createdAt < until &&
        payment.sequence < before &&
        (party === undefined || partiesOf(payment).some((one) => equal(one, party))),
    );
  }
}

function keyOf(kind: PaymentKind, hash: PaymentHash): string {
  return `${kind} ${toHex(hash)}`;
}

function withoutSequence({ sequence: _, ...payment }: ListedPayment): Payment {
  return payment;
}

function partiesOf({ incoming, outgoing, destination }: Payment): readonly Uint8Array[] {
  return [incoming?.channelId, outgoing, destination].flatMap((one) => (one ? [one] : []));
}

function newestFirst(a: InvoicePlace, b: InvoicePlace): number {
  return b.createdAt - a.createdAt || compare(b.paymentHash, a.paymentHash);
}
