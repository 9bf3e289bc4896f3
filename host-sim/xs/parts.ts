/** A list of byte strings in one: each as its length in four bytes, big-endian, then its bytes. Runs on both sides of the bridge. */

const MAX_PARTS = 100_000;

export function encodeParts(parts: readonly Uint8Array[]): Uint8Array {
  // Loops and no callbacks: inside XS this stands on top of the deepest calls of the core.
  let length = 0;
  for (let i = 0; i < parts.length; i++) length += 4 + (parts[i] as Uint8Array).length;
  const out = new Uint8Array(length);
  const view = new DataView(out.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length);
    out.set(part, at + 4);
    at += 4 + part.length;
  }
  return out;
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
