/** Frames on a stream of bytes: COBS between zero bytes, with a CRC-32 where nothing else protects them (docs/PROTOCOL.md "Framing"). */
import { CRC_START, crc32Finish, crc32Update } from "../primitives/crc32.ts";
import { isPacket } from "./packets.ts";

/** The byte that stands before and after each frame, and never inside one. */
const DELIMITER = 0;
const CRC_BYTES = 4;
/** A COBS block: its length byte and up to 254 bytes without a zero. */
const MAX_BLOCK = 255;
const INITIAL_BYTES = 256;
const KEPT_BYTES = 1024;

/** Bytes on the line for a packet's frame of `length` bytes, at most; others have a CRC besides. */
export function frameBound(content: number): number {
  return content + Math.floor(content / (MAX_BLOCK - 1)) + 1 + 2;
}

/** One frame from its parts (the first is not empty), which are not joined first; a view of a buffer of its own. */
export function encodeFrame(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const authenticated = isPacket(parts[0] as Uint8Array);
  const encoder = new CobsEncoder(frameBound(authenticated ? length : length + CRC_BYTES));
  for (const part of parts) encoder.add(part);
  if (!authenticated) {
    let crc = CRC_START;
    for (const part of parts) crc = crc32Update(crc, part);
    encoder.add(crcBytes(crc32Finish(crc)));
  }
  return encoder.finish();
}

class CobsEncoder {
  private readonly out: Uint8Array;
  private at = 2;
  /** Where the current block's length byte stands. */
  private block = 1;

  constructor(bound: number) {
    this.out = new Uint8Array(bound);
  }

  add(bytes: Uint8Array): void {
    const { length } = bytes;
    for (let at = 0; at < length; ) {
      const found = bytes.indexOf(DELIMITER, at);
      const end = found < 0 ? length : found;
      while (at < end) at = this.copyRun(bytes, at, end);
      if (found < 0) return;
      this.closeFullBlock();
      this.out[this.block] = this.at - this.block;
      this.block = this.at++;
      at = end + 1;
    }
  }

  /** Bytes without a zero, as many as the block takes; returns where it stopped. */
  private copyRun(bytes: Uint8Array, start: number, end: number): number {
    this.closeFullBlock();
    const stop = Math.min(end, start + MAX_BLOCK - (this.at - this.block));
    this.at = copyBytes(bytes, start, stop, this.out, this.at);
    return stop;
  }

  private closeFullBlock(): void {
    if (this.at - this.block < MAX_BLOCK) return;
    this.out[this.block] = MAX_BLOCK;
    this.block = this.at++;
  }

  finish(): Uint8Array {
    this.out[this.block] = this.at - this.block;
    this.at++; // the closing delimiter is zero already
    return this.out.subarray(0, this.at);
  }
}

export interface FrameCounters {
  /** Frames delivered. */
  readonly frames: number;
  /** Frames and garbage thrown away: wrong CRC, broken COBS, too large. */
  readonly dropped: number;
}

/** Takes bytes at any boundaries; delivers packets, and frames whose CRC fits, in order, and never holds more than one. */
export class FrameDecoder {
  private buffer: Uint8Array;
  private length = 0;
  /** Bytes left in the current block; 0: a length byte comes next. */
  private left = 0;
  /** The block before ends in a zero, unless the frame ends here. */
  private zeroDue = false;
  /** Too large or broken: skip to the next delimiter. */
  private skipping = false;
  private delivered = 0;
  private dropped = 0;
  private readonly limit: number;

  /** @param maxBytes of a frame's content. `deliver` gets a view that stands until it returns. */
  constructor(
    maxBytes: number,
    private readonly deliver: (frame: Uint8Array) => void,
  ) {
    this.limit = maxBytes + CRC_BYTES;
    this.buffer = new Uint8Array(Math.min(INITIAL_BYTES, this.limit));
  }

  get counters(): FrameCounters {
    return { frames: this.delivered, dropped: this.dropped };
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const byte = bytes[at] as number;
      if (byte === DELIMITER) {
        at++;
        this.end();
      } else if (this.skipping) {
        const next = bytes.indexOf(DELIMITER, at);
        at = next < 0 ? bytes.length : next;
      } else if (this.left === 0) {
        at++;
        this.beginBlock(byte);
      } else at = this.copyRun(bytes, at);
    }
  }

  private beginBlock(lengthByte: number): void {
    if (this.zeroDue && this.makeRoom(1)) this.buffer[this.length++] = 0;
    this.left = lengthByte - 1;
    this.zeroDue = lengthByte !== MAX_BLOCK;
  }

  /** Copies what this chunk holds of the current block; returns where it stopped. */
  private copyRun(bytes: Uint8Array, start: number): number {
    const most = Math.min(start + this.left, bytes.length);
    const found = bytes.subarray(start, most).indexOf(DELIMITER);
    const end = found < 0 ? most : start + found;
    if (!this.makeRoom(end - start)) return start;
    this.length = copyBytes(bytes, start, end, this.buffer, this.length);
    this.left -= end - start;
    return end;
  }

  private makeRoom(more: number): boolean {
    const needed = this.length + more;
    if (needed > this.limit) {
      this.skipping = true;
      return false;
    }
    if (needed > this.buffer.length) {
      const grown = new Uint8Array(Math.min(this.limit, Math.max(needed, 2 * this.buffer.length)));
      grown.set(this.buffer.subarray(0, this.length));
      this.buffer = grown;
    }
    return true;
  }

  /** A delimiter: what stands before it is a frame, nothing, or garbage. */
  private end(): void {
    const { length } = this;
    const empty = length === 0 && this.left === 0 && !this.zeroDue && !this.skipping;
    const whole = !this.skipping && this.left === 0 && length > 0;
    this.length = 0;
    this.left = 0;
    this.zeroDue = false;
    this.skipping = false;
    if (empty) return;
    const content = whole ? this.contentOf(this.buffer.subarray(0, length)) : undefined;
    if (content === undefined) {
      this.dropped++;
      return;
    }
    this.delivered++;
    this.deliver(content);
    // A frame of headers has 4 KB; a device does not keep as much for the small ones that follow.
    if (this.buffer.length > KEPT_BYTES) this.buffer = new Uint8Array(INITIAL_BYTES);
  }

  /** A packet proves itself when it is decrypted; everything else has a CRC. */
  private contentOf(frame: Uint8Array): Uint8Array | undefined {
    if (isPacket(frame)) return frame;
    if (frame.length <= CRC_BYTES) return undefined;
    const content = frame.subarray(0, frame.length - CRC_BYTES);
    return this.crcFits(content) ? content : undefined;
  }

  private crcFits(content: Uint8Array): boolean {
    const expected = crcBytes(crc32Finish(crc32Update(CRC_START, content)));
    for (let i = 0; i < CRC_BYTES; i++) {
      if (this.buffer[content.length + i] !== expected[i]) return false;
    }
    return true;
  }
}

/** Copies bytes `start` … `end` to `at`, and returns where they end. */
function copyBytes(
  from: Uint8Array,
  start: number,
  end: number,
  to: Uint8Array,
  at: number,
): number {
  to.set(from.subarray(start, end), at);
  return at + end - start;
}

function crcBytes(crc: number): Uint8Array {
  return Uint8Array.of(crc >>> 24, crc >>> 16, crc >>> 8, crc);
}
