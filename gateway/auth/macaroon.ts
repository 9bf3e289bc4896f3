/**
 * Macaroons in libmacaroons' binary format 2, with first-party caveats alone ("Macaroons: Cookies with
 * Contextual Caveats for Decentralized Authorization in the Cloud"; libmacaroons/doc/format.txt).
 *
 * `2 | [1 location] 2 identifier | 0 | { [1 location] 2 caveat | 0 }… | 0 | 6 signature`, where each field is
 * its type, its length and its bytes, both numbers as varints, and 0 stands alone.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { concatAll } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import { AuthError } from "./auth-error.ts";

export interface Macaroon {
  /** For people; not signed. */
  readonly location: string;
  readonly identifier: Uint8Array;
  readonly caveats: readonly string[];
  /** Whoever has it may add caveats, and use the macaroon. */
  readonly signature: Uint8Array;
}

export const MAX_MACAROON_BYTES = 4096;
export const MAX_CAVEATS = 32;
export const MAX_CAVEAT_BYTES = 1024;
const MAX_IDENTIFIER_BYTES = 128;
const MAX_LOCATION_BYTES = 128;

const VERSION = 2;
const FIELD = { end: 0, location: 1, identifier: 2, verificationId: 4, signature: 6 } as const;
const SIGNATURE_BYTES = 32;
const KEY_GENERATOR = "macaroons-key-generator";

export interface NewMacaroon {
  readonly rootKey: Uint8Array;
  readonly identifier: Uint8Array;
  readonly location: string;
}

export function newMacaroon({ rootKey, identifier, location }: NewMacaroon): Macaroon {
  assert(identifier.length <= MAX_IDENTIFIER_BYTES, "identifier too long");
  const signature = hmac(hmac(Buffer.from(KEY_GENERATOR), rootKey), identifier);
  return { location, identifier, caveats: [], signature };
}

/** Needs no key: that is what attenuating is. */
export function withCaveat(macaroon: Macaroon, caveat: string): Macaroon {
  const bytes = Buffer.from(caveat);
  assert(bytes.length > 0 && bytes.length <= MAX_CAVEAT_BYTES, "caveat empty or too long");
  const signature = hmac(macaroon.signature, bytes);
  return { ...macaroon, caveats: [...macaroon.caveats, caveat], signature };
}

/**
 * The signature after each caveat, where the last one is right; undefined where it is not. Compared in a time
 * that does not depend on them.
 */
export function signaturesOf(
  macaroon: Macaroon,
  rootKey: Uint8Array,
): readonly Uint8Array[] | undefined {
  let step = newMacaroon({ ...macaroon, rootKey });
  const signatures: Uint8Array[] = [];
  for (const caveat of macaroon.caveats) {
    step = withCaveat(step, caveat);
    signatures.push(step.signature);
  }
  return timingSafeEqual(step.signature, macaroon.signature) ? signatures : undefined;
}

export function encodeMacaroon(macaroon: Macaroon): Uint8Array {
  const end = Uint8Array.of(FIELD.end);
  const location = Buffer.from(macaroon.location);
  const bytes = concatAll([
    Uint8Array.of(VERSION),
    ...(location.length > 0 ? [field(FIELD.location, location)] : []),
    field(FIELD.identifier, macaroon.identifier),
    end,
    ...macaroon.caveats.flatMap((caveat) => [field(FIELD.identifier, Buffer.from(caveat)), end]),
    end,
    field(FIELD.signature, macaroon.signature),
  ]);
  const fits = bytes.length <= MAX_MACAROON_BYTES && macaroon.caveats.length <= MAX_CAVEATS;
  if (!fits) throw bad(`it has more than ${MAX_CAVEATS} caveats or ${MAX_MACAROON_BYTES} bytes`);
  return bytes;
}

