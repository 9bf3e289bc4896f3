/** Why a text is no invoice that could be paid, or why one cannot be written (BOLT 11). */

/** The part that is wrong: a tagged field by its letter, or what stands around them. */
export type InvoicePart =
  | "text"
  | "prefix"
  | "amount"
  | "timestamp"
  | "fields"
  | "signature"
  | InvoiceField;
export type InvoiceField = "p" | "s" | "d" | "n" | "h" | "x" | "c" | "f" | "r" | "m" | "9";

export type InvoiceProblem =
  | "too-long"
  | "too-short"
  | "not-bech32"
  | "wrong-checksum"
  | "unknown-network"
  | "wrong-amount"
  | "wrong-length"
  | "cut-off"
  | "missing"
  | "repeated"
  | "contradiction"
  | "not-minimal"
  | "wrong-padding"
  | "out-of-range"
  | "not-utf8"
  | "not-a-key"
  | "unknown-feature"
  | "feature-dependency"
  | "wrong-signature";

/** `code` is stable, for programs; the message is for people. */
export class InvoiceError extends Error {
  override readonly name = "InvoiceError";
  readonly code: `invoice-${InvoiceProblem}`;
  constructor(
    readonly part: InvoicePart,
    problem: InvoiceProblem,
    message: string,
  ) {
    super(message);
    this.code = `invoice-${problem}`;
  }
}

export function insist(
  condition: unknown,
  part: InvoicePart,
  problem: InvoiceProblem,
  message: string,
): asserts condition {
  if (!condition) throw new InvoiceError(part, problem, message);
}
