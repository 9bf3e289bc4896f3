/** Bytes of the flash log: sector headers and frames, little-endian, each programmed once and never again. */
import { type Crc32, ERASED } from "./flash.ts";

export const SECTOR_HEADER_BYTES = 32;
export const FRAME_HEADER_BYTES = 16;
/** Frames start at multiples of this: the write unit of encrypted ESP32 flash. */
export const ALIGNMENT = 16;

const SECTOR_MAGIC = 0x314c4270; // "pBL1": the format's version is its last character
const FRAME_MAGIC = 0xb7;
const FLAG_LAST = 1;

/** Stands at the start of every sector in use. */
export interface SectorHeader {
  /** Rises by one with every sector that is opened. */
  readonly sequence: number;
  /** Sectors with a lower sequence hold nothing that is needed: they may be half erased. */
  readonly tail: number;
  readonly eraseCount: number;
}

/** A piece of a commit; a commit is whole when its frames 0 … last follow each other in the log. */
export interface Frame {
  readonly commit: number;
  readonly index: number;
  readonly last: boolean;
  readonly payload: Uint8Array;
}

export function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

export function encodeSectorHeader(header: SectorHeader, crc32: Crc32): Uint8Array {
  const bytes = new Uint8Array(SECTOR_HEADER_BYTES).fill(ERASED);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, SECTOR_MAGIC, true);
  view.setUint32(4, header.sequence, true);
  view.setUint32(8, header.tail, true);
  view.setUint32(12, header.eraseCount, true);
  view.setUint32(16, crc32(bytes.subarray(0, 16)), true);
  return bytes;
}

export function decodeSectorHeader(bytes: Uint8Array, crc32: Crc32): SectorHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== SECTOR_MAGIC) return undefined;
  if (view.getUint32(16, true) !== crc32(bytes.subarray(0, 16))) return undefined;
  const sequence = view.getUint32(4, true);
  const tail = view.getUint32(8, true);
  if (sequence === 0 || tail > sequence) return undefined;
  return { sequence, tail, eraseCount: view.getUint32(12, true) };
}

/** `sequence` is the sector's: a frame that an imperfect erase left from the sector's last life never fits. */
export function encodeFrame(frame: Frame, sequence: number, crc32: Crc32): Uint8Array {
  const { payload } = frame;
  const end = FRAME_HEADER_BYTES + payload.length;
  const bytes = new Uint8Array(aligned(end)).fill(ERASED, end);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FRAME_MAGIC);
  view.setUint8(1, frame.last ? FLAG_LAST : 0);
  view.setUint16(2, frame.index, true);
  view.setUint32(4, frame.commit, true);
  view.setUint16(8, payload.length, true);
  const check = crc32(bytes.subarray(0, 10), sequence);
  view.setUint16(10, check & 0xffff, true);
  view.setUint32(12, crc32(payload, check), true);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

/** `end`: nothing was written here. `broken`: nothing after it in this sector can be found either. */
export type FrameReading =
  | { readonly kind: "frame"; readonly frame: Frame; readonly next: number }
  | { readonly kind: "damaged"; readonly next: number }
  | { readonly kind: "broken" }
  | { readonly kind: "end" };

/** Flash that the frame with this header takes, where it is one. */
export function frameBytes(header: Uint8Array): number {
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  return aligned(FRAME_HEADER_BYTES + view.getUint16(8, true));
}

/** Reads the frame at `offset` of a whole sector's bytes, or of a part that ends behind it. */
export function readFrame(
  sector: Uint8Array,
  offset: number,
  sequence: number,
  crc32: Crc32,
): FrameReading {
  if (offset + FRAME_HEADER_BYTES > sector.length) return { kind: "end" };
  const header = sector.subarray(offset, offset + FRAME_HEADER_BYTES);
  if (header.every((byte) => byte === ERASED)) return { kind: "end" };
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  const check = crc32(header.subarray(0, 10), sequence);
  if (view.getUint8(0) !== FRAME_MAGIC || view.getUint16(10, true) !== (check & 0xffff)) {
    return { kind: "broken" }; // no resynchronising: payloads hold bytes that a peer chose
  }
  const start = offset + FRAME_HEADER_BYTES;
  const length = view.getUint16(8, true);
  if (start + length > sector.length) return { kind: "broken" };
  const next = offset + aligned(FRAME_HEADER_BYTES + length);
  const payload = sector.subarray(start, start + length);
  if (view.getUint32(12, true) !== crc32(payload, check)) return { kind: "damaged", next };
  const frame = {
    commit: view.getUint32(4, true),
    index: view.getUint16(2, true),
    last: (view.getUint8(1) & FLAG_LAST) !== 0,
    payload,
  };
  return { kind: "frame", frame, next };
}
