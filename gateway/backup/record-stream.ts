/** The record stream: what changed in the store since its snapshot, sealed and handed on every few seconds; and how it is put back. */
import { randomBytes } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type Database from "better-sqlite3";
import { concat, equal } from "../../core/primitives/bytes.ts";
import { BackupError } from "./backup-error.ts";
import type { BackupAbout, StreamStart } from "./backup-file.ts";
import { MAGIC } from "./sealed-chunks.ts";
import { GENERATION_BYTES, MAX_PART_BYTES, openPart, sealPart } from "./stream-part.ts";
import { WalPages } from "./wal-pages.ts";

export interface RecordStreamOptions {
  readonly db: Database.Database;
  readonly key: Uint8Array;
  about(): BackupAbout;
  /** Of the stream beside the snapshot. */
  readonly path: string;
  /** Another place; called in order. */
  onPart?(generation: Uint8Array, number: number, sealed: Uint8Array): void;
  onProblem(text: string): void;
}

/** Then a snapshot is smaller. */
const MAX_STREAM_BYTES = 64 * 1024 * 1024;
const LENGTH_BYTES = 4;

export class RecordStream {
  private readonly wal: WalPages;
  private generation: Uint8Array | undefined;
  private parts = 0;
  private bytes = 0;
  private path: string;
  /** Of the newest part. */
  writtenAtMs: number | undefined;

  constructor(private readonly options: RecordStreamOptions) {
    this.wal = new WalPages(options.db);
    this.path = options.path;
  }

  /** It has grown large, or has a gap: time for another snapshot. */
  get isFull(): boolean {
    return this.generation === undefined || this.bytes > MAX_STREAM_BYTES;
  }

  /** With the snapshot it has all that was committed. */
  get isCurrent(): boolean {
    return this.generation !== undefined && !this.wal.isBehind;
  }

  /** Before a snapshot is taken: from here on every change is in the new stream, which stands beside the old one for now. */
  begin(): void {
    this.flush();
    this.path = `${this.options.path}.new`;
    rmSync(this.path, { force: true });
    this.generation = new Uint8Array(randomBytes(GENERATION_BYTES));
    this.parts = 0;
    this.bytes = 0;
    this.wal.skip();
  }

  /** The copy was made: the stream must reach so far to go with it. */
  copied(): StreamStart {
    this.flush();
    const { generation, parts } = this;
    if (!generation) throw new BackupError("io", "the record stream could not be written.");
    return { generation, parts };
  }

  /** The snapshot is in its place. */
  replaced(): void {
    if (this.path === this.options.path) return;
    if (this.parts > 0) renameSync(this.path, this.options.path);
    else rmSync(this.options.path, { force: true });
    this.path = this.options.path;
  }

  /** What was committed since; durable when it returns. A part that cannot be written ends the stream until the next snapshot. */
  flush(): void {
    const { generation } = this;
    const { key, onPart, onProblem, about } = this.options;
    const number = this.parts;
    try {
      const changed = this.wal.read();
      if (!changed || !generation) return;
      if (changed.pages.size * changed.pageSize > MAX_PART_BYTES)
        throw new Error("too much at once");
      const sealed = sealPart(key, about(), { ...changed, generation, number });
      append(this.path, sealed);
      this.parts++;
      this.bytes += sealed.length;
      this.writtenAtMs = Date.now();
      onPart?.(generation, number, sealed);
    } catch (cause) {
      this.generation = undefined;
      const text = `the record stream ${this.path} has a gap (${(cause as Error).message}): a new snapshot is needed`;
      onProblem(text);
    }
  }

  /** No snapshot goes with it: it begins anew with the next. */
  fail(): void {
    this.generation = undefined;
  }

  stop(): void {
    this.flush();
    this.wal.release();
  }
}

function append(path: string, sealed: Uint8Array): void {
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setUint32(0, sealed.length);
  const file = openSync(path, "a", 0o600);
  try {
    appendFileSync(file, concat(length, sealed));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** By what its first part begins with. */
export async function isStream(path: string): Promise<boolean> {
  if (!existsSync(path)) return false;
  const file = await open(path, "r");
  try {
    const head = await bytesAt(file, 0, LENGTH_BYTES + MAGIC.length);
    return Buffer.from(head.subarray(LENGTH_BYTES)).toString("latin1") === MAGIC;
  } finally {
    await file.close();
  }
}

/** The parts of a stream's file one after the other; one that was cut off while it was written ends it. */
export async function* partsIn(path: string): AsyncGenerator<Uint8Array> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    for (let at = 0; at + LENGTH_BYTES <= size; ) {
      const head = await bytesAt(file, at, LENGTH_BYTES);
      const length = new DataView(head.buffer).getUint32(0);
      at += LENGTH_BYTES;
      if (at + length > size) return;
      yield await bytesAt(file, at, length);
      at += length;
    }
  } finally {
    await file.close();
  }
}

async function bytesAt(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await file.read(bytes, 0, length, position);
  return bytes;
}

/**
 * Puts a stream's changes into an unpacked snapshot. All that can be put is checked before the first page is written: a
 * stream that does not reach to the end of the snapshot's copy is left out. Returns how many parts were used, and why no more.
 */
export async function applyStream(
  key: Uint8Array,
  {
    database,
    stream,
    start,
  }: { readonly database: string; readonly stream: string; readonly start: StreamStart },
): Promise<{ readonly parts: number; readonly note?: string }> {
  const { usable, why } = await usableParts(key, stream, start.generation);
  if (usable < start.parts || usable === 0) {
    const because = why ?? "it ends before the snapshot does";
    return start.parts === 0 && usable === 0 && why === undefined
      ? { parts: 0 }
      : { parts: 0, note: `${stream} was left out: ${because}` };
  }
  const file = await open(database, "r+");
  try {
    let number = 0;
    let size = 0;
    for await (const sealed of partsIn(stream)) {
      if (number === usable) break;
      const { pageSize, databasePages, pages } = openPart(key, sealed, stream);
      for (const [page, bytes] of pages) {
        await file.write(bytes, 0, pageSize, (page - 1) * pageSize);
      }
      size = databasePages * pageSize;
      number++;
    }
    await file.truncate(size);
    await file.sync();
  } finally {
    await file.close();
  }
  return why === undefined ? { parts: usable } : { parts: usable, note: `${stream}: ${why}` };
}

async function usableParts(
  key: Uint8Array,
  stream: string,
  generation: Uint8Array,
): Promise<{ readonly usable: number; readonly why?: string }> {
  let usable = 0;
  for await (const sealed of partsIn(stream)) {
    try {
      const part = openPart(key, sealed, stream);
      if (!equal(part.generation, generation)) {
        return { usable, why: "it continues another snapshot" };
      }
      if (part.number !== usable) return { usable, why: `part ${usable} is missing` };
      usable++;
    } catch (cause) {
      return { usable, why: `part ${usable} cannot be used: ${(cause as Error).message}` };
    }
  }
  return { usable };
}
