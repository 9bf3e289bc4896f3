/** UTF-8 without TextEncoder or TextDecoder, strict in both directions (RFC 3629). */
import { assert, demand } from "../primitives/errors.ts";

/** Bytes that `text` takes; a lone surrogate is our bug. */
export function utf8Length(text: string): number {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) length += 1;
    else if (unit < 0x800) length += 2;
    else if (unit < 0xd800 || unit > 0xdfff) length += 3;
    else {
      assert(isPair(unit, text.charCodeAt(i + 1)), "text with a lone surrogate");
      length += 4;
      i++;
    }
  }
  return length;
}

/** Writes `text` to `out` from `at` on; the room was measured with `utf8Length`. */
export function encodeUtf8(text: string, out: Uint8Array, at: number): void {
  let to = at;
  for (let i = 0; i < text.length; i++) {
    let point = text.charCodeAt(i);
    if (point < 0x80) {
      out[to++] = point;
      continue;
    }
    if (point >= 0xd800 && point <= 0xdfff) {
      point = 0x1_0000 + ((point & 0x3ff) << 10) + (text.charCodeAt(++i) & 0x3ff);
      out[to++] = 0xf0 | (point >> 18);
      out[to++] = 0x80 | ((point >> 12) & 0x3f);
    } else if (point >= 0x800) out[to++] = 0xe0 | (point >> 12);
    if (point < 0x800) out[to++] = 0xc0 | (point >> 6);
    else out[to++] = 0x80 | ((point >> 6) & 0x3f);
    out[to++] = 0x80 | (point & 0x3f);
  }
}

/** @throws ProtocolViolation `cbor-utf8` for overlong forms, surrogates, points above U+10FFFF and cut sequences. */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  let at = start;
  while (at < end) {
    const lead = bytes[at++] as number;
    if (lead < 0x80) {
      text += String.fromCharCode(lead);
      continue;
    }
    const tail = lead >= 0xc2 && lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    demand(lead >= 0xc2 && lead <= 0xf4 && at + tail <= end, "cbor-utf8", "not UTF-8");
    let point = lead & (0x3f >> tail);
    for (let i = 0; i < tail; i++) {
      const next = bytes[at++] as number;
      demand((next & 0xc0) === 0x80, "cbor-utf8", "not UTF-8");
      point = (point << 6) | (next & 0x3f);
    }
    const valid =
      tail === 1 ||
      (tail === 2 && point >= 0x800 && (point < 0xd800 || point > 0xdfff)) ||
      (tail === 3 && point >= 0x1_0000 && point <= 0x10_ffff);
    demand(valid, "cbor-utf8", "not UTF-8");
    text +=
      tail === 3
        ? String.fromCharCode(
            0xd800 + ((point - 0x1_0000) >> 10),
            0xdc00 + ((point - 0x1_0000) & 0x3ff),
          )
        : String.fromCharCode(point);
  }
  return text;
}

function isPair(first: number, second: number): boolean {
  return first < 0xdc00 && second >= 0xdc00 && second <= 0xdfff;
}
