/** Checks a program image for an ESP chip before anything is written (ESP-IDF "App Image Format"). */
import { createHash } from "node:crypto";
import { familyOfChipId } from "./boards.ts";

const MAGIC = 0xe9;
/** Header and extended header. */
const HEADER_BYTES = 24;
const SEGMENT_COUNT_AT = 1;
const CHIP_ID_AT = 12;
const HASH_APPENDED_AT = 23;
const SEGMENT_HEADER_BYTES = 8;
const MAX_SEGMENTS = 16;
const CHECKSUM_START = 0xef;
const ALIGNMENT = 16;
const HASH_BYTES = 32;

/** Why these bytes are no whole image for that chip; undefined: they are. */
export function imageProblem(image: Uint8Array, imageChipId: number): string | undefined {
  if (image[0] !== MAGIC) {
    return `is no ESP image: it begins with 0x${hex(image[0] ?? 0)}, not with 0xe9`;
  }
  if (image.length < HEADER_BYTES) return "ends inside its header";
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const chipId = view.getUint16(CHIP_ID_AT, true);
  if (chipId !== imageChipId) {
    return `is for ${familyOfChipId(chipId)}, not for ${familyOfChipId(imageChipId)}`;
  }
  const segments = image[SEGMENT_COUNT_AT] as number;
  if (segments === 0 || segments > MAX_SEGMENTS) return `has ${segments} segments: it is damaged`;
  const body = walk(image, view, segments);
  return typeof body === "string" ? body : sumProblem(image, body);
}

/** Where the last segment ends, and the XOR of all of them. */
function walk(image: Uint8Array, view: DataView, segments: number) {
  let end = HEADER_BYTES;
  let checksum = CHECKSUM_START;
  for (let segment = 0; segment < segments; segment++) {
    if (end + SEGMENT_HEADER_BYTES > image.length) return "is cut short: segments are missing";
    const length = view.getUint32(end + 4, true);
    const start = end + SEGMENT_HEADER_BYTES;
    end = start + length;
    if (end > image.length) return `is cut short: segment ${segment} goes on after its end`;
    for (let at = start; at < end; at++) checksum ^= image[at] as number;
  }
  return { end, checksum };
}

function sumProblem(
  image: Uint8Array,
  body: { readonly end: number; readonly checksum: number },
): string | undefined {
  const end = Math.ceil((body.end + 1) / ALIGNMENT) * ALIGNMENT;
  if (end > image.length) return "is cut short: its checksum is missing";
  if (image[end - 1] !== body.checksum) return "is damaged: its checksum is wrong";
  if (image[HASH_APPENDED_AT] !== 1) return undefined;
  const stored = image.subarray(end, end + HASH_BYTES);
  if (stored.length < HASH_BYTES) return "is cut short: its SHA-256 is missing";
  const hash = createHash("sha256").update(image.subarray(0, end)).digest();
  return hash.equals(stored) ? undefined : "is damaged: its SHA-256 is wrong";
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
