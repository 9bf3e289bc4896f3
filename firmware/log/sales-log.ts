/** The last sales of a device in memory: what was delivered, given back and is owed, for its owner to fetch (docs/ADMIN.md "sales"). */
import type { Entropy } from "../../core/ports/crypto.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import type { AppEvent } from "../apps/app.ts";
import { cutToBytes } from "./log-ring.ts";

export type SaleKind = "delivered" | "refunded" | "owed" | "metered";

export interface Sale {
  /** Rises by one with each. */
  readonly number: number;
  /** Of this run, in milliseconds. */
  readonly atMs: number;
  readonly kind: SaleKind;
  /** Of the push, the HTLC's hash, or the meter's session. */
  readonly reference: Uint8Array;
  /** The product's number, or the units that a meter counted. */
  readonly product?: number | undefined;
  readonly amountMsat?: number | undefined;
  readonly reason?: string | undefined;
}

export const MAX_SALES = 64;
/** Payments that were told and not yet served. */
const MAX_PAID = 16;
const MAX_REASON_BYTES = 96;
const RUN_BYTES = 8;

export class SalesLog {
  /** Another one after each start: numbers begin anew. */
  readonly run: Uint8Array;
  private readonly kept: Sale[] = [];
  private readonly paid = new Map<string, number>();
  private last = 0;

  constructor(
    entropy: Entropy,
    private readonly nowMs: () => number,
  ) {
    this.run = entropy.random(RUN_BYTES);
  }

  get lastNumber(): number {
    return this.last;
  }

  note(event: AppEvent): void {
    switch (event.type) {
      case "paid":
        this.notePaid(event.reference, event.amountMsat);
        return;
      case "delivered":
        this.add({ kind: "delivered", reference: event.reference, product: event.product });
        return;
      case "refunded":
        this.add({ kind: "refunded", reference: event.reference, reason: event.reason });
        return;
      case "owed":
        this.add({ kind: "owed", reference: event.reference, amountMsat: event.amountMsat });
        return;
      case "metered": {
        const { session: reference, usedUnits: product, paidMsat: amountMsat } = event;
        this.add({ kind: "metered", reference, product, amountMsat });
        return;
      }
      default:
        return;
    }
  }

  after(number: number, most: number): readonly Sale[] {
    return this.kept.filter((sale) => sale.number > number).slice(0, most);
  }

  private notePaid(reference: Uint8Array, amountMsat: number): void {
    const [oldest] = this.paid.keys();
    if (this.paid.size >= MAX_PAID && oldest !== undefined) this.paid.delete(oldest);
    this.paid.set(toHex(reference), amountMsat);
  }

  private add(sale: Omit<Sale, "number" | "atMs">): void {
    const key = toHex(sale.reference);
    const amountMsat = sale.amountMsat ?? this.paid.get(key);
    this.paid.delete(key);
    this.last += 1;
    if (this.kept.length >= MAX_SALES) this.kept.shift();
    this.kept.push({
      ...sale,
      number: this.last,
      atMs: this.nowMs(),
      amountMsat,
      reference: sale.reference.slice(),
      reason: sale.reason && cutToBytes(sale.reason, MAX_REASON_BYTES),
    });
  }
}
