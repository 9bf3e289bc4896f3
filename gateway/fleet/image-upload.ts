/** Update files that come in pieces: in memory until they are whole and have the digest that they were announced with. */
import { createHash } from "node:crypto";
import { chunkDigest, decodeManifest, parseUpdate } from "../../core/messages/update-image.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { FleetError } from "./fleet-error.ts";
import type { FleetStore } from "./fleet-store.ts";

export interface ImagePiece {
  readonly digest: string;
  /** Of the whole file. */
  readonly length: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** At a time; the oldest makes room. */
const MAX_UPLOADS = 2;

export class ImageUpload {
  private readonly files = new Map<string, { readonly bytes: Uint8Array; received: number }>();

  constructor(
    private readonly store: FleetStore,
    private readonly crypto: Crypto,
  ) {}

  /** Where the next piece begins; a piece that is there already is passed over. */
  async put(piece: ImagePiece): Promise<{ received: number; complete: boolean }> {
    const { digest, length, offset, bytes } = piece;
    if (await this.store.blob(digest)) return { received: length, complete: true };
    const file = this.fileOf(digest, length);
    if (file.bytes.length !== length || offset > file.received) {
      return { received: file.bytes.length === length ? file.received : 0, complete: false };
    }
    if (offset + bytes.length > length) {
      throw new FleetError("wrong", `the piece ends after the file's ${length} bytes`);
    }
    file.bytes.set(bytes, offset);
    file.received = Math.max(file.received, offset + bytes.length);
    if (file.received < length) return { received: file.received, complete: false };
    this.files.delete(digest);
    const found = createHash("sha256").update(file.bytes).digest("hex");
    if (found !== digest) throw new FleetError("wrong", `the file has the SHA-256 ${found}`);
    this.check(file.bytes);
    await this.store.putBlob(digest, file.bytes);
    return { received: length, complete: true };
  }

  private fileOf(digest: string, length: number) {
    const known = this.files.get(digest);
    if (known) return known;
    const [oldest] = this.files.keys();
    if (this.files.size >= MAX_UPLOADS && oldest !== undefined) this.files.delete(oldest);
    const file = { bytes: new Uint8Array(length), received: 0 };
    this.files.set(digest, file);
    return file;
  }

  /** As a device checks it, but for the signature: devices know the release key, not the gateway. */
  private check(file: Uint8Array): void {
    try {
      const { manifest, chunks, chunk } = parseUpdate(file);
      let expected = decodeManifest(manifest).firstDigest;
      for (let index = 0; index < chunks; index++) {
        const { next, bytes } = chunk(index);
        if (!equal(chunkDigest(this.crypto, index, next, bytes), expected)) {
          throw new FleetError("wrong", `chunk ${index} of ${chunks} is damaged`);
        }
        expected = next;
      }
    } catch (cause) {
      if (!(cause instanceof ProtocolViolation)) throw cause;
      throw new FleetError("wrong", cause.message);
    }
  }
}
