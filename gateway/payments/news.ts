/** Tells of payments as they end, to whoever listens or waits for one of them. */
import type { PaymentHash } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import type { Ledger, Payment, PaymentKind } from "./ledger.ts";
import { PaymentError } from "./payment-error.ts";

/** `reason` is for people, where it failed. */
export type PaymentListener = (payment: Payment, reason?: string) => void;

const MAX_LISTENERS = 20_000;

export class PaymentNews {
  private readonly listeners = new Set<PaymentListener>();

  constructor(private readonly ledger: Ledger) {}

  tell(payment: Payment, reason?: string): void {
    for (const listener of [...this.listeners]) listener(payment, reason);
  }

  /** Returns how to stop it. */
  listen(listener: PaymentListener): () => void {
    if (this.listeners.size >= MAX_LISTENERS) {
      throw new PaymentError("too-many", "Too many wait for payments already: try again later.");
    }
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The payment once it has succeeded or failed; rejects with the signal's reason. `reason` is there where it is told now. */
  async end(
    kind: PaymentKind,
    hash: PaymentHash,
    signal?: AbortSignal,
  ): Promise<{ readonly payment: Payment; readonly reason?: string | undefined }> {
    const stops: (() => void)[] = [];
    try {
      const told = new Promise<{ payment: Payment; reason?: string | undefined }>((resolve) => {
        const stop = this.listen((payment, reason) => {
          const isIt = payment.kind === kind && equal(payment.paymentHash, hash);
          if (isIt) resolve({ payment, reason });
        });
        stops.push(stop);
      });
      // Asked after listening: it cannot end unheard in between.
      const known = await this.ledger.get(kind, hash);
      if (known && known.status !== "pending") return { payment: known };
      if (!signal) return await told;
      signal.throwIfAborted();
      const aborted = new Promise<never>((_, reject) => {
        const stop = () => reject(signal.reason);
        signal.addEventListener("abort", stop, { once: true });
        stops.push(() => signal.removeEventListener("abort", stop));
      });
      return await Promise.race([told, aborted]);
    } finally {
      for (const stop of stops) stop();
    }
  }
}
