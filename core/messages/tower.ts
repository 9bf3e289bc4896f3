/** Between a node and its watchtower (docs/PROTOCOL.md "Watchtower"): slots handed over, and the tower's signed word for them. */
import {
  byte,
  bytes,
  bytes32,
  flag,
  list,
  message,
  safeUint,
  signatureField,
  text,
  u32,
} from "./schema.ts";

/** Hint 16, nonce 12, sealed part 180, tag 16 (core/tower/slot.ts). */
const SLOT_BYTES = 224;
/** As many as fit into a device's message. */
export const SLOTS_PER_UPDATE = 16;
/** Names a channel to the tower, and tells nothing of it. */
const tag = bytes(16, 16);

/** Client → tower: will you watch for me? */
export const towerRegister = message(32865, "tower_register", { version: byte });
/** Tower → client: how much it keeps for this client, or why nothing. */
export const towerTerms = message(32867, "tower_terms", {
  accepted: flag,
  maxSlots: u32,
  usedSlots: u32,
  note: text(128),
});
/** Client → tower: the slots from number `from` on of those under this tag; what the tower has already it passes over. */
export const towerUpdate = message(32869, "tower_update", {
  tag,
  from: safeUint,
  slots: list(bytes(SLOT_BYTES, SLOT_BYTES), SLOTS_PER_UPDATE),
});
/** Tower → client: it holds so many slots under this tag; `digest` chains them all, the node key signs both. */
export const towerReceipt = message(32871, "tower_receipt", {
  tag,
  count: safeUint,
  digest: bytes32,
  /** That it would still take of this client. */
  freeSlots: u32,
  signature: signatureField,
});
export const TOWER_REFUSALS = { notRegistered: 0, quota: 1, unavailable: 2 } as const;
/** Tower → client: the update was not kept. */
export const towerRefused = message(32873, "tower_refused", { tag, code: byte, note: text(128) });
/** Client → tower: that channel has ended; its slots can go. Signed by the client's node key; repeated until it is answered. */
export const towerForget = message(32875, "tower_forget", { tag, signature: signatureField });
export const towerForgotten = message(32877, "tower_forgotten", { tag });
export const RELAY_HOPS = { passOn: 0, passedOn: 1 } as const;
/**
 * A message between a client and its tower by way of a node that has links to both: "pass this on to `party`", and "this
 * comes from `party`". Who passes it on can withhold it, and nothing else (docs/PROTOCOL.md "Watchtower").
 */
export const towerRelay = message(32879, "tower_relay", {
  hop: byte,
  party: bytes(33, 33),
  payload: bytes(1, 4000),
});

export const towerMessages = [
  towerRegister,
  towerTerms,
  towerUpdate,
  towerReceipt,
  towerRefused,
  towerForget,
  towerForgotten,
  towerRelay,
] as const;
