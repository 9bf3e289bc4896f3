/** A backup as a file: what it is of in its first chunk, the content in those after it; read and written piece by piece. */
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { decodeCbor, encodeCbor } from "../../core/messages/cbor.ts";
import { concat } from "../../core/primitives/bytes.ts";
import { syncFolder } from "../secrets/private-file.ts";
import { BackupError } from "./backup-error.ts";
import {
  type BackupKind,
  CHUNK_BYTES,
  ChunkOpener,
  ChunkSealer,
  HEADER_BYTES,
  LENGTH_BYTES,
  MAX_SEALED_CHUNK,
} from "./sealed-chunks.ts";

/** What a backup is of. */
export interface BackupAbout {
  readonly network: string;
  readonly createdAtSeconds: number;
  /** Of the life of the store that it was made from; a restored store has another. */
  readonly origin?: Uint8Array | undefined;
  /** Of a snapshot that a stream continues. */
  readonly stream?: StreamStart | undefined;
}

/** Which stream it is, and how many of its parts there must be at least: before those, pages are older than the snapshot's. */
export interface StreamStart {
  readonly generation: Uint8Array;
  readonly parts: number;
}

export interface OpenedBackup extends BackupAbout {
  readonly kind: BackupKind;
  /** The content, in order; each piece is authentic, and after the last one the whole is. */
  pieces(): AsyncGenerator<Uint8Array>;
  close(): Promise<void>;
}

const ABOUT_LIMITS = { maxBytes: CHUNK_BYTES, maxDepth: 2, maxItems: 8 } as const;

/** A small backup in memory. */
export function sealBackup(
  key: Uint8Array,
  kind: BackupKind,
  about: BackupAbout,
  content: Uint8Array,
): Uint8Array {
  const sealer = new ChunkSealer(key, kind);
  const parts = [sealer.header, sealer.chunk(encodeAbout(about), false)];
  for (let at = 0; at === 0 || at < content.length; at += CHUNK_BYTES) {
    const isLast = at + CHUNK_BYTES >= content.length;
    parts.push(sealer.chunk(content.subarray(at, at + CHUNK_BYTES), isLast));
  }
  return concat(...parts);
}

/** One of those, whole; `name` is told in errors. @throws BackupError "damaged", "newer-format", "wrong-seed". */
export function unsealBackup(
  key: Uint8Array,
  sealed: Uint8Array,
  name: string,
): BackupAbout & { readonly kind: BackupKind; readonly content: Uint8Array } {
  const opener = new ChunkOpener(key, sealed.slice(0, HEADER_BYTES), name);
  const view = new DataView(sealed.buffer, sealed.byteOffset, sealed.length);
  const chunks: Uint8Array[] = [];
  for (let at = HEADER_BYTES; at < sealed.length; ) {
    if (at + LENGTH_BYTES > sealed.length) throw opener.damaged();
    const end = at + LENGTH_BYTES + view.getUint32(at);
    if (end > sealed.length) throw opener.damaged();
    chunks.push(opener.chunk(sealed.subarray(at + LENGTH_BYTES, end), end === sealed.length));
    at = end;
  }
  const [about, ...content] = chunks;
  if (!about || content.length === 0) throw opener.damaged();
  return { ...decodeAbout(about, opener), kind: opener.kind, content: concat(...content) };
}

/** `source` sealed into `path`, which keeps its old content until the new one is durable. Returns the bytes written. */
export async function sealFile(
  key: Uint8Array,
  about: BackupAbout,
  { source, path }: { readonly source: string; readonly path: string },
): Promise<number> {
  const part = `${path}.new`;
  try {
    await rm(part, { force: true });
    const written = await withFile(source, "r", (from) =>
      withFile(part, "wx", (to) => sealInto(new ChunkSealer(key, "store"), about, from, to)),
    );
    await rename(part, path);
    syncFolder(dirname(path));
    return written;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const message = `the backup ${path} could not be written (${code ?? String(cause)}): check the place and its room.`;
    throw new BackupError("io", message, { cause });
  } finally {
    await rm(part, { force: true });
  }
}

