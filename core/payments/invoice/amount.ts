/** The human-readable part of an invoice: network and amount, exact in millisatoshi (BOLT 11 "Human-Readable Part"). */
import { type MilliSatoshi, milliSatoshi } from "../../primitives/brands.ts";
import type { InvoiceNetwork } from "./invoice.ts";
import { insist } from "./invoice-error.ts";

/** BIP 173's prefixes. */
export const CURRENCIES: Readonly<Record<InvoiceNetwork, string>> = {
  mainnet: "bc",
  testnet: "tb",
  signet: "tbs",
  regtest: "bcrt",
};
const networks = Object.keys(CURRENCIES) as readonly InvoiceNetwork[];

const MSAT_PER_BITCOIN = 100_000_000_000;
/** Millisatoshi in one unit, the largest first; "p" is a tenth of one and has rules of its own. */
const multipliers = [
  ["", MSAT_PER_BITCOIN],
  ["m", 100_000_000],
  ["u", 100_000],
  ["n", 100],
] as const;
/** Ten thousand times more digits than there will be bitcoin; more would lose precision. */
const MAX_DIGITS = 17;

export interface Headline {
  readonly network: InvoiceNetwork;
  readonly amountMsat: MilliSatoshi | undefined;
}

/** The shortest text for the amount. */
export function writeHeadline({ network, amountMsat }: Headline): string {
  const prefix = `ln${CURRENCIES[network]}`;
  if (amountMsat === undefined) return prefix;
  insist(amountMsat > 0, "amount", "wrong-amount", "an invoice over nothing cannot be written");
  for (const [multiplier, unitMsat] of multipliers) {
    if (amountMsat % unitMsat === 0) return `${prefix}${amountMsat / unitMsat}${multiplier}`;
  }
  return `${prefix}${amountMsat}0p`;
}

/** `hrp` is in lower case. */
export function readHeadline(hrp: string): Headline {
  let end = 0;
  while (end < hrp.length && !isDigit(hrp, end)) end++;
  const prefix = hrp.slice(0, end);
  const network = networks.find((name) => `ln${CURRENCIES[name]}` === prefix);
  const known = networks.map((name) => `ln${CURRENCIES[name]}`).join(", ");
  insist(
    network !== undefined,
    "prefix",
    "unknown-network",
    `"${prefix}" is no network that is known here; an invoice begins with ${known}`,
  );
  return { network, amountMsat: end === hrp.length ? undefined : readAmount(hrp.slice(end)) };
}

/** Digits, then at most one letter. */
function readAmount(text: string): MilliSatoshi {
  let end = 0;
  while (end < text.length && isDigit(text, end)) end++;
  const digits = text.slice(0, end);
  const multiplier = text.slice(end);
  wrong(digits[0] !== "0", text, "begins with 0");
  wrong(digits.length <= MAX_DIGITS, text, "has more digits than there are bitcoin");
  const amountMsat = multiplier === "p" ? fromPico(digits, text) : fromUnits(digits, multiplier);
  wrong(amountMsat !== undefined, text, "is followed by something else than m, u, n or p");
  wrong(amountMsat <= Number.MAX_SAFE_INTEGER, text, "is more than can be counted here");
  return milliSatoshi(amountMsat);
}

function fromPico(digits: string, text: string): number {
  wrong(digits.endsWith("0"), text, "has a fraction of a millisatoshi");
  return Number(digits.slice(0, -1));
}

/** Where the product is no safe integer it is still a number beyond them. */
function fromUnits(digits: string, multiplier: string): number | undefined {
  const unit = multipliers.find(([letter]) => letter === multiplier);
  return unit && Number(digits) * unit[1];
}

function wrong(condition: unknown, text: string, what: string): asserts condition {
  insist(condition, "amount", "wrong-amount", `the amount ${text} ${what}`);
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 0x30 && code <= 0x39;
}
