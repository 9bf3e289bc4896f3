/** A buyer's account of one machine, by what its channel says: what left for good, and what came back. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import { unpackPayments } from "../../core/payments/push.ts";
import { toHex } from "../../core/primitives/bytes.ts";

export class Ledger {
  /** By reference: an event may be told twice. */
  private readonly paid = new Map<string, number>();
  private readonly back = new Map<string, number>();

  note(event: ChannelEvent): void {
    if (event.type !== "pushCommitted" && event.type !== "pushReceived") return;
    const book = event.type === "pushCommitted" ? this.paid : this.back;
    for (const { reference, amountMsat } of unpackPayments(event.payments)) {
      book.set(toHex(reference), amountMsat);
    }
  }

  get paidMsat(): number {
    return sumOf(this.paid);
  }

  get refundedMsat(): number {
    return sumOf(this.back);
  }
}

function sumOf(book: ReadonlyMap<string, number>): number {
  return [...book.values()].reduce((sum, amountMsat) => sum + amountMsat, 0);
}
