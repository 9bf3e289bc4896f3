/** Writes a BOLT 11 invoice, signed with the node's key; what it returns, `parseInvoice` reads. */
import { bitmap } from "../../messages/features.ts";
import type { Crypto } from "../../ports/crypto.ts";
import type { NodeSigner } from "../../ports/signer.ts";
import { toGroups } from "../../primitives/bech32.ts";
import { concatAll } from "../../primitives/bytes.ts";
import { writeFallback } from "./fallback.ts";
import { checkFeatures, InvoiceFeature, writeFeatures } from "./features.ts";
import { type InvoiceContent, MAX_FIELD_BYTES, MAX_INVOICE_CHARACTERS, utf8 } from "./invoice.ts";
import { type InvoiceField, insist } from "./invoice-error.ts";
import { writeRoute } from "./route.ts";
import { MAX_TIMESTAMP, signInvoice } from "./sign-invoice.ts";
import { nameOf, numberGroups, writeField } from "./tagged-fields.ts";

const HASH_BYTES = 32;

/** Absent fields are left out, and mean their defaults to whoever reads it: 3600 s and 18 blocks. */
export interface InvoiceToWrite
  extends Omit<
    InvoiceContent,
    "expirySeconds" | "minFinalCltvExpiryDelta" | "fallbacks" | "routes"
  > {
  readonly expirySeconds?: number;
  /** Should always be given (BOLT 11). */
  readonly minFinalCltvExpiryDelta?: number;
  readonly fallbacks?: InvoiceContent["fallbacks"];
  readonly routes?: InvoiceContent["routes"];
  /** The payer may pay in parts. */
  readonly basicMpp?: boolean;
  /** Puts the node's key into it: 56 characters more, and readers need not recover it. */
  readonly withPayee?: boolean;
}

/** In lower case. @throws InvoiceError for what no invoice can say. */
export function writeInvoice(
  crypto: Crypto,
  signer: Pick<NodeSigner, "nodeId" | "sign">,
  invoice: InvoiceToWrite,
): string {
  const { network, amountMsat, timestamp } = invoice;
  const isTime = Number.isInteger(timestamp) && timestamp >= 0 && timestamp <= MAX_TIMESTAMP;
  const what = "the time must be whole seconds since 1970, below 2^35";
  insist(isTime, "timestamp", "out-of-range", what);
  const fields = fieldsOf(crypto, signer, invoice);
  const text = signInvoice(crypto, signer, { network, amountMsat, timestamp, fields });
  const long = `the invoice has ${text.length} characters, and readers take ${MAX_INVOICE_CHARACTERS}: give fewer routes`;
  insist(text.length <= MAX_INVOICE_CHARACTERS, "text", "too-long", long);
  return text;
}

/** In the order of the BOLT's own examples. */
function fieldsOf(
  crypto: Crypto,
  signer: Pick<NodeSigner, "nodeId">,
  invoice: InvoiceToWrite,
): Uint8Array {
  const { expirySeconds, minFinalCltvExpiryDelta, metadata, withPayee } = invoice;
  const { fallbacks = [], routes = [] } = invoice;
  return concatAll([
    hashField("s", invoice.paymentSecret),
    hashField("p", invoice.paymentHash),
    descriptionField(invoice),
    ...(expirySeconds === undefined ? [] : [numberField("x", expirySeconds)]),
    ...(minFinalCltvExpiryDelta === undefined ? [] : [numberField("c", minFinalCltvExpiryDelta)]),
    ...(withPayee ? [writeField("n", toGroups(signer.nodeId))] : []),
    ...fallbacks.map((fallback) => writeField("f", writeFallback(fallback))),
    ...routes.map((route) => bytesField("r", writeRoute(crypto, route))),
    ...(metadata === undefined ? [] : [bytesField("m", metadata)]),
    writeField("9", writeFeatures(featuresOf(invoice))),
  ]);
}

function featuresOf({ metadata, basicMpp }: InvoiceToWrite): Uint8Array {
  const bits: number[] = [InvoiceFeature.varOnion, InvoiceFeature.paymentSecret];
  if (basicMpp) bits.push(InvoiceFeature.basicMpp + 1);
  if (metadata !== undefined) bits.push(InvoiceFeature.paymentMetadata);
  const features = bitmap(bits);
  checkFeatures(features);
  return features;
}

function descriptionField({ description, descriptionHash }: InvoiceToWrite): Uint8Array {
  const isOne = (description === undefined) !== (descriptionHash === undefined);
  const which = "an invoice has either a description or the hash of one";
  insist(isOne, "d", description === undefined ? "missing" : "contradiction", which);
  if (descriptionHash !== undefined) return hashField("h", descriptionHash);
  const text = description as string;
  // Longer texts are not even measured; no character takes less than a byte.
  const isShort = text.length <= MAX_FIELD_BYTES;
  const long = `${nameOf("d")} holds ${MAX_FIELD_BYTES} bytes; give the hash of a longer one`;
  insist(isShort, "d", "too-long", long);
  insist(isWhole(text), "d", "not-utf8", `${nameOf("d")} has half a character (a lone surrogate)`);
  const bytes = utf8(text);
  insist(bytes.length <= MAX_FIELD_BYTES, "d", "too-long", long);
  return bytesField("d", bytes);
}

function isWhole(text: string): boolean {
  for (const character of text) {
    const code = character.charCodeAt(0);
    if (character.length === 1 && code >= 0xd800 && code <= 0xdfff) return false;
  }
  return true;
}

function hashField(letter: "s" | "p" | "h", bytes: Uint8Array): Uint8Array {
  const what = `${nameOf(letter)} must have ${HASH_BYTES} bytes, not ${bytes.length}`;
  insist(bytes.length === HASH_BYTES, letter, "wrong-length", what);
  return bytesField(letter, bytes);
}

function bytesField(letter: InvoiceField, bytes: Uint8Array): Uint8Array {
  return writeField(letter, toGroups(bytes));
}

function numberField(letter: "x" | "c", value: number): Uint8Array {
  const isNatural = Number.isSafeInteger(value) && value > 0;
  insist(isNatural, letter, "out-of-range", `${nameOf(letter)} must be a whole number above 0`);
  return writeField(letter, numberGroups(value));
}
