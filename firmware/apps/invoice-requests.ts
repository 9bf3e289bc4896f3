/** A payer's questions for payment hashes that wait for their answers. */
import type { MessageNamed } from "../../core/messages/message.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import type { AppHost } from "./app.ts";

type Invoice = MessageNamed<"invoice">;

interface Wait {
  readonly peer: PublicKey;
  resolve(invoice: Invoice): void;
  reject(error: Error): void;
}

const MAX_WAITING = 8;
const ANSWER_MS = 15_000;

export class InvoiceRequests {
  private readonly waiting = new Map<number, Wait>();
  private nextRequest = 1;

  constructor(private readonly host: Pick<AppHost, "node" | "clock">) {}

  ask(peer: PublicKey, product: number): Promise<Invoice> {
    if (this.waiting.size >= MAX_WAITING) {
      return Promise.reject(new Error("too many invoices are awaited"));
    }
    const request = this.nextRequest++;
    return new Promise((resolve, reject) => {
      this.waiting.set(request, { peer, resolve, reject });
      this.host.node.sendService(peer, { type: "invoice_request", request, product });
      this.host.clock?.after(ANSWER_MS, () => {
        if (!this.waiting.delete(request)) return;
        reject(new Error("the machine gives no invoice: nothing was paid"));
      });
    });
  }

  answered(peer: PublicKey, message: Invoice): void {
    const wait = this.waiting.get(message.request);
    if (!wait || !equal(wait.peer, peer)) return;
    this.waiting.delete(message.request);
    const paymentHash = message.paymentHash.slice() as typeof message.paymentHash;
    wait.resolve({ ...message, paymentHash });
  }

  away(peer: PublicKey): void {
    for (const [request, wait] of this.waiting) {
      if (!equal(wait.peer, peer)) continue;
      this.waiting.delete(request);
      wait.reject(new Error("the machine went away: nothing was paid"));
    }
  }
}
