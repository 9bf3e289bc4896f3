/** Frames on a line, in words: what kind they are; their contents are encrypted, all but an identity's. */
import { Kind } from "../../core/transport/packets.ts";

export interface DescribedFrame {
  readonly kind: string;
  readonly text: string;
  readonly fields: object;
}

const NAMES: Readonly<Record<number, string>> = {
  [Kind.actOne]: "handshake, act one",
  [Kind.actTwo]: "handshake, act two",
  [Kind.actThree]: "handshake, act three",
  [Kind.data]: "data",
  [Kind.noSession]: "no session",
};

export function describeFrame(frame: Uint8Array): DescribedFrame {
  const kind = NAMES[frame[0] as number] ?? `kind ${frame[0]}`;
  return { kind, text: `${kind}, ${frame.length} bytes`, fields: {} };
}
