/** CBOR in its deterministic encoding, cut down to what picobolt uses (RFC 8949 §4.2.1): encoder and strict decoder. */
import { compare, copyOf, plain } from "../primitives/bytes.ts";
import { assert, demand, ProtocolViolation } from "../primitives/errors.ts";
import type { CborValue } from "./schema.ts";
import { decodeUtf8, encodeUtf8, utf8Length } from "./utf8.ts";

export interface CborLimits {
  readonly maxBytes: number;
  /** Arrays and maps inside each other; a plain number has depth 0. */
  readonly maxDepth: number;
  /** Data items in all, keys counted too. */
  readonly maxItems: number;
  /** Byte strings are views of the input instead of copies: the input must not change afterwards. */
  readonly views?: boolean;
}

/** Deepest nesting that this module writes. */
export const MAX_CBOR_DEPTH = 16;

const UNSIGNED = 0;
const NEGATIVE = 1;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const TAG = 6;
const FALSE = 0xf4;
const TRUE = 0xf5;
const NULL = 0xf6;
const TWO_POW_32 = 0x1_0000_0000;
const INITIAL_BYTES = 256;

/** Encodes into bytes of its own; a value outside the data model is our bug (AssertionError). */
export function encodeCbor(value: CborValue): Uint8Array {
  return copyOf(new CborEncoder().encode(value));
}

/**
 * Decodes exactly one data item that fills `bytes`.
 * @throws ProtocolViolation whose tag (`cbor-…`) names what is wrong; nothing is allocated before its size is checked.
 */
export function decodeCbor(bytes: Uint8Array, limits: CborLimits): CborValue {
  demand(bytes.length <= limits.maxBytes, "cbor-too-large", `more than ${limits.maxBytes} bytes`);
  const decoder = new Decoder(bytes, limits);
  const value = decoder.value(0);
  demand(decoder.at === bytes.length, "cbor-trailing-bytes", "bytes after the data item");
  return value;
}

/** The data items of a CBOR sequence (RFC 8742), one after the other; the limits but `maxBytes` hold for each. */
export class CborSequence {
  private readonly decoder: Decoder;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly limits: CborLimits,
  ) {
    this.decoder = new Decoder(bytes, limits);
  }

  get isAtEnd(): boolean {
    return this.decoder.at === this.bytes.length;
  }

  /** @throws ProtocolViolation as `decodeCbor` does. */
  next(): CborValue {
    const { maxBytes } = this.limits;
    const fits = this.bytes.length <= maxBytes;
    if (!fits) demand(false, "cbor-too-large", `more than ${maxBytes} bytes`);
    return this.decoder.next();
  }
}

/** One growable buffer, used again for every value. */
export class CborEncoder {
  private buffer = new Uint8Array(INITIAL_BYTES);
  private at = 0;

  /** The encoding, as a view that stands until the next call. */
  encode(value: CborValue): Uint8Array {
    this.at = 0;
    this.value(value, 0);
    return this.buffer.subarray(0, this.at);
  }

  /** Bytes of the sequence that `append` made so far. */
  get length(): number {
    return this.at;
  }

  /** Adds a data item to those before it: a CBOR sequence (RFC 8742). */
  append(value: CborValue): void {
    this.value(value, 0);
  }

  /** The sequence, as a view that stands until the next call of anything. */
  view(length = this.at): Uint8Array {
    return this.buffer.subarray(0, length);
  }

  /** Forgets the first `length` bytes. */
  shift(length: number): void {
    this.buffer.copyWithin(0, length, this.at);
    this.at -= length;
  }

  /** Forgets what comes after the first `length` bytes. */
  truncate(length: number): void {
    this.at = length;
  }

  private value(value: CborValue, depth: number): void {
    // Most numbers are small: counts, ids, versions.
    if (typeof value === "number" && value >= 0 && (value | 0) === value)
      this.head(UNSIGNED, value);
    else if (typeof value === "number") this.integer(value);
    else if (typeof value === "string") this.text(value);
    else if (typeof value === "boolean") this.single(value ? TRUE : FALSE);
    else if (value === null) this.single(NULL);
    else if (value instanceof Uint8Array) this.bytes(value);
    else this.container(value, depth + 1);
  }