/** @throws AuthError "bad-macaroon", and "unknown-caveat" for a third party's. */
export function decodeMacaroon(bytes: Uint8Array): Macaroon {
  if (bytes.length > MAX_MACAROON_BYTES) throw bad(`it has more than ${MAX_MACAROON_BYTES} bytes`);
  const reader = new FieldReader(bytes);
  if (reader.byte() !== VERSION) throw bad("it is not in the binary format 2");
  const location = reader.optional(FIELD.location, MAX_LOCATION_BYTES);
  const identifier = reader.required(FIELD.identifier, MAX_IDENTIFIER_BYTES);
  reader.end();
  const caveats: string[] = [];
  while (!reader.isEnd()) {
    reader.optional(FIELD.location, MAX_LOCATION_BYTES);
    const caveat = reader.required(FIELD.identifier, MAX_CAVEAT_BYTES);
    if (reader.optional(FIELD.verificationId, MAX_MACAROON_BYTES)) {
      throw new AuthError(
        "unknown-caveat",
        "the macaroon has a caveat of a third party: none is known here.",
      );
    }
    reader.end();
    if (caveat.length === 0) throw bad("a caveat is empty");
    caveats.push(text(caveat));
    if (caveats.length > MAX_CAVEATS) throw bad(`it has more than ${MAX_CAVEATS} caveats`);
  }
  reader.end();
  const signature = reader.required(FIELD.signature, SIGNATURE_BYTES);
  if (signature.length !== SIGNATURE_BYTES || !reader.isDone()) throw bad("its end is damaged");
  return { location: location ? text(location) : "", identifier, caveats, signature };
}

/** As it stands in a file or a header: base64url, unpadded. */
export function macaroonText(macaroon: Macaroon): string {
  return Buffer.from(encodeMacaroon(macaroon)).toString("base64url");
}

/** base64url, base64 or hexadecimal, as other programs write it; @throws AuthError. */
export function macaroonFrom(words: string): Macaroon {
  const trimmed = words.trim();
  if (trimmed.length > 2 * MAX_MACAROON_BYTES)
    throw bad(`it has more than ${MAX_MACAROON_BYTES} bytes`);
  // The format's first byte is 2: "02" in hexadecimal, "Ag" or "Ai" and so on in base64.
  if (/^([0-9a-f]{2})+$/i.test(trimmed) && trimmed.startsWith("02")) {
    return decodeMacaroon(new Uint8Array(Buffer.from(trimmed, "hex")));
  }
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(trimmed)) throw bad("it is neither base64 nor hexadecimal");
  return decodeMacaroon(new Uint8Array(Buffer.from(trimmed, "base64url")));
}

class FieldReader {
  private at = 0;
  constructor(private readonly bytes: Uint8Array) {}

  byte(): number {
    const byte = this.bytes[this.at++];
    if (byte === undefined) throw bad("it is cut off");
    return byte;
  }

  isEnd(): boolean {
    return this.bytes[this.at] === FIELD.end;
  }

  end(): void {
    if (this.byte() !== FIELD.end) throw bad("a field stands where none belongs");
  }

  isDone(): boolean {
    return this.at === this.bytes.length;
  }

  optional(type: number, maxBytes: number): Uint8Array | undefined {
    return this.bytes[this.at] === type ? this.required(type, maxBytes) : undefined;
  }

  required(type: number, maxBytes: number): Uint8Array {
    if (this.byte() !== type) throw bad("a field stands where none belongs");
    const length = this.length();
    if (length > maxBytes) throw bad(`a field has ${length} bytes`);
    const value = this.bytes.slice(this.at, this.at + length);
    if (value.length !== length) throw bad("it is cut off");
    this.at += length;
    return value;
  }

  /** A varint; two bytes hold every length that is allowed. */
  private length(): number {
    const low = this.byte();
    if (low < 0x80) return low;
    const high = this.byte();
    if (high === 0 || high >= 0x80) throw bad("a length is damaged");
    return (low & 0x7f) | (high << 7);
  }
}

function field(type: number, value: Uint8Array): Uint8Array {
  const { length } = value;
  const size = length < 0x80 ? [length] : [(length & 0x7f) | 0x80, length >> 7];
  return Uint8Array.of(type, ...size, ...value);
}

function text(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw bad("it holds words that are no UTF-8");
  }
}

function hmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac("sha256", key).update(data).digest());
}

function bad(why: string): AuthError {
  return new AuthError("bad-macaroon", `that is no macaroon of this gateway: ${why}.`);
}
