/** What goes wrong with payments and invoices before any money moves: a code for programs, a sentence for people. */

export type PaymentErrorCode =
  | "bad-amount"
  | "bad-expiry"
  | "bad-policy"
  | "own-invoice"
  | "expired"
  | "wrong-network"
  | "unsupported"
  | "too-many"
  | "stale-chain";

export class PaymentError extends Error {
  override readonly name = "PaymentError";

  constructor(
    readonly code: PaymentErrorCode,
    message: string,
  ) {
    super(message);
  }
}
