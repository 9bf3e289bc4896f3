/** Numbers and byte strings that must not be mixed up, each with the one function that makes it. */
import { assert } from "./errors.ts";

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

export type Satoshi = Branded<number, "Satoshi">;
export type MilliSatoshi = Branded<number, "MilliSatoshi">;
/** Height of a block in its chain; the genesis block is 0. */
export type BlockHeight = Branded<number, "BlockHeight">;
/** Number of a commitment transaction: 48 bits, counting up from 0 (BOLT 3). */
export type CommitmentNumber = Branded<number, "CommitmentNumber">;

/** 32 bytes in the order in which they stand inside transactions (not the order in which people read txids). */
export type Txid = Branded<Uint8Array, "Txid">;
/** 32 bytes: funding txid XOR output index (BOLT 2), or a temporary channel id. */
export type ChannelId = Branded<Uint8Array, "ChannelId">;
/** 33 bytes, compressed (SEC 1). */
export type PublicKey = Branded<Uint8Array, "PublicKey">;
/** 33 bytes: the point that tweaks every key of one commitment (BOLT 3). */
export type PerCommitmentPoint = PublicKey & { readonly point?: "PerCommitmentPoint" };
/** 32 bytes in 1 … n-1. Never logged. */
export type SecretKey = Branded<Uint8Array, "SecretKey">;
/** 64 bytes: r then s, s in the lower half. */
export type Signature = Branded<Uint8Array, "Signature">;
/** 32 bytes: SHA-256 of a payment preimage. */
export type PaymentHash = Branded<Uint8Array, "PaymentHash">;
export type Preimage = Branded<Uint8Array, "Preimage">;

export const MAX_SATOSHI = 9_007_199_254_740; // the largest amount whose millisatoshi are a safe integer
export const MAX_COMMITMENT_NUMBER = 2 ** 48 - 1;

function natural(value: number, max: number, what: string): void {
  const isIn = Number.isSafeInteger(value) && value >= 0 && value <= max;
  // Texts of errors are made where there is one: numbers in them cost a device more than the check.
  if (!isIn) assert(false, `${what} out of range: ${value}`);
}
export function satoshi(value: number): Satoshi {
  natural(value, MAX_SATOSHI, "satoshi");
  return value as Satoshi;
}
export function milliSatoshi(value: number): MilliSatoshi {
  natural(value, Number.MAX_SAFE_INTEGER, "millisatoshi");
  return value as MilliSatoshi;
}
export function blockHeight(value: number): BlockHeight {
  natural(value, 499_999_999, "block height");
  return value as BlockHeight;
}
export function commitmentNumber(value: number): CommitmentNumber {
  natural(value, MAX_COMMITMENT_NUMBER, "commitment number");
  return value as CommitmentNumber;
}
/** The whole satoshis in an amount, rounded down (BOLT 3). */
export function satoshiFloor(amountMsat: MilliSatoshi): Satoshi {
  return satoshi(Math.floor(amountMsat / 1000));
}
export function toMilliSatoshi(amount: Satoshi): MilliSatoshi {
  return milliSatoshi(amount * 1000);
}

function sized(bytes: Uint8Array, length: number, what: string): void {
  const has = bytes.length;
  if (has !== length) assert(false, `${what} must have ${length} bytes, has ${has}`);
}
export function txid(bytes: Uint8Array): Txid {
  sized(bytes, 32, "txid");
  return bytes as Txid;
}
export function channelId(bytes: Uint8Array): ChannelId {
  sized(bytes, 32, "channel id");
  return bytes as ChannelId;
}
export function publicKey(bytes: Uint8Array): PublicKey {
  sized(bytes, 33, "public key");
  return bytes as PublicKey;
}
export function secretKey(bytes: Uint8Array): SecretKey {
  sized(bytes, 32, "secret key");
  return bytes as SecretKey;
}
export function signature(bytes: Uint8Array): Signature {
  sized(bytes, 64, "signature");
  return bytes as Signature;
}
export function paymentHash(bytes: Uint8Array): PaymentHash {
  sized(bytes, 32, "payment hash");
  return bytes as PaymentHash;
}
export function preimage(bytes: Uint8Array): Preimage {
  sized(bytes, 32, "preimage");
  return bytes as Preimage;
}
