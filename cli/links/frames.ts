/** Frames on a line, in words: what kind they are; their contents are encrypted, all but a card's. */
import { decodeCard } from "../../core/transport/identity.ts";
import { isPacket, Kind } from "../../core/transport/packets.ts";
import { describeIdentity } from "./identify.ts";

export interface DescribedFrame {
  readonly kind: string;
  readonly text: string;
  readonly fields: object;
}

const NAMES: Readonly<Record<number, string>> = {
  [Kind.actOne]: "handshake, act one",
  [Kind.actTwo]: "handshake, act two",
  [Kind.actThree]: "handshake, act three",
  [Kind.noSession]: "no session",
  [Kind.whoAreYou]: "who are you?",
  [Kind.card]: "identity",
};

export function describeFrame(frame: Uint8Array): DescribedFrame {
  if (isPacket(frame)) {
    return { kind: "packet", text: `packet, ${frame.length} bytes`, fields: {} };
  }
  const kind = NAMES[frame[0] as number] ?? `kind ${frame[0]}`;
  if (frame[0] === Kind.card) {
    try {
      const card = decodeCard(frame.slice(1));
      return { kind, text: `${kind}: ${describeIdentity(card)}`, fields: card };
    } catch {
      return { kind, text: `${kind}, damaged`, fields: {} };
    }
  }
  return { kind, text: `${kind}, ${frame.length} bytes`, fields: {} };
}
