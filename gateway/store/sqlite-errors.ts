/** SQLite's result codes as StoreErrors that say what to do (sqlite.org/rescode.html). */
import { StoreError } from "../../core/node/store-error.ts";

/** The StoreError for whatever SQLite threw while working on `path`. */
export function storeErrorOf(error: unknown, path: string): StoreError {
  if (error instanceof StoreError) return error;
  const code = String((error as { code?: unknown } | undefined)?.code ?? "");
  const options = { cause: error };
  if (code === "SQLITE_FULL") {
    const message = `No space left to write ${path}: free some, the channels go on by themselves.`;
    return new StoreError("full", message, options);
  }
  if (code.startsWith("SQLITE_READONLY") || code === "SQLITE_PERM" || code === "SQLITE_AUTH") {
    const message = `${path} cannot be written: check its owner, its mode and how it is mounted.`;
    return new StoreError("read-only", message, options);
  }
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) {
    const message = `${path} is in use by another process: stop that one, or use another file.`;
    return new StoreError("locked", message, options);
  }
  if (code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB") {
    const message =
      `${path} is damaged or not a database. Keep a copy of it, restore the newest backup, and ` +
      "start: channels that the backup holds in an older state will ask their peers to close.";
    return new StoreError("corrupt", message, options);
  }
  if (code.startsWith("SQLITE_CANTOPEN")) {
    const message = `${path} cannot be opened: does its folder exist, and may we write there?`;
    return new StoreError("io", message, options);
  }
  if (code === "SQLITE_TOOBIG") {
    return new StoreError("too-large", `A value is too large for ${path}.`, options);
  }
  const message =
    `Writing ${path} failed (${code || String(error)}). Look at the disk; the store is shut ` +
    "until the program is started again.";
  return new StoreError("io", message, options);
}
