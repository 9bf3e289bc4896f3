/** Reads a BOLT 11 invoice strictly: what it returns is signed by `payee`, and can be paid by the BOLT's rules. */
import { decodeUtf8 } from "../../messages/utf8.ts";
import type { Crypto } from "../../ports/crypto.ts";
import { BECH32, decodeBech32, fromGroups } from "../../primitives/bech32.ts";
import {
  type PublicKey,
  paymentHash,
  publicKey,
  type Signature,
  signature,
} from "../../primitives/brands.ts";
import { ascii, concat } from "../../primitives/bytes.ts";
import { ProtocolViolation } from "../../primitives/errors.ts";
import { readHeadline } from "./amount.ts";
import { readFallback } from "./fallback.ts";
import { checkFeatures, readFeatures } from "./features.ts";
import {
  DEFAULT_EXPIRY_SECONDS,
  DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA,
  type Fallback,
  type Invoice,
  MAX_INVOICE_CHARACTERS,
} from "./invoice.ts";
import { InvoiceError, type InvoiceField, insist } from "./invoice-error.ts";
import { isHighS, recoverKey } from "./recovery.ts";
import { readRoute } from "./route.ts";
import { bytesOfSigned } from "./sign-invoice.ts";
import { checkMinimal, type Fields, nameOf, readNumber, splitFields } from "./tagged-fields.ts";

const TIMESTAMP_GROUPS = 7;
const SIGNATURE_GROUPS = 104;
const MAX_RECOVERY_ID = 3;

/**
 * `text` is the invoice alone, in either case, without "lightning:". Whether it has expired is the caller's question.
 * @throws InvoiceError, which names the part that is wrong.
 */
export function parseInvoice(crypto: Crypto, text: string): Invoice {
  const { hrp, groups } = readText(text);
  const headline = readHeadline(hrp);
  const isLongEnough = groups.length >= TIMESTAMP_GROUPS + SIGNATURE_GROUPS;
  insist(isLongEnough, "text", "too-short", "the invoice is too short for a time and a signature");
  const signed = groups.subarray(0, -SIGNATURE_GROUPS);
  const fields = splitFields(signed.subarray(TIMESTAMP_GROUPS));
  const features = readBitmap(fields);
  const { amountMsat } = headline;
  const content = {
    network: headline.network,
    ...(amountMsat !== undefined && { amountMsat }),
    timestamp: readTimestamp(signed),
    paymentHash: paymentHash(required(fields, "p")),
    paymentSecret: required(fields, "s"),
    ...readDescription(fields),
    expirySeconds: numberIn(fields, "x") ?? DEFAULT_EXPIRY_SECONDS,
    minFinalCltvExpiryDelta: numberIn(fields, "c") ?? DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA,
    fallbacks: readFallbacks(fields),
    routes: all(fields, "r").map((route) => readRoute(crypto, bytesOf("r", route))),
    ...readMetadata(fields),
    features,
  };
  const hash = crypto.sha256(concat(ascii(hrp), bytesOfSigned(signed)));
  return { ...content, payee: readPayee(crypto, fields, hash, groups.slice(-SIGNATURE_GROUPS)) };
}

function readText(text: string): { readonly hrp: string; readonly groups: Uint8Array } {
  const limit = MAX_INVOICE_CHARACTERS;
  const long = `the invoice has ${text.length} characters; more than ${limit} are not read`;
  insist(text.length <= limit, "text", "too-long", long);
  const decoded = decodeBech32(text);
  if (typeof decoded === "string") {
    throw new InvoiceError("text", "not-bech32", `this is no invoice: ${decoded}`);
  }
  const mistyped =
    "the invoice's checksum is wrong: a character was lost or changed; copy it again";
  insist(decoded.kind === BECH32, "text", "wrong-checksum", mistyped);
  return decoded;
}

