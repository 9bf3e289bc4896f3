/** Bytes and hashes of the second peer: what the BOLTs write as `||`, SHA256 and u64. */
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";

export type Bytes = Uint8Array;

export function concat(...parts: readonly Bytes[]): Bytes {
  return Uint8Array.from(Buffer.concat(parts));
}

export function hex(bytes: Bytes): string {
  return Buffer.from(bytes).toString("hex");
}

export function fromHex(text: string): Bytes {
  return Uint8Array.from(Buffer.from(text, "hex"));
}

export function same(a: Bytes, b: Bytes): boolean {
  return Buffer.compare(a, b) === 0;
}

export function sha256(...parts: readonly Bytes[]): Bytes {
  return nobleSha256(concat(...parts));
}

export function hmacSha256(key: Bytes, data: Bytes): Bytes {
  return hmac(nobleSha256, key, data);
}

export function ascii(text: string): Bytes {
  return Uint8Array.from(Buffer.from(text, "latin1"));
}

/** A number as `length` big-endian bytes. */
export function bigEndian(value: number | bigint, length: number): Bytes {
  return fromHex(
    BigInt(value)
      .toString(16)
      .padStart(length * 2, "0"),
  );
}

export function toNumber(bytes: Bytes): bigint {
  return BigInt(`0x${hex(bytes)}`);
}
