/** The number and record formats of the Lightning wire: BigSize, TLV streams, truncated and signed integers (BOLT 1). */
import { concat, concatAll } from "../primitives/bytes.ts";
import { assert, demand } from "../primitives/errors.ts";

const MAX_U64 = 2n ** 64n - 1n;

export interface TlvRecord {
  readonly type: bigint;
  readonly value: Uint8Array;
}

/** How the values of one TLV namespace are read, by type; a reader throws ProtocolViolation. */
export type TlvNamespace<T> = ReadonlyMap<bigint, (value: Uint8Array) => T>;

export function encodeBigSize(value: bigint): Uint8Array {
  assert(value >= 0n && value <= MAX_U64, "BigSize out of range");
  if (value < 0xfdn) return unsigned(value, 1);
  if (value < 0x1_0000n) return concat(Uint8Array.of(0xfd), unsigned(value, 2));
  if (value < 0x1_0000_0000n) return concat(Uint8Array.of(0xfe), unsigned(value, 4));
  return concat(Uint8Array.of(0xff), unsigned(value, 8));
}

/** @throws ProtocolViolation `bigsize-truncated`, `bigsize-not-canonical`. */
export function decodeBigSize(
  bytes: Uint8Array,
  at = 0,
): { readonly value: bigint; readonly end: number } {
  const first = bytes[at];
  demand(first !== undefined, "bigsize-truncated", "unexpected end");
  if (first < 0xfd) return { value: BigInt(first), end: at + 1 };
  const width = 1 << (first - 0xfc);
  const end = at + 1 + width;
  demand(end <= bytes.length, "bigsize-truncated", "unexpected end");
  const value = unsignedOf(bytes.subarray(at + 1, end));
  const least = width === 2 ? 0xfdn : width === 4 ? 0x1_0000n : 0x1_0000_0000n;
  demand(value >= least, "bigsize-not-canonical", "decoded bigsize is not canonical");
  return { value, end };
}

/** `records` stand in strictly increasing order of type. */
export function encodeTlvStream(records: readonly TlvRecord[]): Uint8Array {
  let last = -1n;
  const parts = records.flatMap(({ type, value }) => {
    assert(type > last, "TLV types must increase");
    last = type;
    return [encodeBigSize(type), encodeBigSize(BigInt(value.length)), value];
  });
  return concatAll(parts);
}

/**
 * The known records of a stream by type; unknown odd ones are left out.
 * @throws ProtocolViolation `bigsize-…`, `tlv-order`, `tlv-truncated`, `tlv-unknown-even`, and what the readers throw.
 */
export function decodeTlvStream<T>(
  stream: Uint8Array,
  namespace: TlvNamespace<T>,
): ReadonlyMap<bigint, T> {
  const out = new Map<bigint, T>();
  let last = -1n;
  let at = 0;
  while (at < stream.length) {
    const type = decodeBigSize(stream, at);
    demand(type.value > last, "tlv-order", "types must strictly increase");
    last = type.value;
    const length = decodeBigSize(stream, type.end);
    const left = BigInt(stream.length - length.end);
    demand(length.value <= left, "tlv-truncated", "the value is cut short");
    at = length.end + Number(length.value);
    const read = namespace.get(type.value);
    const understood = read !== undefined || type.value % 2n === 1n;
    demand(understood, "tlv-unknown-even", `record ${type.value} is not known`);
    if (read !== undefined) out.set(type.value, read(stream.subarray(length.end, at)));
  }
  return out;
}

/** tu16, tu32, tu64: no leading zero byte, at most `maxBytes`. @throws ProtocolViolation `tu-…` */
export function decodeTruncated(value: Uint8Array, maxBytes: 2 | 4 | 8): bigint {
  demand(value.length <= maxBytes, "tu-too-long", `at most ${maxBytes} bytes`);
  demand(value[0] !== 0, "tu-not-minimal", "a leading zero byte");
  return unsignedOf(value);
}

export function encodeTruncated(value: bigint): Uint8Array {
  assert(value >= 0n && value <= MAX_U64, "truncated integer out of range");
  let width = 0;
  while (value >> BigInt(8 * width) > 0n) width++;
  return unsigned(value, width);
}

/** u16, u32, u64 …: as many bytes as are given. */
export function unsignedOf(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

/** s8, s16, s32, s64 in two's complement: as many bytes as are given. */
export function signedOf(bytes: Uint8Array): bigint {
  return BigInt.asIntN(8 * bytes.length, unsignedOf(bytes));
}

/** The shortest of 1, 2, 4 and 8 bytes that holds the signed `value`. */
export function encodeSigned(value: bigint): Uint8Array {
  for (const width of [1, 2, 4, 8]) {
    if (BigInt.asIntN(8 * width, value) === value) {
      return unsigned(BigInt.asUintN(8 * width, value), width);
    }
  }
  assert(false, "signed integer out of range");
}

function unsigned(value: bigint, width: number): Uint8Array {
  const out = new Uint8Array(width);
  let rest = value;
  for (let i = width - 1; i >= 0; i--) {
    out[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return out;
}
