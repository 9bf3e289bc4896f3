/** Small helpers on byte arrays; core has no Buffer and no TextEncoder. */
import { assert } from "./errors.ts";

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** Two views cost as much as looking at this many bytes. */
const WORTH_VIEWS = 8;

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return concatAll(parts);
}

/** For lists: spread into arguments, a long one would not fit into a device's stack. */
export function concatAll(parts: readonly Uint8Array[]): Uint8Array {
  const count = parts.length;
  let length = 0;
  for (let i = 0; i < count; i++) length += (parts[i] as Uint8Array).length;
  const out = new Uint8Array(length);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const part = parts[i] as Uint8Array;
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A copy of its own, which `slice` of a Buffer is not. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length);
  out.set(bytes);
  return out;
}

/** The same memory as an array whose `slice` copies: that of Node's Buffer, a subclass, does not. */
export function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** By words of four bytes: an interpreter pays for each look into an array. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  const { length } = a;
  if (length !== b.length || a[0] !== b[0]) return false;
  if (length < WORTH_VIEWS) return compare(a, b) === 0;
  const left = new DataView(a.buffer, a.byteOffset, length);
  const right = new DataView(b.buffer, b.byteOffset, length);
  for (let at = 0; at + 4 <= length; at += 4) {
    if (left.getInt32(at) !== right.getInt32(at)) return false;
  }
  // The last word overlaps the one before where the length is no multiple of four.
  return left.getInt32(length - 4) === right.getInt32(length - 4);
}

/** Equality in a time that does not depend on the contents; for secrets and authentication tags. */
export function equalConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}

/** Lexicographic order: negative, zero or positive. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export function reversed(bytes: Uint8Array): Uint8Array {
  return bytes.slice().reverse();
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

export function toHex(bytes: Uint8Array): string {
  // Added up, it would be kept as a tree of its pieces.
  const { length } = bytes;
  const pairs = new Array<string>(length).fill("");
  for (let i = 0; i < length; i++) pairs[i] = HEX[bytes[i] as number] as string;
  return pairs.join("");
}

/** Of whole bytes. No regular expression: the device's image does without their engine. */
export function isHex(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // Bit 5 makes a letter a small one.
    const letter = code | 0x20;
    if (!(code >= 0x30 && code <= 0x39) && !(letter >= 0x61 && letter <= 0x66)) return false;
  }
  return text.length % 2 === 0;
}

export function fromHex(hex: string): Uint8Array {
  assert(isHex(hex), "not a hexadecimal string of whole bytes");
  const out = new Uint8Array(hex.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return out;
}

/** The bytes of a string of ASCII characters. */
export function ascii(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    assert(code < 128, "not ASCII");
    out[i] = code;
  }
  return out;
}

/** Overwrites scratch bytes that held a secret. */
export function wipe(bytes: Uint8Array): void {
  bytes.fill(0);
}
