/** CRC-32 as in Ethernet and zip (ISO-HDLC, polynomial 0x04C11DB7 reflected), four bytes at a time. */

export const CRC_START = 0xffff_ffff;
const POLYNOMIAL = 0xedb8_8320;

/** Entry 256·i + b: byte b with i zero bytes after it. 4 KB, which lie in a device's flash and are never written again. */
const table: Int32Array = crcTable();

function crcTable(): Int32Array {
  const out = new Int32Array(4 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0);
    out[byte] = value;
  }
  for (let i = 256; i < out.length; i++) {
    const before = out[i - 256] as number;
    out[i] = (before >>> 8) ^ (out[before & 255] as number);
  }
  return out;
}

export function crc32Update(crc: number, bytes: Uint8Array): number {
  const { length } = bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  let value = crc;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    value ^= view.getInt32(i, true);
    value =
      (table[768 + (value & 255)] as number) ^
      (table[512 + ((value >>> 8) & 255)] as number) ^
      (table[256 + ((value >>> 16) & 255)] as number) ^
      (table[value >>> 24] as number);
  }
  for (; i < length; i++) {
    value = (value >>> 8) ^ (table[(value ^ (bytes[i] as number)) & 255] as number);
  }
  return value;
}

export function crc32Finish(crc: number): number {
  return ~crc >>> 0;
}

/** Of these bytes alone, or going on from `previous`, the checksum of the bytes before them. */
export function crc32(bytes: Uint8Array, previous = 0): number {
  return crc32Finish(crc32Update(~previous, bytes));
}
