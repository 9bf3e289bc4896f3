/** How backups lie in a bucket: the channels' backup, snapshots in pieces that a manifest makes whole, and the parts of their streams. */
import { createHash, randomBytes } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { toHex } from "../../core/primitives/bytes.ts";
import { BackupError } from "./backup-error.ts";
import type { S3Store } from "./s3-store.ts";

/** Of snapshots: any store takes that in one request. */
const PIECE_BYTES = 16 * 1024 * 1024;
const WIDTH = 10;

interface Manifest {
  readonly version: 1;
  readonly created_at: number;
  readonly stream: string;
  readonly bytes: number;
  readonly pieces: readonly { readonly bytes: number; readonly sha256: string }[];
}

export interface SnapshotToKeep {
  readonly path: string;
  readonly createdAtSeconds: number;
  /** Of its stream; without one it has a name of its own. */
  readonly generation?: Uint8Array | undefined;
}

export class S3Layout {
  constructor(
    private readonly store: S3Store,
    private readonly prefix: string,
    private readonly pieceBytes = PIECE_BYTES,
  ) {}

  get name(): string {
    return `${this.store.name}/${this.prefix}`;
  }

  putChannels(sealed: Uint8Array): Promise<void> {
    return this.store.put(this.#key("channels.backup"), sealed);
  }

  getChannels(): Promise<Uint8Array | undefined> {
    return this.store.get(this.#key("channels.backup"));
  }

  putPart(generation: Uint8Array, number: number, sealed: Uint8Array): Promise<void> {
    return this.store.put(this.#key(`stream/${toHex(generation)}/${digits(number)}`), sealed);
  }

  /** The manifest comes last: without it there is no snapshot. */
  async putSnapshot({ path, createdAtSeconds, generation }: SnapshotToKeep): Promise<void> {
    const stream = toHex(generation ?? new Uint8Array(randomBytes(16)));
    const name = `store/${digits(Math.max(createdAtSeconds, (await this.#newest()) + 1))}-${stream}`;
    const pieces: Manifest["pieces"][number][] = [];
    let bytes = 0;
    for await (const piece of piecesOf(path, this.pieceBytes)) {
      await this.store.put(this.#key(`${name}/${digits(pieces.length)}`), piece);
      pieces.push({ bytes: piece.length, sha256: sha256(piece) });
      bytes += piece.length;
    }
    const manifest: Manifest = { version: 1, created_at: createdAtSeconds, stream, bytes, pieces };
    const text = Buffer.from(JSON.stringify(manifest));
    await this.store.put(this.#key(`${name}/manifest.json`), new Uint8Array(text));
  }

  /** All but the newest `keep` whole snapshots goes, with the streams that continued them; newer pieces stay: they may be on their way. */
  async retain(keep: number): Promise<number> {
    const keys = await this.store.list(this.#key("store/"));
    const whole = keys.filter((key) => key.endsWith("/manifest.json"));
    const kept = whole.slice(-keep);
    const [oldest] = kept;
    if (oldest === undefined) return 0;
    const gone = keys.filter((key) => key < folderOf(oldest)).sort(manifestsFirst);
    const streams = new Set(gone.map((key) => folderOf(key).slice(-33, -1)));
    for (const key of gone) await this.store.remove(key);
    let removed = gone.length;
    for (const stream of streams) {
      for (const key of await this.store.list(this.#key(`stream/${stream}/`))) {
        await this.store.remove(key);
        removed++;
      }
    }
    return removed;
  }

  /** What is there, as files in a folder; the newest whole snapshot alone. @throws BackupError "missing", "damaged", "io". */
  async download(folder: string): Promise<readonly string[]> {
    const files: string[] = [];
    const channels = await this.store.get(this.#key("channels.backup"));
    if (channels) files.push(write(join(folder, "channels.backup"), [channels]));
    const keys = await this.store.list(this.#key("store/"));
    const newest = keys.filter((key) => key.endsWith("/manifest.json")).at(-1);
    if (newest !== undefined) files.push(...(await this.#downloadStore(folder, newest)));
    if (files.length > 0) return files;
    throw new BackupError("missing", `there is no backup in ${this.name}`);
  }

  async #downloadStore(folder: string, newest: string): Promise<readonly string[]> {
    const damaged = (what: string) => new BackupError("damaged", `${this.name}: ${what}`);
    const manifest = manifestOf(await this.store.get(newest));
    if (!manifest) throw damaged(`${newest} is no manifest of ours`);
    const path = join(folder, "store.backup");
    const file = openSync(path, "wx", 0o600);
    try {
      for (const [number, { sha256: expected }] of manifest.pieces.entries()) {
        const piece = await this.store.get(`${folderOf(newest)}${digits(number)}`);
        if (!piece || sha256(piece) !== expected) {
          throw damaged(`piece ${number} of the snapshot is ${piece ? "damaged" : "missing"}`);
        }
        writeSync(file, piece);
      }
    } finally {
      closeSync(file);
    }
    const parts = await this.store.list(this.#key(`stream/${manifest.stream}/`));
    if (parts.length === 0) return [path];
    const stream = join(folder, "store.stream");
    const out = openSync(stream, "wx", 0o600);
    try {
      for (const key of parts) {
        const sealed = await this.store.get(key);
        if (!sealed) break; // a gap ends the stream
        const length = Buffer.alloc(4);
        length.writeUInt32BE(sealed.length);
        writeSync(out, Buffer.concat([length, sealed]));
      }
    } finally {
      closeSync(out);
    }
    return [path, stream];
  }

  /** Snapshots are in the order in which they came, also within a second and when the clock was turned back. */
  async #newest(): Promise<number> {
    const keys = await this.store.list(this.#key("store/"));
    const newest = keys.filter((key) => key.endsWith("/manifest.json")).at(-1);
    if (newest === undefined) return 0;
    return Number(newest.slice(this.#key("store/").length).split("-")[0]);
  }

  #key(name: string): string {
    return `${this.prefix}/${name}`;
  }
}

async function* piecesOf(path: string, most: number): AsyncGenerator<Uint8Array> {
  const file = await open(path, "r");
  try {
    for (;;) {
      const piece = new Uint8Array(most);
      const { bytesRead } = await file.read(piece, 0, most);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

function manifestOf(bytes: Uint8Array | undefined): Manifest | undefined {
  try {
    const found = JSON.parse(Buffer.from(bytes ?? []).toString()) as Manifest;
    const isOurs = found.version === 1 && /^[0-9a-f]{32}$/.test(found.stream);
    return isOurs && Array.isArray(found.pieces) ? found : undefined;
  } catch {
    return undefined;
  }
}

/** What is half removed is no snapshot any more. */
function manifestsFirst(a: string, b: string): number {
  return Number(b.endsWith("/manifest.json")) - Number(a.endsWith("/manifest.json"));
}

/** With its slash. */
function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf("/") + 1);
}

function write(path: string, pieces: readonly Uint8Array[]): string {
  const file = openSync(path, "wx", 0o600);
  try {
    for (const piece of pieces) writeSync(file, piece);
  } finally {
    closeSync(file);
  }
  return path;
}

function digits(number: number): string {
  return String(number).padStart(WIDTH, "0");
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
