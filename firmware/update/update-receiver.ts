/** Takes a signed image chunk by chunk (docs/ADMIN.md "Update images"): what is not the signer's is never written (rule `update-signed`). */
import {
  chunkDigest,
  chunksOf,
  decodeManifest,
  isSignedBy,
  UPDATE_CHUNK_BYTES,
  type UpdateManifest,
} from "../../core/messages/update-image.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { AdminError } from "../admin/params.ts";
import type { Image, UpdateSlots } from "../board.ts";

export interface UpdateProgress {
  readonly number: number;
  readonly version: string;
  /** The chunk that is wanted next; `chunks` when all are there. */
  readonly next: number;
  readonly chunks: number;
}

interface Receiving {
  readonly manifest: UpdateManifest;
  readonly encoded: Uint8Array;
  next: number;
  /** Of the chunk that is wanted next. */
  digest: Uint8Array;
}

export class UpdateReceiver {
  private receiving: Receiving | undefined;
  /** Written and due to run at the next start. */
  private isComplete = false;

  constructor(
    private readonly crypto: Crypto,
    private readonly image: Image,
    private readonly model: string,
    private readonly slots: UpdateSlots | undefined,
  ) {}

  get progress(): UpdateProgress | undefined {
    if (!this.receiving) return undefined;
    const { manifest, next } = this.receiving;
    const { number, version, byteLength } = manifest;
    return { number, version, next, chunks: chunksOf(byteLength) };
  }

  /** Whether the other image is complete, and runs after a restart. */
  get isReady(): boolean {
    return this.isComplete;
  }

  /** Begins, or goes on with the image of the same manifest. */
  begin(encoded: Uint8Array, signature: Uint8Array): UpdateProgress {
    const { slots, image, crypto } = this;
    const { releaseKey } = image;
    if (!slots || !releaseKey) {
      const text = "this device takes no updates: it is flashed by cable (picobolt flash)";
      throw new AdminError("unsupported", text);
    }
    if (!slots.confirmed) {
      throw new AdminError("on-trial", "the running image is on trial: try again in a minute");
    }
    // Rule `update-signed`: nothing of it is believed before.
    if (!isSignedBy(crypto, encoded, { signature, releaseKey })) {
      const text = "the signature is not that of this image's release key: nothing was written";
      throw new AdminError("signature", text);
    }
    const manifest = manifestOf(encoded);
    this.checkFits(manifest);
    const { receiving } = this;
    if (!receiving || !equal(receiving.encoded, encoded)) {
      this.abort();
      try {
        slots.begin(manifest.byteLength);
      } catch (cause) {
        throw new AdminError("oversize", cause instanceof Error ? cause.message : String(cause));
      }
      const kept = { manifest, encoded: encoded.slice(), digest: manifest.firstDigest.slice() };
      this.receiving = { ...kept, next: 0 };
    }
    return this.progress as UpdateProgress;
  }

  /** One that was written before is passed over: its answer was lost. */
  chunk(index: number, next: Uint8Array, bytes: Uint8Array): UpdateProgress {
    const { receiving } = this;
    if (!receiving) throw new AdminError("not-begun", "no update was begun: send update.begin");
    if (index < receiving.next) return this.progress as UpdateProgress;
    if (index > receiving.next) {
      throw new AdminError("out-of-order", `chunk ${receiving.next} comes next, not ${index}`);
    }
    const left = receiving.manifest.byteLength - index * UPDATE_CHUNK_BYTES;
    const length = Math.max(0, Math.min(UPDATE_CHUNK_BYTES, left));
    const isExpected =
      bytes.length === length &&
      equal(chunkDigest(this.crypto, index, next, bytes), receiving.digest);
    if (length === 0 || !isExpected) {
      throw new AdminError("chunk", `chunk ${index} is not the signed one: nothing was written`);
    }
    try {
      (this.slots as UpdateSlots).write(bytes);
    } catch (cause) {
      // How much of it was written is not known: from the start, then.
      this.abort();
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new AdminError("flash", `the chunk could not be written (${text}): begin again`);
    }
    receiving.next++;
    receiving.digest = next.slice();
    return this.progress as UpdateProgress;
  }

  /** It runs after the next start, on trial. */
  finish(): UpdateProgress {
    const progress = this.progress;
    if (!progress) throw new AdminError("not-begun", "no update was begun: send update.begin");
    const { next, chunks, number } = progress;
    if (next < chunks) {
      throw new AdminError("truncated", `${chunks - next} of ${chunks} chunks are missing`);
    }
    if (!this.isComplete) {
      (this.slots as UpdateSlots).complete();
      this.isComplete = true;
    }
    return { ...progress, number };
  }

  abort(): void {
    if (this.isComplete) return;
    if (this.receiving) this.slots?.abort();
    this.receiving = undefined;
  }

  private checkFits(manifest: UpdateManifest): void {
    const { image, model } = this;
    const complete = this.isComplete ? this.receiving?.manifest.number : undefined;
    if (complete !== undefined && complete !== manifest.number) {
      throw new AdminError("complete", "another update is complete: restart the device first");
    }
    if (manifest.model !== model) {
      throw new AdminError("model", `the image is for ${manifest.model}, this device is ${model}`);
    }
    // Rule `update-no-downgrade`: an old image may have a fault that was mended, or not read newer records.
    if (manifest.number <= image.number) {
      const text = `image ${manifest.number} is not newer than ${image.number}, which runs`;
      throw new AdminError("downgrade", text);
    }
  }
}

function manifestOf(encoded: Uint8Array): UpdateManifest {
  try {
    return decodeManifest(encoded);
  } catch (cause) {
    if (!(cause instanceof ProtocolViolation)) throw cause;
    throw new AdminError("manifest", cause.message);
  }
}