function readTimestamp(groups: Uint8Array): number {
  let seconds = 0;
  for (let i = 0; i < TIMESTAMP_GROUPS; i++) seconds = seconds * 32 + (groups[i] as number);
  return seconds;
}

function readDescription(fields: Fields): Pick<Invoice, "description" | "descriptionHash"> {
  const text = first(fields, "d");
  const hash = first(fields, "h");
  insist(text || hash, "d", "missing", "the invoice has neither a description nor a hash of one");
  insist(!text || !hash, "d", "contradiction", "the invoice has a description and a hash of one");
  if (hash) return { descriptionHash: bytesOf("h", hash) };
  const bytes = bytesOf("d", text as Uint8Array);
  try {
    return { description: decodeUtf8(bytes, 0, bytes.length) };
  } catch (cause) {
    if (!(cause instanceof ProtocolViolation)) throw cause;
    throw new InvoiceError("d", "not-utf8", `${nameOf("d")} is not UTF-8`);
  }
}

function readMetadata(fields: Fields): Pick<Invoice, "metadata"> {
  const groups = first(fields, "m");
  return groups ? { metadata: bytesOf("m", groups) } : {};
}

function readFallbacks(fields: Fields): Fallback[] {
  return all(fields, "f")
    .map(readFallback)
    .filter((fallback) => fallback !== undefined);
}

function readBitmap(fields: Fields): Uint8Array {
  const groups = first(fields, "9") ?? new Uint8Array();
  checkMinimal("9", groups);
  const features = readFeatures(groups);
  checkFeatures(features);
  return features;
}

/** From the `n` field, or else whoever can have made the signature. */
function readPayee(
  crypto: Crypto,
  fields: Fields,
  hash: Uint8Array,
  groups: Uint8Array,
): PublicKey {
  const bytes = fromGroups(groups) as Uint8Array; // 65 bytes, whole
  const signed = signature(bytes.slice(0, 64));
  const recoveryId = bytes[64] as number;
  const unknown = `the signature's recovery id is ${recoveryId}; it can be 0 to ${MAX_RECOVERY_ID}`;
  insist(recoveryId <= MAX_RECOVERY_ID, "signature", "wrong-signature", unknown);
  const named = first(fields, "n");
  if (named) return verified(crypto, bytesOf("n", named), hash, signed);
  const payee = recoverKey(crypto, signed, { hash, recoveryId });
  insist(
    payee,
    "signature",
    "wrong-signature",
    "the signature is nobody's: no key can have made it",
  );
  return payee;
}

function verified(
  crypto: Crypto,
  bytes: Uint8Array,
  hash: Uint8Array,
  signed: Signature,
): PublicKey {
  const payee = publicKey(bytes);
  insist(crypto.isPublicKey(payee), "n", "not-a-key", `${nameOf("n")} is no point of the curve`);
  const high = "the signature is not the one in its normal form (its S is high)";
  insist(!isHighS(signed), "signature", "wrong-signature", high);
  const wrong = "the signature is not by the payee that the invoice names";
  insist(crypto.verify(signed, hash, payee), "signature", "wrong-signature", wrong);
  return payee;
}

function all(fields: Fields, letter: InvoiceField): readonly Uint8Array[] {
  return fields.get(letter) ?? [];
}

function first(fields: Fields, letter: InvoiceField): Uint8Array | undefined {
  return all(fields, letter)[0];
}

function required(fields: Fields, letter: "p" | "s"): Uint8Array {
  const groups = first(fields, letter);
  insist(groups, letter, "missing", `${nameOf(letter)} is missing`);
  return bytesOf(letter, groups);
}

function numberIn(fields: Fields, letter: "x" | "c"): number | undefined {
  const groups = first(fields, letter);
  return groups && readNumber(letter, groups);
}

function bytesOf(letter: InvoiceField, groups: Uint8Array): Uint8Array {
  const bytes = fromGroups(groups);
  insist(bytes, letter, "wrong-padding", `${nameOf(letter)} is not filled up with zero bits`);
  return bytes;
}
