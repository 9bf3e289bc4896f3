/** What a commit in the flash log is made of: a list of items, each a kind, a length and its fields, little-endian. */
import { REFERENCE_BYTES } from "../../core/node/reference-set.ts";
import { ascii } from "../../core/primitives/bytes.ts";
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

/** Into one buffer: records are large, and garbage is what a device's memory has least room for. */
export function encodeItems(items: readonly Item[]): Uint8Array {
  let length = 0;
  for (const item of items) length += sizeOf(item);
  const out = new Uint8Array(length);
  const view = new DataView(out.buffer);
  let at = 0;
  for (const item of items) at = writeItem(item, out, view, at);
  return out;
}

/** Flash that an item takes when it stands in a commit of its own. */
export function costOf(item: Item): number {
  return aligned(sizeOf(item) + FRAME_HEADER_BYTES);
}

/** Bytes of an item in a commit. */
export function sizeOf(item: Item): number {
  return ITEM_HEADER_BYTES + bodySize(item);
}

function bodySize(item: Item): number {
  switch (item.kind) {
    case "record":
      return 4 + item.channelId.length + 1 + item.bytes.length;
    case "archive":
      return 8 + item.bytes.length;
    case "remove":
      return 4;
    case "credits":
    case "debits":
      return 4 + item.references.length;
    case "value":
      return 1 + item.key.length + item.bytes.length;
    default:
      return unreachable(item);
  }
}

/** Returns where it ends. */
function writeItem(item: Item, out: Uint8Array, view: DataView, start: number): number {
  const size = bodySize(item);
  assert(size < 2 ** 24, "an item of the flash log is below 16 MB");
  view.setUint32(start, size * 256 + KINDS.indexOf(item.kind) + 1, true);
  const at = start + ITEM_HEADER_BYTES;
  const end = at + size;
  switch (item.kind) {
    case "record":
      view.setUint32(at, item.handle, true);
      out.set(item.channelId, at + 4);
      out[end - item.bytes.length - 1] = item.copy ? 1 : 0;
      out.set(item.bytes, end - item.bytes.length);
      return end;
    case "archive":
      view.setUint32(at, item.handle, true);
      view.setUint32(at + 4, item.index, true);
      out.set(item.bytes, at + 8);
      return end;
    case "remove":
      view.setUint32(at, item.handle, true);
      return end;
    case "credits":
    case "debits":
      view.setUint32(at, item.first, true);
      out.set(item.references, at + 4);
      return end;
    case "value":
      out[at] = item.key.length;
      out.set(ascii(item.key), at + 1);
      out.set(item.bytes, end - item.bytes.length);
      return end;
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
      const letters = body.subarray(1, 1 + length);
      if (!letters.every((code) => code < 0x80)) return undefined;
      const key = String.fromCharCode(...letters);
      return { kind, key, bytes: body.subarray(1 + length) };
    }
    default:
      return undefined;
  }
}
