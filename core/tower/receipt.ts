/** A tower's signed word: so many slots under one tag, and which ones (docs/PROTOCOL.md "Watchtower"). */
import type { Crypto } from "../ports/crypto.ts";
import type { NodeSigner } from "../ports/signer.ts";
import type { ChannelId, PublicKey } from "../primitives/brands.ts";
import { ascii, concat } from "../primitives/bytes.ts";

const RECEIPT_TAG = "picobolt tower receipt v1";
const FORGET_TAG = "picobolt tower forget v1";
const CHANNEL_TAG = "picobolt tower channel v1";
export const TAG_BYTES = 16;
/** Before the first slot. */
export function emptyDigest(): Uint8Array {
  return new Uint8Array(32);
}

/** Chains a slot to all before it. */
export function nextDigest(crypto: Crypto, digest: Uint8Array, slot: Uint8Array): Uint8Array {
  return crypto.sha256(concat(digest, slot));
}

export interface Holding {
  readonly tag: Uint8Array;
  readonly count: number;
  readonly digest: Uint8Array;
}

/** What the tower's node key signs. */
export function towerReceiptHash(
  crypto: Crypto,
  client: PublicKey,
  { tag, count, digest }: Holding,
): Uint8Array {
  return crypto.sha256(concat(ascii(RECEIPT_TAG), client, tag, u64(count), digest));
}

/** What a client signs when the slots of a channel may go: whoever carries its messages knows the tag too. */
export function forgetHash(crypto: Crypto, tower: PublicKey, tag: Uint8Array): Uint8Array {
  return crypto.sha256(concat(ascii(FORGET_TAG), tower, tag));
}

/**
 * The name of a channel towards towers: a channel id is made from the funding transaction and would tell it. Signatures are
 * deterministic (core/ports/crypto.ts), so that it is the same after a restart; each epoch has another.
 */
export function towerTag(
  crypto: Crypto,
  signer: NodeSigner,
  channelId: ChannelId,
  epoch: number,
): Uint8Array {
  const named = crypto.sha256(concat(ascii(CHANNEL_TAG), channelId, u64(epoch)));
  return crypto.sha256(signer.sign(named)).slice(0, TAG_BYTES);
}

function u64(value: number): Uint8Array {
  const out = new Uint8Array(8);
  const view = new DataView(out.buffer);
  view.setUint32(0, Math.floor(value / 2 ** 32));
  view.setUint32(4, value % 2 ** 32);
  return out;
}
