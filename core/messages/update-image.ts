/** Signed images of a device's program: a manifest, and chunks each of which vouches for the next (docs/ADMIN.md "Update images"). */
import type { Crypto } from "../ports/crypto.ts";
import type { PublicKey, Signature } from "../primitives/brands.ts";
import { ascii, concat, concatAll, equal } from "../primitives/bytes.ts";
import { demand } from "../primitives/errors.ts";
import { decodeCbor, encodeCbor } from "./cbor.ts";
import type { CborValue } from "./schema.ts";

/** Bytes of every chunk but the last. */
export const UPDATE_CHUNK_BYTES = 2048;
export const MAX_UPDATE_BYTES = 16 * 1024 * 1024;
export const MAX_MANIFEST_BYTES = 256;
export const DIGEST_BYTES = 32;
const SIGNATURE_BYTES = 64;
const MAGIC = "PBUPDATE";
const LIMITS = { maxBytes: MAX_MANIFEST_BYTES, maxDepth: 1, maxItems: 16 };
const FORMAT_VERSION = 1;
const MANIFEST_DOMAIN = "picobolt/update/manifest/1";
const CHUNK_DOMAIN = "picobolt/update/chunk/1";

/** What the release key signs. */
export interface UpdateManifest {
  readonly model: string;
  /** For people. */
  readonly version: string;
  /** Rises with every release. */
  readonly number: number;
  readonly byteLength: number;
  /** Of the first chunk, and by it of all. */
  readonly firstDigest: Uint8Array;
}

/** A file taken apart; nothing in it is checked yet. */
export interface UpdateFile {
  readonly manifest: Uint8Array;
  readonly signature: Uint8Array;
  readonly chunks: number;
  /** The digest of the chunk after it (zeroes after the last), and its bytes. */
  chunk(index: number): { readonly next: Uint8Array; readonly bytes: Uint8Array };
}

/** A whole update file; `sign` signs a hash with the release key. */
export function makeUpdate(
  crypto: Pick<Crypto, "sha256">,
  image: Uint8Array,
  of: Pick<UpdateManifest, "model" | "version" | "number">,
  sign: (hash: Uint8Array) => Signature,
): Uint8Array {
  const nexts: Uint8Array[] = [];
  let next: Uint8Array = new Uint8Array(DIGEST_BYTES);
  for (let index = chunksOf(image.length) - 1; index >= 0; index--) {
    nexts[index] = next;
    next = chunkDigest(crypto, index, next, chunkBytes(image, index));
  }
  const manifest = encodeManifest({ ...of, byteLength: image.length, firstDigest: next });
  decodeManifest(manifest);
  const parts = [
    ascii(MAGIC),
    Uint8Array.of(manifest.length >> 8, manifest.length & 0xff),
    manifest,
    sign(manifestHash(crypto, manifest)),
  ];
  nexts.forEach((digest, index) => {
    parts.push(digest, chunkBytes(image, index));
  });
  return concatAll(parts);
}

/** @throws ProtocolViolation `update-file` where the file is no update, or cut short. */
export function parseUpdate(file: Uint8Array): UpdateFile {
  const magic = ascii(MAGIC);
  const isUpdate = equal(file.subarray(0, magic.length), magic) && file.length > magic.length + 2;
  demand(isUpdate, "update-file", "this is no picobolt update");
  const at = magic.length + 2;
  const length = ((file[at - 2] as number) << 8) | (file[at - 1] as number);
  const start = at + length + SIGNATURE_BYTES;
  demand(length <= MAX_MANIFEST_BYTES && file.length > start, "update-file", "it is cut short");
  const manifest = file.slice(at, at + length);
  const { byteLength } = decodeManifest(manifest);
  const chunks = chunksOf(byteLength);
  const whole = start + byteLength + chunks * DIGEST_BYTES;
  demand(file.length === whole, "update-file", `it has ${file.length} bytes instead of ${whole}`);
  const stride = UPDATE_CHUNK_BYTES + DIGEST_BYTES;
  return {
    manifest,
    signature: file.slice(at + length, start),
    chunks,
    chunk: (index) => {
      const from = start + index * stride;
      const next = file.subarray(from, from + DIGEST_BYTES);
      return { next, bytes: file.subarray(from + DIGEST_BYTES, from + stride) };
    },
  };
}

export function chunksOf(byteLength: number): number {
  return Math.ceil(byteLength / UPDATE_CHUNK_BYTES);
}

export function encodeManifest(manifest: UpdateManifest): Uint8Array {
  const { model, version, number, byteLength, firstDigest } = manifest;
  return encodeCbor([FORMAT_VERSION, model, version, number, byteLength, firstDigest]);
}

/** @throws ProtocolViolation with what is wrong; whether it is signed is another question. */
export function decodeManifest(bytes: Uint8Array): UpdateManifest {
  const items = decodeCbor(bytes, LIMITS);
  demand(Array.isArray(items) && items.length === 6, "update-manifest", "must be an array of 6");
  const [format, model, version, number, byteLength, firstDigest] = items as CborValue[];
  demand(format === FORMAT_VERSION, "update-manifest", "is of another format");
  demand(isText(model) && isText(version), "update-manifest", "model and version: 1 to 24 letters");
  demand(isCount(number, 0xffff_ffff), "update-manifest", "number: 1 to 4294967295");
  const fits = isCount(byteLength, MAX_UPDATE_BYTES);
  demand(fits, "update-manifest", `byteLength: 1 to ${MAX_UPDATE_BYTES}`);
  const isDigest = firstDigest instanceof Uint8Array && firstDigest.length === DIGEST_BYTES;
  demand(isDigest, "update-manifest", "firstDigest: 32 bytes");
  return { model, version, number, byteLength, firstDigest };
}

export function manifestHash(crypto: Pick<Crypto, "sha256">, manifest: Uint8Array): Uint8Array {
  return crypto.sha256(concat(ascii(MANIFEST_DOMAIN), manifest));
}

export function isSignedBy(
  crypto: Pick<Crypto, "sha256" | "verify">,
  manifest: Uint8Array,
  by: { readonly signature: Uint8Array; readonly releaseKey: Uint8Array },
): boolean {
  if (by.signature.length !== SIGNATURE_BYTES) return false;
  const hash = manifestHash(crypto, manifest);
  return crypto.verify(by.signature as Signature, hash, by.releaseKey as PublicKey);
}

/** Of a chunk with its place, and of what comes after it. */
export function chunkDigest(
  crypto: Pick<Crypto, "sha256">,
  index: number,
  next: Uint8Array,
  bytes: Uint8Array,
): Uint8Array {
  const place = Uint8Array.of(index >>> 24, index >>> 16, index >>> 8, index);
  return crypto.sha256(concat(ascii(CHUNK_DOMAIN), place, next, bytes));
}

function chunkBytes(image: Uint8Array, index: number): Uint8Array {
  return image.subarray(index * UPDATE_CHUNK_BYTES, (index + 1) * UPDATE_CHUNK_BYTES);
}

function isText(value: CborValue | undefined): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= 24;
}

function isCount(value: CborValue | undefined, most: number): value is number {
  return typeof value === "number" && value >= 1 && value <= most;
}
