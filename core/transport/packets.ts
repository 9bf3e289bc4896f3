/** What a frame carries: a handshake act, an encrypted message, or a hint (docs/PROTOCOL.md "Frames"). */

/** First byte of every frame. */
export const Kind = {
  actOne: 1,
  actTwo: 2,
  actThree: 3,
  data: 4,
  noSession: 5,
  whoAreYou: 6,
  card: 7,
} as const;

/** Kind and the message's number modulo 2^16, before the BOLT 8 packet. */
export const DATA_HEADER_BYTES = 3;
const SEQUENCES = 0x1_0000;

export function dataHeader(count: number): Uint8Array {
  return Uint8Array.of(Kind.data, count >> 8, count);
}

export function sequenceOf(frame: Uint8Array): number {
  return (frame[1] as number) * 256 + (frame[2] as number);
}

/** How far `sequence` lies ahead of message number `count`: 0 is the next one, negative ones are old. */
export function distance(sequence: number, count: number): number {
  const ahead = (sequence - count) & (SEQUENCES - 1);
  return ahead < SEQUENCES / 2 ? ahead : ahead - SEQUENCES;
}
