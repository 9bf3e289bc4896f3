/** A certificate as the SDK's TLS takes it: DER; owners' files are often PEM (RFC 7468), the same in base64. */
import { ascii } from "../../core/primitives/bytes.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BEGIN = ascii("-----BEGIN CERTIFICATE-----");
const DASH = 0x2d;
const PADDING = 0x3d;

/** The first certificate of a PEM; anything else is taken for DER as it is. */
export function derOf(certificate: Uint8Array): Uint8Array {
  if (!BEGIN.every((byte, i) => certificate[i] === byte)) return certificate;
  const out = new Uint8Array(certificate.length);
  let length = 0;
  let held = 0;
  let bits = 0;
  for (let at = BEGIN.length; at < certificate.length; at++) {
    const byte = certificate[at] as number;
    if (byte === DASH || byte === PADDING) break;
    const value = ALPHABET.indexOf(String.fromCharCode(byte));
    if (value < 0) continue;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out[length++] = (held >> bits) & 0xff;
  }
  return out.slice(0, length);
}
