/** What SQLite committed since the last look, page by page, read from its write-ahead log (sqlite.org/fileformat2.html "The Write-Ahead Log"). */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type Database from "better-sqlite3";

export interface ChangedPages {
  readonly pageSize: number;
  /** Of the whole database, after the last of these commits. */
  readonly databasePages: number;
  /** The newest content of each, by its number from 1 on. */
  readonly pages: ReadonlyMap<number, Uint8Array>;
}

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const AT = { pageSize: 8, salts: 16 } as const;
const FRAME = { page: 0, databasePages: 4, salts: 8 } as const;
/** The log is folded into the database when it is so large, and begins anew. */
const CHECKPOINT_BYTES = 4 * 1024 * 1024;

/** For the one connection that has the database: nothing is written between a look and what follows it in the same turn. */
export class WalPages {
  private salts = "";
  private at = HEADER_BYTES;

  constructor(
    private readonly db: Database.Database,
    private readonly path = `${db.name}-wal`,
  ) {
    // Only what was read is folded in: a log that began anew unseen would be lost to us.
    db.pragma("wal_autocheckpoint = 0");
  }

  /** As SQLite has it by itself. */
  release(): void {
    if (this.db.open) this.db.pragma("wal_autocheckpoint = 1000");
  }

  /** What was committed until now is not told. */
  skip(): void {
    this.read();
  }

  /** Something was committed since the last look. */
  get isBehind(): boolean {
    const file = openSync(this.path, "r");
    try {
      const header = readAt(file, 0, HEADER_BYTES);
      if (header.length < HEADER_BYTES) return false;
      const salts = saltsAt(header, AT.salts);
      const from = salts === this.salts ? this.at : HEADER_BYTES;
      const next = readAt(file, from, FRAME_HEADER_BYTES);
      return next.length === FRAME_HEADER_BYTES && saltsAt(next, FRAME.salts) === salts;
    } finally {
      closeSync(file);
    }
  }

  /** Undefined where nothing was committed since. */
  read(): ChangedPages | undefined {
    const log = readLog(this.path, this.at, this.salts);
    if (!log) return undefined;
    const { salts, pageSize, bytes, from } = log;
    this.salts = salts;
    const frameBytes = FRAME_HEADER_BYTES + pageSize;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const pages = new Map<number, Uint8Array>();
    let uncommitted: [number, Uint8Array][] = [];
    let databasePages = 0;
    this.at = from;
    for (let frame = 0; frame + frameBytes <= bytes.length; frame += frameBytes) {
      if (saltsAt(bytes, frame + FRAME.salts) !== salts) break; // of the log before
      const start = frame + FRAME_HEADER_BYTES;
      uncommitted.push([view.getUint32(frame + FRAME.page), bytes.slice(start, start + pageSize)]);
      const pagesNow = view.getUint32(frame + FRAME.databasePages);
      if (pagesNow === 0) continue;
      for (const [number, page] of uncommitted) pages.set(number, page);
      uncommitted = [];
      databasePages = pagesNow;
      this.at = from + frame + frameBytes;
    }
    if (this.at > CHECKPOINT_BYTES) this.db.pragma("wal_checkpoint(PASSIVE)");
    return pages.size > 0 ? { pageSize, databasePages, pages } : undefined;
  }
}

interface Log {
  readonly salts: string;
  readonly pageSize: number;
  /** Where `bytes` begin in the file. */
  readonly from: number;
  readonly bytes: Uint8Array;
}

/** From where the last look ended, or from the start of a log that began anew. */
function readLog(path: string, at: number, salts: string): Log | undefined {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    if (size < HEADER_BYTES) return undefined;
    const header = readAt(file, 0, HEADER_BYTES);
    const now = saltsAt(header, AT.salts);
    const from = now === salts ? at : HEADER_BYTES;
    const pageSize = new DataView(header.buffer).getUint32(AT.pageSize);
    return { salts: now, pageSize, from, bytes: readAt(file, from, Math.max(0, size - from)) };
  } finally {
    closeSync(file);
  }
}

function readAt(file: number, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const read = readSync(file, bytes, 0, length, position);
  return bytes.subarray(0, read);
}

function saltsAt(bytes: Uint8Array, at: number): string {
  return Buffer.from(bytes.subarray(at, at + 8)).toString("hex");
}
