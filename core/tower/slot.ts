/**
 * What a tower stores: slots of one size, each found by 16 bytes of a txid and opened by the rest of it (DESIGN §6), so
 * that a tower learns nothing before the revoked commitment is in the chain.
 */
import type { Crypto } from "../ports/crypto.ts";
import type { Txid } from "../primitives/brands.ts";
import { ascii, concat, equal } from "../primitives/bytes.ts";
import { assert } from "../primitives/errors.ts";

export const HINT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Of a kit in one slot: one signature, to_local's script and a payout script fill it. */
export const PART_BYTES = 180;
export const SEALED_BYTES = NONCE_BYTES + PART_BYTES + TAG_BYTES;
/** Hint and sealed part. */
export const SLOT_BYTES = HINT_BYTES + SEALED_BYTES;
/** Slots of one commitment, at most: about 60 HTLCs. */
export const MAX_PARTS = 32;

const NOTHING = new Uint8Array(0);

/** The slots of a kit. The same kit gives the same slots: what is sent again is known again. */
export function sealSlots(crypto: Crypto, commitment: Txid, kit: Uint8Array): Uint8Array[] {
  const parts = Math.ceil((1 + kit.length) / PART_BYTES);
  assert(parts <= MAX_PARTS, "a justice kit is too large");
  const padded = new Uint8Array(parts * PART_BYTES);
  padded[0] = parts;
  padded.set(kit, 1);
  const slots: Uint8Array[] = [];
  for (let part = 0; part < parts; part++) {
    const secret = partSecret(crypto, commitment, part);
    const plain = padded.subarray(part * PART_BYTES, (part + 1) * PART_BYTES);
    const key = partKey(crypto, secret);
    // Made from the plaintext: one key never meets two texts under one nonce, even where a kit is made anew with another fee.
    const nonce = crypto.hmacSha256(key, plain).slice(0, NONCE_BYTES);
    slots.push(concat(hintOf(secret), nonce, crypto.encrypt(key, nonce, NOTHING, plain.slice())));
  }
  return slots;
}

/** The first 16 bytes, in the order in which they stand inside transactions. */
export function hintOf(txid: Uint8Array): Uint8Array {
  return txid.slice(0, HINT_BYTES);
}

/**
 * The kit, zeroes after it; undefined where this transaction does not open the slots, or one is missing. `find` gives what
 * one client stored under a hint.
 */
export function openSlots(
  crypto: Crypto,
  commitment: Txid,
  find: (hint: Uint8Array) => readonly Uint8Array[],
): Uint8Array | undefined {
  const first = openPart(crypto, commitment, 0, find);
  const parts = first?.[0] ?? 0;
  if (first === undefined || parts < 1 || parts > MAX_PARTS) return undefined;
  const kit = new Uint8Array(parts * PART_BYTES);
  kit.set(first);
  for (let part = 1; part < parts; part++) {
    const next = openPart(crypto, commitment, part, find);
    if (next === undefined) return undefined;
    kit.set(next, part * PART_BYTES);
  }
  return kit.subarray(1);
}

function openPart(
  crypto: Crypto,
  commitment: Txid,
  part: number,
  find: (hint: Uint8Array) => readonly Uint8Array[],
): Uint8Array | undefined {
  const secret = partSecret(crypto, commitment, part);
  const key = partKey(crypto, secret);
  for (const slot of find(hintOf(secret))) {
    if (slot.length !== SLOT_BYTES) continue;
    const nonce = slot.slice(HINT_BYTES, HINT_BYTES + NONCE_BYTES);
    const sealed = slot.slice(HINT_BYTES + NONCE_BYTES);
    const plain = crypto.decrypt(key, nonce, NOTHING, sealed);
    // Whoever knows the txid can seal: the nonce shows that this is what an honest client would have sealed.
    const fits = plain && equal(crypto.hmacSha256(key, plain).slice(0, NONCE_BYTES), nonce);
    if (plain && fits) return plain;
  }
  return undefined;
}

/** Of the first part the txid itself; of the others what only who knows the txid can compute: nobody sees that they belong together. */
function partSecret(crypto: Crypto, commitment: Txid, part: number): Uint8Array {
  if (part === 0) return commitment;
  return crypto.hmacSha256(commitment, concat(ascii("picobolt tower part"), Uint8Array.of(part)));
}

function partKey(crypto: Crypto, secret: Uint8Array): Uint8Array {
  return crypto.hmacSha256(secret, ascii("picobolt tower key"));
}
