/** Bech32 and bech32m: a text in 5-bit groups with a checksum, of any length (BIP 173, BIP 350). */
const CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as const;
const CHECKSUM_GROUPS = 6;

/** What the checksum comes to; the two kinds differ in nothing else. */
export const BECH32 = 1;
export const BECH32M = 0x2bc830a3;
export type Bech32Kind = typeof BECH32 | typeof BECH32M;

export interface Bech32 {
  /** Human-readable part, in lower case. */
  readonly hrp: string;
  /** Values 0 … 31, without the checksum. */
  readonly groups: Uint8Array;
  /** Of which kind the checksum is; undefined where it is wrong. */
  readonly kind: Bech32Kind | undefined;
}

/** In lower case. */
export function encodeBech32(hrp: string, groups: Uint8Array, kind: Bech32Kind): string {
  let sum = startOf(hrp);
  let text = `${hrp}1`;
  for (const group of groups) {
    sum = step(sum) ^ group;
    text += CHARACTERS[group];
  }
  for (let i = 0; i < CHECKSUM_GROUPS; i++) sum = step(sum);
  sum ^= kind;
  for (let i = CHECKSUM_GROUPS - 1; i >= 0; i--) text += CHARACTERS[(sum >>> (5 * i)) & 31];
  return text;
}

/** What is wrong with its form in words, or its parts; the caller bounds the length and looks at `kind`. */
export function decodeBech32(text: string): Bech32 | string {
  const lower = text.toLowerCase();
  if (text !== lower && text !== text.toUpperCase()) return "upper and lower case are mixed";
  const separator = lower.lastIndexOf("1");
  if (separator < 1) return 'there is no "1" between a prefix and its data';
  const dataLength = lower.length - separator - 1;
  if (dataLength < CHECKSUM_GROUPS) return "it is too short for a checksum";
  const hrp = lower.slice(0, separator);
  for (let i = 0; i < separator; i++) {
    const code = hrp.charCodeAt(i);
    if (code < 33 || code > 126) return "the prefix has a character that bech32 does not know";
  }
  let sum = startOf(hrp);
  const groups = new Uint8Array(dataLength);
  for (let i = 0; i < dataLength; i++) {
    const group = CHARACTERS.indexOf(lower[separator + 1 + i] as string);
    if (group < 0) return `character ${separator + 2 + i} is none of bech32's`;
    groups[i] = group;
    sum = step(sum) ^ group;
  }
  const kind = sum === BECH32 || sum === BECH32M ? sum : undefined;
  return { hrp, groups: groups.slice(0, -CHECKSUM_GROUPS), kind };
}

/** Bytes as 5-bit groups, the last one filled up with zero bits. */
export function toGroups(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.ceil((bytes.length * 8) / 5));
  let at = 0;
  let value = 0;
  let bits = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) out[at++] = (value >> (bits - 5)) & 31;
  }
  if (bits > 0) out[at] = (value << (5 - bits)) & 31;
  return out;
}

/** The whole bytes in 5-bit groups; undefined where what is left over is a whole group, or not zero. */
export function fromGroups(groups: Uint8Array): Uint8Array | undefined {
  const out = new Uint8Array((groups.length * 5) >> 3);
  let at = 0;
  let value = 0;
  let bits = 0;
  for (const group of groups) {
    value = ((value << 5) | group) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    out[at++] = (value >> bits) & 0xff;
  }
  const isZero = (value & ((1 << bits) - 1)) === 0;
  return bits < 5 && isZero ? out : undefined;
}

function startOf(hrp: string): number {
  let sum = 1;
  for (let i = 0; i < hrp.length; i++) sum = step(sum) ^ (hrp.charCodeAt(i) >> 5);
  sum = step(sum);
  for (let i = 0; i < hrp.length; i++) sum = step(sum) ^ (hrp.charCodeAt(i) & 31);
  return sum;
}

function step(sum: number): number {
  let next = (sum & 0x1ffffff) << 5;
  for (let bit = 0; bit < 5; bit++) {
    if ((sum >>> (25 + bit)) & 1) next ^= GENERATOR[bit] as number;
  }
  return next;
}
