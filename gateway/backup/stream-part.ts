/**
 * One part of the record stream: the pages of the store that changed since the part before, sealed like every backup.
 * The content: generation 16 | number u32 | page size u32 | pages of the database u32 | deflated: for each page its number u32 and its bytes.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { concat } from "../../core/primitives/bytes.ts";
import { BackupError } from "./backup-error.ts";
import { type BackupAbout, sealBackup, unsealBackup } from "./backup-file.ts";
import type { ChangedPages } from "./wal-pages.ts";

export interface StreamPart extends ChangedPages {
  /** The snapshot that the stream continues. */
  readonly generation: Uint8Array;
  /** From 0 on, without a gap. */
  readonly number: number;
}

export const GENERATION_BYTES = 16;
/** Of pages in one part, and with that of what a sink holds back. */
export const MAX_PART_BYTES = 64 * 1024 * 1024;
const HEADER_BYTES = GENERATION_BYTES + 12;

export function sealPart(key: Uint8Array, about: BackupAbout, part: StreamPart): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  header.set(part.generation);
  const view = new DataView(header.buffer);
  view.setUint32(GENERATION_BYTES, part.number);
  view.setUint32(GENERATION_BYTES + 4, part.pageSize);
  view.setUint32(GENERATION_BYTES + 8, part.databasePages);
  const body = new Uint8Array(part.pages.size * (4 + part.pageSize));
  const numbers = new DataView(body.buffer);
  let at = 0;
  for (const [number, page] of part.pages) {
    numbers.setUint32(at, number);
    body.set(page, at + 4);
    at += 4 + part.pageSize;
  }
  const packed = new Uint8Array(deflateRawSync(body, { level: 1 }));
  return sealBackup(key, "stream", about, concat(header, packed));
}

/** @throws BackupError "damaged", "wrong-seed", "newer-format". */
export function openPart(key: Uint8Array, sealed: Uint8Array, name: string): StreamPart {
  const { kind, content } = unsealBackup(key, sealed, name);
  if (kind !== "stream" || content.length < HEADER_BYTES) {
    throw new BackupError("damaged", `${name} is no part of a record stream.`);
  }
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  const pageSize = view.getUint32(GENERATION_BYTES + 4);
  const maxOutputLength = 2 * MAX_PART_BYTES;
  const body = new Uint8Array(inflateRawSync(content.subarray(HEADER_BYTES), { maxOutputLength }));
  const numbers = new DataView(body.buffer, body.byteOffset, body.length);
  const pages = new Map<number, Uint8Array>();
  for (let at = 0; at + 4 + pageSize <= body.length; at += 4 + pageSize) {
    pages.set(numbers.getUint32(at), body.subarray(at + 4, at + 4 + pageSize));
  }
  return {
    generation: content.slice(0, GENERATION_BYTES),
    number: view.getUint32(GENERATION_BYTES),
    pageSize,
    databasePages: view.getUint32(GENERATION_BYTES + 8),
    pages,
  };
}
