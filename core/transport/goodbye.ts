/** How a session's end is told to the peer: an encrypted message of one byte, which no CBOR array is. */

export const Goodbye = { closing: 0, superseded: 1, lost: 2, violation: 3, moved: 4 } as const;
export type GoodbyeCode = (typeof Goodbye)[keyof typeof Goodbye];

/** Higher values are kept for later versions; all of them end the session. */
const MAX_GOODBYE = 23;

const reasons: readonly string[] = [
  "the peer closed the session",
  "the peer has a newer session",
  "the peer noticed lost messages",
  "the peer could not understand a message",
  "another process of the peer goes on: call again",
];

/** The code in a decrypted packet; undefined where it is a message. */
export function goodbyeOf(packet: Uint8Array): number | undefined {
  const [code] = packet;
  return packet.length === 1 && code !== undefined && code <= MAX_GOODBYE ? code : undefined;
}

export function goodbyeReason(code: number): string {
  return reasons[code] ?? "the peer ended the session";
}
