/**
 * Little-endian numbers, varints and byte strings of Bitcoin's serialisation (BIP 144), written and
 * strictly read.
 */
import { copyOf } from "../primitives/bytes.ts";
import { demand } from "../primitives/errors.ts";

const TAG = "transaction";
const TWO_32 = 2 ** 32;

/** A buffer that grows; `bytes()` gives what was written. */
export class ByteWriter {
  #buffer: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#buffer = new Uint8Array(capacity);
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  u32(value: number): void {
    this.#reserve(4);
    const buffer = this.#buffer;
    const at = this.#length;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
    buffer[at + 2] = value >>> 16;
    buffer[at + 3] = value >>> 24;
    this.#length = at + 4;
  }

  /** A safe integer in eight bytes. */
  u64(value: number): void {
    this.u32((value % TWO_32) | 0);
    this.u32(Math.floor(value / TWO_32));
  }

  varint(value: number): void {
    if (value < 0xfd) {
      this.u8(value);
    } else if (value <= 0xffff) {
      this.u8(0xfd);
      this.u8(value & 0xff);
      this.u8(value >>> 8);
    } else {
      this.u8(0xfe);
      this.u32(value);
    }
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** The bytes after their length. */
  prefixed(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  bytes(): Uint8Array {
    return copyOf(this.view());
  }

  /** What was written, without a copy: to be read at once and not kept. */
  view(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#buffer.length));
    grown.set(this.#buffer);
    this.#buffer = grown;
  }
}

export function varintLength(value: number): number {
  if (value < 0xfd) return 1;
  return value <= 0xffff ? 3 : 5;
}

/** Reads what others sent: every shortfall is a ProtocolViolation("transaction"). */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    this.#need(1);
    return this.#bytes[this.#at++] as number;
  }

  /** The byte `offset` ahead, not consumed. */
  peek(offset: number): number | undefined {
    return this.#bytes[this.#at + offset];
  }

  u16(): number {
    return this.u8() + this.u8() * 0x100;
  }

  u32(): number {
    return this.u16() + this.u16() * 0x10000;
  }

  u64(): number {
    const low = this.u32();
    const high = this.u32();
    demand(high < 2 ** 21, TAG, "a 64-bit number is too large");
    return high * TWO_32 + low;
  }

  varint(): number {
    const first = this.u8();
    if (first < 0xfd) return first;
    demand(first !== 0xff, TAG, "a count or length is absurd");
    const value = first === 0xfd ? this.u16() : this.u32();
    demand(value >= (first === 0xfd ? 0xfd : 0x10000), TAG, "a count or length is not minimal");
    return value;
  }

  /**
   * A count of items of at least `itemBytes` each, checked against what is left before anything is
   * allocated.
   */
  count(itemBytes: number): number {
    const count = this.varint();
    demand(count * itemBytes <= this.remaining, TAG, "a count exceeds the bytes that follow");
    return count;
  }

  raw(length: number): Uint8Array {
    this.#need(length);
    const start = this.#at;
    this.#at += length;
    return this.#bytes.slice(start, this.#at);
  }

  prefixed(): Uint8Array {
    return this.raw(this.varint());
  }

  #need(count: number): void {
    demand(this.remaining >= count, TAG, "it ends too early");
  }
}
