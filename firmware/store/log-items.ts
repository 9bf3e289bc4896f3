/** What a commit in the flash log is made of: a list of items, each a kind, a length and its fields, little-endian. */
import { REFERENCE_BYTES } from "../../core/node/reference-set.ts";
import { ascii, concat } from "../../core/primitives/bytes.ts";
import { assert, unreachable } from "../../core/primitives/errors.ts";
import { aligned, FRAME_HEADER_BYTES } from "./log-format.ts";

/** `handle` is a short name for a channel inside this flash. */
export type Item =
  | {
      readonly kind: "record";
      readonly handle: number;
      readonly channelId: Uint8Array;
      readonly bytes: Uint8Array;
      /** Moved here to make room: no newer than where it came from. */
      readonly copy: boolean;
    }
  | {
      readonly kind: "archive";
      readonly handle: number;
      readonly index: number;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "remove"; readonly handle: number }
  | {
      readonly kind: "credits" | "debits";
      /** Running index of the first; 16 bytes each. */
      readonly first: number;
      readonly references: Uint8Array;
    }
  | { readonly kind: "value"; readonly key: string; readonly bytes: Uint8Array };

export const MAX_KEY_LENGTH = 64;
const CHANNEL_ID_BYTES = 32;
const ITEM_HEADER_BYTES = 4;
const KINDS = ["record", "archive", "remove", "credits", "debits", "value"] as const;

export function encodeItems(items: readonly Item[]): Uint8Array {
  return concat(...items.map(encodeItem));
}

/** Flash that an item takes when it stands in a commit of its own. */
export function costOf(item: Item): number {
  return aligned(encodeItem(item).length + FRAME_HEADER_BYTES);
}

export function encodeItem(item: Item): Uint8Array {
  const body = encodeBody(item);
  assert(body.length < 2 ** 24, "an item of the flash log is below 16 MB");
  const header = new Uint8Array(ITEM_HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint32(0, body.length * 256 + KINDS.indexOf(item.kind) + 1, true);
  return concat(header, body);
}

function encodeBody(item: Item): Uint8Array {
  switch (item.kind) {
    case "record":
      return concat(u32(item.handle), item.channelId, Uint8Array.of(item.copy ? 1 : 0), item.bytes);
    case "archive":
      return concat(u32(item.handle), u32(item.index), item.bytes);
    case "remove":
      return u32(item.handle);
    case "credits":
    case "debits":
      return concat(u32(item.first), item.references);
    case "value":
      return concat(Uint8Array.of(item.key.length), ascii(item.key), item.bytes);
    default:
      return unreachable(item);
  }
}

/** Undefined where the bytes are not what this version writes. */
export function decodeItems(payload: Uint8Array): readonly Item[] | undefined {
  const items: Item[] = [];
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  let at = 0;
  while (at < payload.length) {
    if (at + ITEM_HEADER_BYTES > payload.length) return undefined;
    const header = view.getUint32(at, true);
    const start = at + ITEM_HEADER_BYTES;
    at = start + Math.floor(header / 256);
    if (at > payload.length) return undefined;
    const item = decodeBody(KINDS[(header & 0xff) - 1], payload.subarray(start, at));
    if (!item) return undefined;
    items.push(item);
  }
  return items;
}

function decodeBody(kind: Item["kind"] | undefined, body: Uint8Array): Item | undefined {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const number = (at: number) => view.getUint32(at, true);
  switch (kind) {
    case "record": {
      const copyAt = 4 + CHANNEL_ID_BYTES;
      if (body.length <= copyAt) return undefined;
      const channelId = body.slice(4, copyAt);
      const bytes = body.subarray(copyAt + 1);
      return { kind, handle: number(0), channelId, bytes, copy: body[copyAt] === 1 };
    }
    case "archive":
      if (body.length < 8) return undefined;
      return { kind, handle: number(0), index: number(4), bytes: body.subarray(8) };
    case "remove":
      return body.length === 4 ? { kind, handle: number(0) } : undefined;
    case "credits":
    case "debits":
      if (body.length < 4 || (body.length - 4) % REFERENCE_BYTES !== 0) return undefined;
      return { kind, first: number(0), references: body.subarray(4) };
    case "value": {
      const length = body[0];
      if (length === undefined || length > MAX_KEY_LENGTH || 1 + length > body.length) {
        return undefined;
      }
      const key = String.fromCharCode(...body.subarray(1, 1 + length));
      return { kind, key, bytes: body.subarray(1 + length) };
    }
    default:
      return undefined;
  }
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
