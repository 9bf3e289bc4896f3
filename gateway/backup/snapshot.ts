/** A consistent, encrypted copy of the whole SQLite store, taken while the gateway runs and writes. */
import { closeSync, openSync, rmSync } from "node:fs";
import type Database from "better-sqlite3";
import { type BackupAbout, type StreamStart, sealFile } from "./backup-file.ts";

export interface SnapshotOptions {
  readonly db: Database.Database;
  readonly key: Uint8Array;
  readonly about: Omit<BackupAbout, "createdAtSeconds" | "stream">;
  /** The copy is made, and not sealed yet. */
  copied?(): StreamStart;
  /** Of the copy before it is sealed: in the data folder, its owner's alone, and gone afterwards. */
  readonly partPath: string;
  readonly path: string;
}

export interface Snapshot {
  readonly path: string;
  readonly bytes: number;
  readonly createdAtSeconds: number;
  readonly stream?: StreamStart | undefined;
}

/** Between two of these the gateway goes on with its work. */
const PAGES_PER_STEP = 256;

/**
 * SQLite's online backup, on the connection that holds the lock: what is committed meanwhile is in the copy too.
 * @throws BackupError "io"; the last snapshot then stands.
 */
export async function takeSnapshot(options: SnapshotOptions): Promise<Snapshot> {
  const { db, key, partPath, path } = options;
  dropPart(partPath);
  try {
    closeSync(openSync(partPath, "wx", 0o600));
    await db.backup(partPath, { progress: () => PAGES_PER_STEP });
    const stream = options.copied?.();
    const createdAtSeconds = Math.floor(Date.now() / 1_000);
    const about = { ...options.about, createdAtSeconds, stream };
    const bytes = await sealFile(key, about, { source: partPath, path });
    return { path, bytes, createdAtSeconds, stream };
  } finally {
    dropPart(partPath);
  }
}

/** What an interrupted one left behind. */
export function dropPart(partPath: string): void {
  for (const end of ["", "-journal", "-wal", "-shm"]) rmSync(`${partPath}${end}`, { force: true });
}
