/** Frames on a stream link (docs/PROTOCOL.md "Framing"): `00 COBS(content || CRC-32(content)) 00`, without the CRC in a packet. */
import { type Bytes, bigEndian, concat, same } from "./bytes.ts";

export function encodeFrame(content: Bytes): Bytes {
  const zero = Uint8Array.of(0);
  const crc = isPacket(content) ? new Uint8Array(0) : crc32(content);
  return concat(zero, stuff(concat(content, crc)), zero);
}

/** Cuts a stream at its zero bytes; what is no frame is thrown away and counted. */
export class FrameReader {
  damaged = 0;
  private held: number[] = [];

  read(bytes: Bytes): Bytes[] {
    const contents: Bytes[] = [];
    for (const byte of bytes) {
      if (byte !== 0) {
        this.held.push(byte);
        continue;
      }
      const block = Uint8Array.from(this.held);
      this.held = [];
      if (block.length === 0) continue;
      const content = open(block);
      if (content) contents.push(content);
      else this.damaged++;
    }
    return contents;
  }
}

function isPacket(content: Bytes): boolean {
  return (content[0] ?? 0) >= 0x80;
}

function open(block: Bytes): Bytes | undefined {
  const inside = unstuff(block);
  if (!inside || isPacket(inside)) return inside;
  if (inside.length < 4) return undefined;
  const content = inside.slice(0, -4);
  return same(crc32(content), inside.slice(-4)) ? content : undefined;
}

function stuff(bytes: Bytes): Bytes {
  const out: number[] = [];
  let run: number[] = [];
  const end = () => {
    out.push(run.length + 1, ...run);
    run = [];
  };
  for (const [index, byte] of bytes.entries()) {
    if (byte !== 0) run.push(byte);
    const isFull = run.length === 254 && index < bytes.length - 1;
    if (byte === 0 || isFull) end();
  }
  end();
  return Uint8Array.from(out);
}

function unstuff(block: Bytes): Bytes | undefined {
  const out: number[] = [];
  let at = 0;
  while (at < block.length) {
    const length = block[at] ?? 0;
    if (at + length > block.length) return undefined;
    out.push(...block.subarray(at + 1, at + length));
    at += length;
    if (length < 255 && at < block.length) out.push(0);
  }
  return Uint8Array.from(out);
}

/** The CRC-32 of Ethernet and zip, a bit at a time. */
export function crc32(bytes: Bytes): Bytes {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return bigEndian((crc ^ 0xffffffff) >>> 0, 4);
}
