/** The feature bits of invoices (BOLT 9, context "9"): what a payer here understands, and what hangs together. */
import { testBit } from "../../messages/features.ts";
import { insist } from "./invoice-error.ts";

/** The even bit of each pair. */
export const InvoiceFeature = {
  varOnion: 8,
  paymentSecret: 14,
  basicMpp: 16,
  paymentMetadata: 48,
} as const;

/** An invoice that asks for parts can be paid in one. */
const understood: readonly number[] = Object.values(InvoiceFeature);
const dependencies: readonly (readonly [number, number])[] = [
  [InvoiceFeature.basicMpp, InvoiceFeature.paymentSecret],
];

/** @throws InvoiceError for a required feature that is unknown here, and for one without what it needs. */
export function checkFeatures(features: Uint8Array): void {
  for (let bit = 0; bit < 8 * features.length; bit += 2) {
    const isFine = !testBit(features, bit) || understood.includes(bit);
    const what = `the payee requires feature ${bit}, which is unknown here: a newer version may know it`;
    insist(isFine, "9", "unknown-feature", what);
  }
  for (const [bit, needed] of dependencies) {
    const isFine = !isOffered(features, bit) || isOffered(features, needed);
    const what = `the invoice has feature ${bit} without feature ${needed}, which it needs`;
    insist(isFine, "9", "feature-dependency", what);
  }
}

/** As required or as optional. */
export function isOffered(features: Uint8Array, evenBit: number): boolean {
  return testBit(features, evenBit) || testBit(features, evenBit + 1);
}

/** 5-bit groups, aligned to the end: bit 0 is the last one's lowest. */
export function readFeatures(groups: Uint8Array): Uint8Array {
  const bits = groups.length * 5;
  const out = new Uint8Array((bits + 7) >> 3);
  for (let bit = 0; bit < bits; bit++) {
    const group = groups[groups.length - 1 - Math.floor(bit / 5)] as number;
    if (((group >> (bit % 5)) & 1) === 0) continue;
    const index = out.length - 1 - (bit >> 3);
    out[index] = (out[index] as number) | (1 << (bit & 7));
  }
  return out;
}

/** As few groups as there can be. */
export function writeFeatures(features: Uint8Array): Uint8Array {
  let bits = 8 * features.length;
  while (bits > 0 && !testBit(features, bits - 1)) bits--;
  const out = new Uint8Array(Math.ceil(bits / 5));
  for (let bit = 0; bit < bits; bit++) {
    if (!testBit(features, bit)) continue;
    const index = out.length - 1 - Math.floor(bit / 5);
    out[index] = (out[index] as number) | (1 << (bit % 5));
  }
  return out;
}