  private container(
    value: readonly CborValue[] | ReadonlyMap<number | string, CborValue>,
    depth: number,
  ): void {
    if (depth > MAX_CBOR_DEPTH) assert(false, `CBOR value deeper than ${MAX_CBOR_DEPTH}`);
    if (value instanceof Map) this.map(value, depth);
    else {
      assert(Array.isArray(value), "not a CBOR value of picobolt");
      this.array(value, depth);
    }
  }

  private single(byte: number): void {
    this.reserve(1);
    this.buffer[this.at++] = byte;
  }

  private integer(value: number): void {
    if (!Number.isSafeInteger(value)) assert(false, `not a safe integer: ${value}`);
    if (value >= 0) this.head(UNSIGNED, value);
    else this.head(NEGATIVE, -1 - value);
  }

  private bytes(value: Uint8Array): void {
    this.head(BYTES, value.length);
    this.reserve(value.length);
    this.buffer.set(value, this.at);
    this.at += value.length;
  }

  private text(value: string): void {
    const length = utf8Length(value);
    this.head(TEXT, length);
    this.reserve(length);
    encodeUtf8(value, this.buffer, this.at);
    this.at += length;
  }

  private array(items: readonly CborValue[], depth: number): void {
    this.head(ARRAY, items.length);
    for (let i = 0; i < items.length; i++) this.value(items[i] as CborValue, depth);
  }

  private map(entries: ReadonlyMap<number | string, CborValue>, depth: number): void {
    const keys = new CborEncoder();
    const sorted = [...entries].map(([key, value]) => {
      assert(typeof key === "number" || typeof key === "string", "map keys are numbers or texts");
      return { key: keys.encode(key).slice(), value };
    });
    sorted.sort((a, b) => compare(a.key, b.key));
    this.head(MAP, sorted.length);
    for (const { key, value } of sorted) {
      this.reserve(key.length);
      this.buffer.set(key, this.at);
      this.at += key.length;
      this.value(value, depth);
    }
  }

  /** Major type and argument in the shortest form. */
  private head(major: number, argument: number): void {
    const { at } = this;
    if (at + 9 > this.buffer.length) this.reserve(9);
    const { buffer } = this;
    const top = major << 5;
    if (argument < 24) {
      buffer[at] = top | argument;
      this.at = at + 1;
    } else if (argument < 0x100) {
      buffer[at] = top | 24;
      buffer[at + 1] = argument;
      this.at = at + 2;
    } else if (argument < 0x1_0000) {
      buffer[this.at++] = top | 25;
      buffer[this.at++] = argument >> 8;
      buffer[this.at++] = argument;
    } else {
      const wide = argument >= TWO_POW_32;
      buffer[this.at++] = top | (wide ? 27 : 26);
      if (wide) this.word(Math.floor(argument / TWO_POW_32));
      this.word(argument % TWO_POW_32);
    }
  }

  private word(value: number): void {
    const { buffer } = this;
    buffer[this.at++] = value >>> 24;
    buffer[this.at++] = value >>> 16;
    buffer[this.at++] = value >>> 8;
    buffer[this.at++] = value;
  }

  private reserve(length: number): void {
    const needed = this.at + length;
    if (needed <= this.buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.buffer.length));
    grown.set(this.buffer.subarray(0, this.at));
    this.buffer = grown;
  }
}

class Decoder {
  at = 0;
  private items = 0;
  private readonly bytes: Uint8Array;

  constructor(
    bytes: Uint8Array,
    private readonly limits: CborLimits,
  ) {
    this.bytes = plain(bytes);
  }

  next(): CborValue {
    this.items = 0;
    return this.value(0);
  }

