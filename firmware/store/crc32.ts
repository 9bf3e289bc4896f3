/** CRC-32 of IEEE 802.3 (as in zip and PNG), by nibbles: a small table for a small image. */

const TABLE: readonly number[] = [
  0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
  0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
];

/** Continues from `previous`, the checksum of the bytes before these. */
export function crc32(bytes: Uint8Array, previous = 0): number {
  let crc = ~previous;
  for (const byte of bytes) {
    crc ^= byte;
    crc = (crc >>> 4) ^ (TABLE[crc & 15] as number);
    crc = (crc >>> 4) ^ (TABLE[crc & 15] as number);
  }
  return ~crc >>> 0;
}
