/** "Who are you?" on a link, before and beside a session: a question, and a card that proves nothing (docs/PROTOCOL.md "Identity"). */
import { decodeCbor, encodeCbor } from "../messages/cbor.ts";
import { type Fields, flag, point, text, u16 } from "../messages/schema.ts";
import type { Link } from "../ports/link.ts";
import type { PublicKey } from "../primitives/brands.ts";
import { concatAll, plain } from "../primitives/bytes.ts";
import { demand, ProtocolViolation } from "../primitives/errors.ts";
import { encodeFrame, FrameDecoder } from "./framing.ts";
import { Kind } from "./packets.ts";

/** The version of docs/PROTOCOL.md that this core speaks. */
export const PROTOCOL_VERSION = 2;
/** Texts in bytes of UTF-8; longer ones are our bug. */
export const MAX_CARD_NAME_BYTES = 64;
export const MAX_CARD_MODEL_BYTES = 24;
export const MAX_CARD_FIRMWARE_BYTES = 24;
/** A question that was not answered is asked again after this. */
export const ASK_AGAIN_MS = 500;

/** What a node says of itself to anybody; unauthenticated: only a handshake with `nodeId` proves it. */
export interface IdentityCard {
  readonly protocolVersion: number;
  readonly nodeId: PublicKey;
  readonly name: string;
  readonly model: string;
  readonly firmwareVersion: string;
  /** It has an owner. */
  readonly claimed: boolean;
}

/** Later versions add fields at the end. */
const MAX_CARD_BYTES = 512;
const LIMITS = { maxBytes: MAX_CARD_BYTES, maxDepth: 4, maxItems: 64 };
const QUESTION = [Uint8Array.of(Kind.whoAreYou)];
const fields: Fields = {
  protocolVersion: u16,
  nodeId: point,
  name: text(MAX_CARD_NAME_BYTES),
  model: text(MAX_CARD_MODEL_BYTES),
  firmwareVersion: text(MAX_CARD_FIRMWARE_BYTES),
  claimed: flag,
};
const names = Object.keys(fields) as (keyof IdentityCard)[];

/** The content of a card's frame, after its kind. */
export function encodeCard(card: IdentityCard): Uint8Array {
  const bytes = encodeCbor(names.map((name) => card[name]));
  // What does not decode would be shown to nobody: a name that is too long is cut where it is set.
  decodeCard(bytes);
  return bytes;
}

/** @throws ProtocolViolation `card.…` or `cbor-…`; the bytes come from a stranger. */
export function decodeCard(bytes: Uint8Array): IdentityCard {
  const items = decodeCbor(bytes, LIMITS);
  demand(Array.isArray(items) && items.length >= names.length, "card", "must be an array of 6");
  const card: Record<string, unknown> = {};
  names.forEach((name, i) => {
    card[name] = fields[name]?.decode(items[i], `card.${name}`);
  });
  return card as unknown as IdentityCard;
}

/**
 * Asks whoever is at the other end of a link, until a card comes: it takes the link's `onBytes` over, and a Session
 * may take the link from it at any time. Driven by `tick`; what is no card is ignored.
 */
export class IdentityQuestion {
  private readonly decoder: FrameDecoder;
  private askedMs = Number.NEGATIVE_INFINITY;
  private answered = false;

  constructor(
    private readonly link: Link,
    private readonly onCard: (card: IdentityCard) => void,
  ) {
    this.decoder = new FrameDecoder(MAX_CARD_BYTES + 1, (frame) => this.receive(frame));
    link.onBytes = (bytes) => {
      if (link.kind === "stream") this.decoder.push(bytes);
      else this.receive(plain(bytes));
    };
  }

  get isAnswered(): boolean {
    return this.answered;
  }

  tick(nowMs: number): void {
    if (this.answered || nowMs - this.askedMs < ASK_AGAIN_MS) return;
    this.askedMs = nowMs;
    this.link.send(this.link.kind === "stream" ? encodeFrame(QUESTION) : concatAll(QUESTION));
  }

  private receive(frame: Uint8Array): void {
    if (this.answered || frame[0] !== Kind.card) return;
    const card = cardIn(frame);
    if (card === undefined) return;
    this.answered = true;
    this.onCard(card);
  }
}

function cardIn(frame: Uint8Array): IdentityCard | undefined {
  try {
    return decodeCard(frame.slice(1));
  } catch (error) {
    if (error instanceof ProtocolViolation) return undefined;
    throw error;
  }
}
