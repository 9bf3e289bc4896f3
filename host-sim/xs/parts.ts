/** A list of byte strings in one: each as its length in four bytes, big-endian, then its bytes. Runs on both sides of the bridge. */
import { concat } from "../../core/primitives/bytes.ts";

const MAX_PARTS = 100_000;

export function encodeParts(parts: readonly Uint8Array[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (const part of parts) {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, part.length);
    pieces.push(length, part);
  }
  return concat(...pieces);
}

export function decodeParts(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < 4 || parts.length === MAX_PARTS) throw new Error("malformed parts");
    const end = at + 4 + view.getUint32(at);
    if (end > bytes.length) throw new Error("malformed parts: cut short");
    parts.push(bytes.slice(at + 4, end));
    at = end;
  }
  return parts;
}