  value(depth: number): CborValue {
    this.items++;
    demand(this.items <= this.limits.maxItems, "cbor-too-many-items", "too many data items");
    const initial = this.byte();
    const major = initial >> 5;
    if (major === 7) return simple(initial);
    demand(major !== TAG, "cbor-tag", "tags are not used");
    const argument = this.argument(initial & 31);
    switch (major) {
      case UNSIGNED:
        return argument;
      case NEGATIVE:
        demand(argument < Number.MAX_SAFE_INTEGER, "cbor-integer-range", "below -(2^53-1)");
        return -1 - argument;
      case BYTES: {
        const { start, end } = this.take(argument);
        return this.limits.views ? this.bytes.subarray(start, end) : this.bytes.slice(start, end);
      }
      case TEXT: {
        const { start, end } = this.take(argument);
        return decodeUtf8(this.bytes, start, end);
      }
      case ARRAY:
        return this.array(argument, depth + 1);
      default:
        return this.map(argument, depth + 1);
    }
  }

  private array(count: number, depth: number): CborValue {
    this.enter(count, depth);
    const items: CborValue[] = [];
    for (let i = 0; i < count; i++) items.push(this.value(depth));
    return items;
  }

  private map(count: number, depth: number): CborValue {
    this.enter(2 * count, depth);
    const entries = new Map<number | string, CborValue>();
    let previous: Uint8Array | undefined;
    for (let i = 0; i < count; i++) {
      const start = this.at;
      const key = this.value(depth);
      demand(
        typeof key === "number" || typeof key === "string",
        "cbor-key-type",
        "map keys are integers or texts",
      );
      const encoded = this.bytes.subarray(start, this.at);
      const order = previous === undefined ? -1 : compare(previous, encoded);
      demand(order !== 0, "cbor-duplicate-key", "a map key stands twice");
      demand(order < 0, "cbor-key-order", "map keys are not sorted");
      previous = encoded;
      entries.set(key, this.value(depth));
    }
    return entries;
  }

  /** An array or map with `items` data items inside; each of them takes at least a byte. */
  private enter(items: number, depth: number): void {
    const { maxDepth, maxItems } = this.limits;
    if (depth > maxDepth) demand(false, "cbor-too-deep", `nested deeper than ${maxDepth}`);
    demand(this.items + items <= maxItems, "cbor-too-many-items", "too many data items");
    demand(items <= this.bytes.length - this.at, "cbor-truncated", "the data item is cut short");
  }

  private take(length: number): { readonly start: number; readonly end: number } {
    const start = this.at;
    demand(length <= this.bytes.length - start, "cbor-truncated", "the data item is cut short");
    this.at = start + length;
    return { start, end: this.at };
  }

  /** The number after the major type; only the shortest of its forms, and only safe integers. */
  private argument(information: number): number {
    if (information < 24) return information;
    demand(information !== 31, "cbor-indefinite-length", "lengths are definite");
    demand(information < 28, "cbor-reserved", "reserved additional information");
    if (information === 27) {
      const high = this.unsigned(4);
      const low = this.unsigned(4);
      demand(high > 0, "cbor-not-shortest", "an integer is not in its shortest form");
      demand(high < 0x20_0000, "cbor-integer-range", "above 2^53-1");
      return high * TWO_POW_32 + low;
    }
    const width = 1 << (information - 24);
    const value = this.unsigned(width);
    const least = width === 1 ? 24 : width === 2 ? 0x100 : 0x1_0000;
    demand(value >= least, "cbor-not-shortest", "an integer is not in its shortest form");
    return value;
  }

  private unsigned(width: number): number {
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + this.byte();
    return value;
  }

  private byte(): number {
    const value = this.bytes[this.at];
    demand(value !== undefined, "cbor-truncated", "the data item is cut short");
    this.at++;
    return value;
  }
}

function simple(initial: number): CborValue {
  switch (initial) {
    case FALSE:
      return false;
    case TRUE:
      return true;
    case NULL:
      return null;
    case 0xf9:
    case 0xfa:
    case 0xfb:
      throw new ProtocolViolation("cbor-float", "floating-point numbers are not used");
    case 0xff:
      throw new ProtocolViolation("cbor-indefinite-length", "lengths are definite");
    case 0xfc:
    case 0xfd:
    case 0xfe:
      throw new ProtocolViolation("cbor-reserved", "reserved additional information");
    default:
      throw new ProtocolViolation("cbor-simple-value", "only false, true and null are used");
  }
}
