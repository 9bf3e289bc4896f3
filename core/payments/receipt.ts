/** Receipts for pushes: the payee's signed word that they are irrevocably its own (docs/PROTOCOL.md "Receipts"). */
import type { Crypto } from "../ports/crypto.ts";
import type { ChannelId } from "../primitives/brands.ts";
import { ascii, concat } from "../primitives/bytes.ts";

const RECEIPT_TAG = ascii("picobolt receipt v1");

/** What the payee's node key signs. `digest` is SHA-256 of the push's packed payments. */
export function receiptHash(
  crypto: Crypto,
  channelId: ChannelId,
  push: { readonly id: number; readonly digest: Uint8Array },
): Uint8Array {
  const id = new Uint8Array(8);
  const view = new DataView(id.buffer);
  view.setUint32(0, Math.floor(push.id / 2 ** 32));
  view.setUint32(4, push.id % 2 ** 32);
  return crypto.sha256(concat(RECEIPT_TAG, channelId, id, push.digest));
}
