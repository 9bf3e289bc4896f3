/** Structured values across the bridge: JSON in which a byte string stands as "0x" and its hexadecimal digits, and a text that looks like one behind a "'". Runs on both sides. */

/** ASCII alone crosses: other characters are written as JSON escapes. */
export function encodeValue(value: unknown): Uint8Array {
  const json = JSON.stringify(value, (_key, item) => {
    if (item instanceof Uint8Array) return hexOf(item);
    return typeof item === "string" && mustBeMarked(item) ? `'${item}` : item;
  });
  const out: number[] = [];
  for (let i = 0; i < json.length; i++) {
    const code = json.charCodeAt(i);
    if (code < 0x80) out.push(code);
    else for (const c of `\\u${code.toString(16).padStart(4, "0")}`) out.push(c.charCodeAt(0));
  }
  return Uint8Array.from(out);
}

export function decodeValue(bytes: Uint8Array): unknown {
  let json = "";
  for (const byte of bytes) json += String.fromCharCode(byte);
  return JSON.parse(json, (_key, item) => {
    if (typeof item !== "string") return item;
    if (item.startsWith("0x")) return bytesOf(item);
    return item.startsWith("'") ? item.slice(1) : item;
  });
}

function mustBeMarked(text: string): boolean {
  return text.startsWith("0x") || text.startsWith("'");
}

function hexOf(bytes: Uint8Array): string {
  let out = "0x";
  for (const byte of bytes) out += (byte < 16 ? "0" : "") + byte.toString(16);
  return out;
}

function bytesOf(hex: string): Uint8Array {
  const out = new Uint8Array((hex.length - 2) / 2);
  for (let i = 0; i < out.length; i++) {
    out[i] = Number.parseInt(hex.slice(2 * i + 2, 2 * i + 4), 16);
  }
  return out;
}
