/** What a frame carries: an encrypted packet, or something that is not authenticated (docs/PROTOCOL.md "Frames"). */
import type { Link } from "../ports/link.ts";

/** First byte of a frame that is no packet. */
export const Kind = {
  actOne: 1,
  actTwo: 2,
  actThree: 3,
  noSession: 5,
  whoAreYou: 6,
  card: 7,
  /** Not of a session: a BLE machine's word to a second customer (docs/LINKS.md). */
  busy: 8,
} as const;

/** Set in the first byte of a packet's frame; the other bits are of its number. */
export const PACKET_BIT = 0x80;
const BYTE = 0x100;

export function isPacket(frame: Uint8Array): boolean {
  return frame.length > 0 && (frame[0] as number) >= PACKET_BIT;
}

/** How packets are numbered on a kind of link: a stream loses few at a time, a broker may repeat old ones. */
export interface Numbering {
  readonly headerBytes: 1 | 2;
  /** Numbers count modulo this. */
  readonly modulus: number;
  /** A packet further ahead than this is taken for an old one. */
  readonly maxAhead: number;
}

const ofStreams: Numbering = { headerBytes: 1, modulus: 0x80, maxAhead: 63 };
const ofDatagrams: Numbering = { headerBytes: 2, modulus: 0x8000, maxAhead: 500 };

export function numberingOf(kind: Link["kind"]): Numbering {
  return kind === "stream" ? ofStreams : ofDatagrams;
}

/** The bytes before packet number `count`. */
export function packetHeader({ headerBytes, modulus }: Numbering, count: number): Uint8Array {
  const number = count % modulus;
  return headerBytes === 1
    ? Uint8Array.of(PACKET_BIT | number)
    : Uint8Array.of(PACKET_BIT | (number >> 8), number);
}

/** How far a packet's frame lies ahead of packet number `count`: 0 is the next one, negative ones are old. */
export function distance(
  { headerBytes, modulus }: Numbering,
  frame: Uint8Array,
  count: number,
): number {
  const first = (frame[0] as number) - PACKET_BIT;
  const number = headerBytes === 1 ? first : first * BYTE + (frame[1] ?? 0);
  const ahead = (number - (count % modulus) + modulus) % modulus;
  return ahead < modulus / 2 ? ahead : ahead - modulus;
}
