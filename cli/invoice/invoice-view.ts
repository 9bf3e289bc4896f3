/** An invoice for people, and for scripts. */

import { testBit } from "../../core/messages/features.ts";
import { addressOf } from "../../core/payments/invoice/fallback.ts";
import type { Invoice, RouteHop } from "../../core/payments/invoice/invoice.ts";
import { isExpired } from "../../core/payments/invoice/invoice.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { toHex } from "../../core/primitives/bytes.ts";

const NAME_WIDTH = 16;
const MSAT_PER_SAT = 1000;
/** The latest time that a Date can say. */
const MAX_DATE_SECONDS = 8_640_000_000_000;

export function invoiceLines(crypto: Crypto, invoice: Invoice, nowSeconds: number): string[] {
  const { amountMsat, description, descriptionHash, metadata, timestamp, network } = invoice;
  const expiresAt = timestamp + invoice.expirySeconds;
  const ending = isExpired(invoice, nowSeconds) ? "expired" : "expires";
  const rows: [name: string, value: string | undefined][] = [
    ["network", network],
    ["amount", amountMsat === undefined ? "any: the payer chooses" : amountText(amountMsat)],
    ["description", description === undefined ? undefined : printable(description)],
    ["description hash", descriptionHash && toHex(descriptionHash)],
    ["payee", toHex(invoice.payee)],
    ["payment hash", toHex(invoice.paymentHash)],
    ["payment secret", toHex(invoice.paymentSecret)],
    ["made", timeText(timestamp)],
    [ending, `${timeText(expiresAt)} (${invoice.expirySeconds} s after it was made)`],
    ["final delta", `${invoice.minFinalCltvExpiryDelta} blocks at least`],
    ...invoice.routes.map((hops): [string, string] => ["by way of", hops.map(hopText).join("; ")]),
    ...addressesOf(crypto, invoice).map((address): [string, string] => ["or on chain", address]),
    ["metadata", metadata && toHex(metadata)],
    ["features", featureBits(invoice).join(", ") || "none"],
  ];
  return rows.flatMap(([name, value]) =>
    value === undefined ? [] : [`${`${name}:`.padEnd(NAME_WIDTH + 2)}${value}`],
  );
}

/** The names of BOLT 11. */
export function invoiceJson(crypto: Crypto, invoice: Invoice, nowSeconds: number): object {
  return {
    network: invoice.network,
    payee: invoice.payee,
    amount_msat: invoice.amountMsat ?? null,
    description: invoice.description ?? null,
    description_hash: invoice.descriptionHash ?? null,
    payment_hash: invoice.paymentHash,
    payment_secret: invoice.paymentSecret,
    timestamp: invoice.timestamp,
    expiry: invoice.expirySeconds,
    expires_at: invoice.timestamp + invoice.expirySeconds,
    expired: isExpired(invoice, nowSeconds),
    min_final_cltv_expiry_delta: invoice.minFinalCltvExpiryDelta,
    routes: invoice.routes.map((hops) =>
      hops.map((hop) => ({
        pubkey: hop.nodeId,
        short_channel_id: scidText(hop.shortChannelId),
        fee_base_msat: hop.feeBaseMsat,
        fee_proportional_millionths: hop.feeProportionalMillionths,
        cltv_expiry_delta: hop.cltvExpiryDelta,
      })),
    ),
    fallback_addresses: addressesOf(crypto, invoice),
    payment_metadata: invoice.metadata ?? null,
    features: featureBits(invoice),
  };
}

/** Without what would move a terminal's cursor, change its colours or turn its text around. */
export function printable(description: string): string {
  return description.replace(
    /(?!\u200d)[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}

function amountText(amountMsat: number): string {
  const sat = Math.floor(amountMsat / MSAT_PER_SAT);
  const rest = amountMsat % MSAT_PER_SAT;
  const fraction = rest === 0 ? "" : `.${String(rest).padStart(3, "0")}`;
  return `${sat}${fraction} sat`;
}

function timeText(seconds: number): string {
  if (seconds > MAX_DATE_SECONDS) return `${seconds} s after 1970`;
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

function hopText(hop: RouteHop): string {
  const { feeBaseMsat, feeProportionalMillionths, cltvExpiryDelta } = hop;
  const fee = `${feeBaseMsat} msat + ${feeProportionalMillionths} ppm, ${cltvExpiryDelta} blocks`;
  return `${toHex(hop.nodeId)} channel ${scidText(hop.shortChannelId)} (${fee})`;
}

/** Block, transaction and output (BOLT 7). */
function scidText(scid: Uint8Array): string {
  const number = (from: number, to: number) => Number.parseInt(toHex(scid.slice(from, to)), 16);
  return `${number(0, 3)}x${number(3, 6)}x${number(6, 8)}`;
}

function addressesOf(crypto: Crypto, { fallbacks, network }: Invoice): string[] {
  return fallbacks.map((fallback) => addressOf(crypto, fallback, network));
}

function featureBits({ features }: Invoice): number[] {
  const bits = Array.from({ length: 8 * features.length }, (_, bit) => bit);
  return bits.filter((bit) => testBit(features, bit));
}
