/** A payee for tests, and a short word for why an invoice was refused. */
import { InvoiceError } from "../../../core/payments/invoice/invoice-error.ts";
import type { InvoiceToWrite } from "../../../core/payments/invoice/write-invoice.ts";
import type { Crypto } from "../../../core/ports/crypto.ts";
import {
  milliSatoshi,
  type PublicKey,
  paymentHash,
  type SecretKey,
  type Signature,
} from "../../../core/primitives/brands.ts";
import { noble } from "../../support/crypto-providers.ts";

export interface Payee {
  readonly nodeId: PublicKey;
  sign(hash: Uint8Array): Signature;
}

export function payeeOf(crypto: Crypto, fill: number): Payee {
  const secret = new Uint8Array(32).fill(fill) as SecretKey;
  return { nodeId: crypto.publicKeyOf(secret), sign: (hash) => crypto.sign(hash, secret) };
}

export const payee = payeeOf(noble, 7);

export const coffee: InvoiceToWrite = {
  network: "regtest",
  amountMsat: milliSatoshi(250_000_000),
  timestamp: 1_800_000_000,
  paymentHash: paymentHash(new Uint8Array(32).fill(1)),
  paymentSecret: new Uint8Array(32).fill(2),
  description: "1 coffee",
  minFinalCltvExpiryDelta: 20,
};

/** `part code`, or "accepted". */
export function problemOf(call: () => unknown): string {
  try {
    call();
  } catch (cause) {
    if (cause instanceof InvoiceError) return `${cause.part} ${cause.code}`;
    throw cause;
  }
  return "accepted";
}