/** @throws BackupError "missing", "damaged", "newer-format", "wrong-seed", "io". */
export async function openBackup(key: Uint8Array, path: string): Promise<OpenedBackup> {
  const file = await open(path, "r").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") throw new BackupError("missing", `there is no backup at ${path}.`);
    throw new BackupError("io", `${path} cannot be read (${cause.code}).`, { cause });
  });
  try {
    const { size } = await file.stat();
    const header = await exactly(file, 0, Math.min(HEADER_BYTES, size));
    const opener = new ChunkOpener(key, header, path);
    const chunks = chunksOf(file, size, opener);
    const first = await chunks.next();
    if (first.done) throw opener.damaged();
    const about = decodeAbout(first.value, opener);
    return { ...about, kind: opener.kind, pieces: () => chunks, close: () => file.close() };
  } catch (cause) {
    await file.close();
    throw cause;
  }
}

/** All of it, at most `maxBytes`. */
export async function contentOf(backup: OpenedBackup, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of backup.pieces()) {
    length += piece.length;
    if (length > maxBytes) {
      throw new BackupError("too-large", `the backup holds more than ${maxBytes} bytes.`);
    }
    pieces.push(piece);
  }
  return concat(...pieces);
}

async function sealInto(
  sealer: ChunkSealer,
  about: BackupAbout,
  from: FileHandle,
  to: FileHandle,
): Promise<number> {
  const { size } = await from.stat();
  let written = 0;
  const write = async (bytes: Uint8Array) => {
    await to.writeFile(bytes);
    written += bytes.length;
  };
  await write(concat(sealer.header, sealer.chunk(encodeAbout(about), false)));
  for (let at = 0; at === 0 || at < size; at += CHUNK_BYTES) {
    const plain = await exactly(from, at, Math.min(CHUNK_BYTES, size - at));
    await write(sealer.chunk(plain, at + CHUNK_BYTES >= size));
  }
  await to.sync();
  return written;
}

async function* chunksOf(
  file: FileHandle,
  size: number,
  opener: ChunkOpener,
): AsyncGenerator<Uint8Array> {
  for (let at = HEADER_BYTES; at < size; ) {
    if (at + LENGTH_BYTES > size) throw opener.damaged();
    const prefix = await exactly(file, at, LENGTH_BYTES);
    const length = new DataView(prefix.buffer).getUint32(0);
    at += LENGTH_BYTES;
    if (length > MAX_SEALED_CHUNK || at + length > size) throw opener.damaged();
    const sealed = await exactly(file, at, length);
    at += length;
    yield opener.chunk(sealed, at === size);
  }
}

async function exactly(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(bytes, at, length - at, position + at);
    if (bytesRead === 0)
      throw new BackupError("damaged", "the file became shorter while it was read.");
    at += bytesRead;
  }
  return bytes;
}

async function withFile<T>(
  path: string,
  flags: string,
  work: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags, 0o600);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

function encodeAbout({ network, createdAtSeconds, origin, stream }: BackupAbout): Uint8Array {
  const life = origin ?? new Uint8Array(0);
  const follows = stream ? [stream.generation, stream.parts] : [];
  return encodeCbor([network, createdAtSeconds, life, ...follows]);
}

function decodeAbout(bytes: Uint8Array, opener: ChunkOpener): BackupAbout {
  const value = decodeCbor(bytes, ABOUT_LIMITS);
  const [network, createdAtSeconds, origin, generation, parts] = Array.isArray(value) ? value : [];
  if (typeof network !== "string" || typeof createdAtSeconds !== "number") throw opener.damaged();
  const isOrigin = origin instanceof Uint8Array && origin.length > 0;
  const follows = generation instanceof Uint8Array && typeof parts === "number";
  return {
    network,
    createdAtSeconds,
    ...(isOrigin && { origin }),
    ...(follows && { stream: { generation, parts } }),
  };
}
