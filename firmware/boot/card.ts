/** The identity card of a device: with its keys, or of one that refuses to hold keys and says why (docs/PROTOCOL.md "Identity"). */
import type { Link } from "../../core/ports/link.ts";
import { type PublicKey, publicKey } from "../../core/primitives/brands.ts";
import { equal, plain, toHex } from "../../core/primitives/bytes.ts";
import { encodeFrame, FrameDecoder } from "../../core/transport/framing.ts";
import {
  encodeCard,
  type IdentityCard,
  MAX_CARD_FIRMWARE_BYTES,
  MAX_CARD_MODEL_BYTES,
  MAX_CARD_NAME_BYTES,
  PROTOCOL_VERSION,
} from "../../core/transport/identity.ts";
import { Kind } from "../../core/transport/packets.ts";
import type { Board, Image } from "../board.ts";
import { cutToBytes } from "../log/log-ring.ts";
import type { LinkUser } from "./link-hub.ts";

export interface CardParts {
  readonly board: Pick<Board, "model">;
  readonly image: Image;
}

const MAX_QUESTION_BYTES = 64;

/** No key at all: its x-coordinate is on no curve. */
export function noNodeId(): PublicKey {
  const bytes = new Uint8Array(33);
  bytes[0] = 2;
  return publicKey(bytes);
}

export function cardOf(
  { board, image }: CardParts,
  of: { readonly nodeId: PublicKey; readonly name?: string | undefined; readonly claimed: boolean },
): IdentityCard {
  const name = of.name ?? `picobolt-${toHex(of.nodeId).slice(2, 8)}`;
  return {
    protocolVersion: PROTOCOL_VERSION,
    nodeId: of.nodeId,
    name: cutToBytes(name, MAX_CARD_NAME_BYTES),
    model: cutToBytes(board.model, MAX_CARD_MODEL_BYTES),
    firmwareVersion: cutToBytes(image.version, MAX_CARD_FIRMWARE_BYTES),
    claimed: of.claimed,
  };
}

/** Answers "who are you?" and nothing else: what a device without keys can do. */
export class CardDesk implements LinkUser {
  constructor(private readonly card: IdentityCard) {}

  attach(link: Link): void {
    const isStream = link.kind === "stream";
    const answer = (frame: Uint8Array) => {
      if (!equal(frame, Uint8Array.of(Kind.whoAreYou))) return;
      const content = [Uint8Array.of(Kind.card), encodeCard(this.card)];
      link.send(isStream ? encodeFrame(content) : joined(content));
    };
    const decoder = new FrameDecoder(MAX_QUESTION_BYTES, answer);
    link.onBytes = (bytes) => {
      if (isStream) decoder.push(bytes);
      else answer(plain(bytes));
    };
  }
}

function joined([kind, card]: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(1 + (card as Uint8Array).length);
  out.set(kind as Uint8Array);
  out.set(card as Uint8Array, 1);
  return out;
}
