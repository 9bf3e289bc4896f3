/** What a BOLT 11 invoice says, and the questions that a payer asks of it. */
import { encodeUtf8, utf8Length } from "../../messages/utf8.ts";
import type { Crypto } from "../../ports/crypto.ts";
import type { MilliSatoshi, PaymentHash, PublicKey } from "../../primitives/brands.ts";
import { equal } from "../../primitives/bytes.ts";

/** Networks with a prefix of their own: testnets of all numbers share one. */
export type InvoiceNetwork = "mainnet" | "testnet" | "signet" | "regtest";

/** What the largest QR code holds, counted in digits; other implementations stop there too. */
export const MAX_INVOICE_CHARACTERS = 7089;
/** What a tagged field has room for: 1023 groups of 5 bits. */
export const MAX_FIELD_BYTES = 639;
export const DEFAULT_EXPIRY_SECONDS = 3_600;
export const DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA = 18;

/** One step from a public node to the payee (BOLT 7 `channel_update` has the same numbers). */
export interface RouteHop {
  /** The node at the channel's beginning, which asks for the fee. */
  readonly nodeId: PublicKey;
  /** 8 bytes. */
  readonly shortChannelId: Uint8Array;
  readonly feeBaseMsat: number;
  readonly feeProportionalMillionths: number;
  readonly cltvExpiryDelta: number;
}

/** Where the money can go on chain. */
export type Fallback =
  | { readonly type: "p2pkh" | "p2sh"; readonly hash: Uint8Array }
  /** `version` 0 … 16, `program` 2 … 40 bytes (BIP 141). */
  | { readonly type: "witness"; readonly version: number; readonly program: Uint8Array };

export interface InvoiceContent {
  readonly network: InvoiceNetwork;
  /** Absent: the payer chooses. */
  readonly amountMsat?: MilliSatoshi;
  /** Seconds since 1970. */
  readonly timestamp: number;
  readonly paymentHash: PaymentHash;
  /** 32 bytes. */
  readonly paymentSecret: Uint8Array;
  /** Either this one or `descriptionHash`. As the payee wrote it: it may hold anything that UTF-8 can. */
  readonly description?: string;
  /** SHA-256 of a description that comes by other ways. */
  readonly descriptionHash?: Uint8Array;
  readonly expirySeconds: number;
  readonly minFinalCltvExpiryDelta: number;
  /** The preferred one first. */
  readonly fallbacks: readonly Fallback[];
  /** Each leads from a public node to the payee; the preferred one first. */
  readonly routes: readonly (readonly RouteHop[])[];
  /** To be given back with the payment (BOLT 4 `payment_metadata`). */
  readonly metadata?: Uint8Array;
}

export interface Invoice extends InvoiceContent {
  readonly payee: PublicKey;
  /** Big-endian bitmap; empty where the invoice has none. */
  readonly features: Uint8Array;
}

/** From now on it should not be paid, nor a payment be taken. */
export function isExpired(
  invoice: Pick<InvoiceContent, "timestamp" | "expirySeconds">,
  nowSeconds: number,
): boolean {
  return nowSeconds > invoice.timestamp + invoice.expirySeconds;
}

/** The description that came by other ways is the one whose hash is in the invoice. */
export function describes(crypto: Crypto, invoice: Invoice, description: string): boolean {
  if (invoice.descriptionHash === undefined) return invoice.description === description;
  return equal(crypto.sha256(utf8(description)), invoice.descriptionHash);
}

export function utf8(text: string): Uint8Array {
  const out = new Uint8Array(utf8Length(text));
  encodeUtf8(text, out, 0);
  return out;
}
