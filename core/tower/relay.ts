/** Messages between a client and its tower by way of a node that both know, such as a device's gateway (docs/PROTOCOL.md "Watchtower"). */
import {
  DEVICE_MAX_MESSAGE_BYTES,
  decodeMessage,
  encodeMessage,
  messageLimits,
} from "../messages/codec.ts";
import type { Message, MessageNamed } from "../messages/message.ts";
import { RELAY_HOPS } from "../messages/tower.ts";
import { type PublicKey, publicKey } from "../primitives/brands.ts";
import { ProtocolViolation } from "../primitives/errors.ts";

const CARRIED: readonly Message["type"][] = [
  "tower_register",
  "tower_terms",
  "tower_update",
  "tower_receipt",
  "tower_refused",
  "tower_forget",
  "tower_forgotten",
];

export interface Relayed {
  readonly from: PublicKey;
  readonly message: Message;
}

/** For the node between: pass this on to `to`. */
export function toRelay(to: PublicKey, message: Message): MessageNamed<"tower_relay"> {
  return {
    type: "tower_relay",
    hop: RELAY_HOPS.passOn,
    party: to,
    payload: encodeMessage(message),
  };
}

/** What the node between sends on, and to whom; undefined where the message is for this node itself. */
export function passedOn(
  from: PublicKey,
  { hop, party, payload }: MessageNamed<"tower_relay">,
): { readonly to: PublicKey; readonly message: Message } | undefined {
  if (hop !== RELAY_HOPS.passOn) return undefined;
  const message = { type: "tower_relay", hop: RELAY_HOPS.passedOn, party: from, payload } as const;
  return { to: publicKey(party), message };
}

/** At its end; undefined where nothing that belongs there was carried. */
export function fromRelay({
  hop,
  party,
  payload,
}: MessageNamed<"tower_relay">): Relayed | undefined {
  if (hop !== RELAY_HOPS.passedOn) return undefined;
  try {
    const message = decodeMessage(payload.slice(), messageLimits(DEVICE_MAX_MESSAGE_BYTES));
    if (message.type === "unknown" || !CARRIED.includes(message.type)) return undefined;
    return { from: publicKey(party.slice()), message };
  } catch (cause) {
    if (cause instanceof ProtocolViolation) return undefined;
    throw cause;
  }
}
