/** Between Bitcoin Core's JSON (BTC as decimal numbers, hashes back to front) and ours (satoshi, hashes in wire order). */
import { type Satoshi, satoshi, type Txid, txid } from "../../../core/primitives/brands.ts";
import { fromHex, reversed, toHex } from "../../../core/primitives/bytes.ts";

/** A hash as people and RPCs read it. */
export function toDisplay(hash: Uint8Array): string {
  return toHex(reversed(hash));
}
export function hashFromDisplay(text: string): Uint8Array {
  return reversed(fromHex(text));
}
export function txidFromDisplay(text: string): Txid {
  return txid(hashFromDisplay(text));
}

/** JSON numbers of BTC have eight decimals: rounding gives the exact satoshis. */
export function satoshiFromBtc(amount: number): Satoshi {
  return satoshi(Math.round(amount * 1e8));
}
/** As a string, which RPCs take where a binary fraction would not do. */
export function btcFromSatoshi(amount: number): string {
  const whole = Math.floor(amount / 1e8);
  return `${whole}.${String(amount % 1e8).padStart(8, "0")}`;
}

/** BTC per 1000 virtual bytes to satoshi per 1000 weight units. */
export function perKwFromBtcPerKvb(rate: number): number {
  return Math.ceil(Math.round(rate * 1e8) / 4);
}
/** Satoshi per virtual byte, as `fee_rate` wants it: three decimals. */
export function satPerVb(feeratePerKw: number): string {
  return (Math.ceil(feeratePerKw * 4) / 1000).toFixed(3);
}
