/**
 * The format of backups: chunks under XChaCha20-Poly1305, as in the STREAM construction (Hoang, Reyhanitabar, Rogaway,
 * Vizár 2015), so that a file larger than memory is checked as it is read and none of it can be cut off or moved.
 *
 * `"PBBACKUP" | version 1 | kind | seed tag 8 | nonce prefix 19`, then for each chunk `length u32 | ciphertext and tag`.
 * A chunk's nonce is `prefix | its number u32 | 1 in the last, else 0`; the header is authenticated with each. The seed tag
 * tells another node's backup from a damaged one, and nothing of the seed.
 */
import { hkdfSync, randomBytes } from "node:crypto";
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ascii, concat, equal } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import { BackupError } from "./backup-error.ts";

export type BackupKind = "channels" | "store" | "stream";

export const CHUNK_BYTES = 64 * 1024;
export const HEADER_BYTES = 37;
export const LENGTH_BYTES = 4;
export const MAX_SEALED_CHUNK = CHUNK_BYTES + 16;

export const MAGIC = "PBBACKUP";
const VERSION = 1;
const KINDS: Readonly<Record<BackupKind, number>> = { channels: 1, store: 2, stream: 3 };
const AT = { version: 8, kind: 9, tag: 10, prefix: 18 } as const;
const TAG_BYTES = 8;
const KEY_BYTES = 32;
const PREFIX_BYTES = HEADER_BYTES - AT.prefix;
const MAX_CHUNKS = 0xffff_ffff;

export class ChunkSealer {
  readonly header: Uint8Array;
  private readonly cipher: ChunkCipher;

  constructor(key: Uint8Array, kind: BackupKind) {
    this.header = concat(
      ascii(MAGIC),
      Uint8Array.of(VERSION, KINDS[kind]),
      tagOf(key),
      randomBytes(PREFIX_BYTES),
    );
    this.cipher = new ChunkCipher(key, this.header);
  }

  /** With its length before it. */
  chunk(plain: Uint8Array, isLast: boolean): Uint8Array {
    assert(plain.length <= CHUNK_BYTES, "a chunk has 64 KiB at most");
    const sealed = this.cipher.next(isLast).encrypt(plain);
    const length = new Uint8Array(LENGTH_BYTES);
    new DataView(length.buffer).setUint32(0, sealed.length);
    return concat(length, sealed);
  }
}

export class ChunkOpener {
  readonly kind: BackupKind;
  private readonly cipher: ChunkCipher;

  /** `path` is named in errors. @throws BackupError "damaged", "newer-format", "wrong-seed". */
  constructor(
    key: Uint8Array,
    header: Uint8Array,
    private readonly path: string,
  ) {
    if (header.length !== HEADER_BYTES || !equal(header.subarray(0, AT.version), ascii(MAGIC))) {
      throw new BackupError("damaged", `${path} is no backup of a gateway: is it the right file?`);
    }
    if ((header[AT.version] as number) > VERSION) {
      const message = `${path} was written by a newer picobolt: restore it with that one.`;
      throw new BackupError("newer-format", message);
    }
    const kind = Object.entries(KINDS).find(([, number]) => number === header[AT.kind])?.[0];
    if (header[AT.version] !== VERSION || kind === undefined) throw this.damaged();
    if (!equal(header.subarray(AT.tag, AT.tag + TAG_BYTES), tagOf(key))) {
      const message = `${path} is the backup of another seed: restore the words that belong to it first.`;
      throw new BackupError("wrong-seed", message);
    }
    this.kind = kind as BackupKind;
    this.cipher = new ChunkCipher(key, header);
  }

  /** @throws BackupError "damaged". */
  chunk(sealed: Uint8Array, isLast: boolean): Uint8Array {
    try {
      return this.cipher.next(isLast).decrypt(sealed);
    } catch {
      throw this.damaged();
    }
  }

  damaged(): BackupError {
    const message = `${this.path} is damaged or not whole: nothing of it is used; take another copy.`;
    return new BackupError("damaged", message);
  }
}

class ChunkCipher {
  private number = 0;

  constructor(
    private readonly key: Uint8Array,
    private readonly header: Uint8Array,
  ) {
    assert(key.length === KEY_BYTES, "the key of backups has 32 bytes");
  }

  next(isLast: boolean) {
    assert(this.number < MAX_CHUNKS, "a backup has no more chunks than a nonce can count");
    const nonce = new Uint8Array(24);
    nonce.set(this.header.subarray(AT.prefix));
    new DataView(nonce.buffer).setUint32(PREFIX_BYTES, this.number++);
    nonce[23] = isLast ? 1 : 0;
    return xchacha20poly1305(this.key, nonce, this.header);
  }
}

function tagOf(key: Uint8Array): Uint8Array {
  return new Uint8Array(
    hkdfSync("sha256", key, new Uint8Array(0), "picobolt backup tag", TAG_BYTES),
  );
}
