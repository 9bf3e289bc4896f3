/** Files that only their owner may read: written whole or not at all, and durable before anyone builds on them. */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { SecretError } from "./secret-error.ts";

const OTHERS = 0o077;
const PRIVATE = 0o600;
const PRIVATE_FOLDER = 0o700;

/**
 * The whole file, of at most `maxBytes`.
 * @throws SecretError "missing", "open-to-others", "damaged" where it is longer, "io".
 */
export function readPrivate(path: string, maxBytes: number): Uint8Array {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") throw new SecretError("missing", `there is no ${path}.`);
    throw ioError("read", path, cause);
  }
  try {
    const { mode, size } = fstatSync(file);
    if (process.platform !== "win32" && mode & OTHERS) {
      const message = `${path} can be read by others: chmod 600 ${path}, and replace what is in it if they may have.`;
      throw new SecretError("open-to-others", message);
    }
    if (size > maxBytes) {
      const message = `${path} has ${size} bytes, more than the ${maxBytes} it can have: is it the right file?`;
      throw new SecretError("damaged", message);
    }
    const bytes = new Uint8Array(size);
    let length = 0;
    while (length < size) {
      const count = readSync(file, bytes, length, size - length, null);
      if (count === 0) break;
      length += count;
    }
    return bytes.subarray(0, length);
  } catch (cause) {
    if (cause instanceof SecretError) throw cause;
    throw ioError("read", path, cause);
  } finally {
    closeSync(file);
  }
}

/** A new file; @throws SecretError "exists" where there is one: a secret is never written over by chance. */
export function createPrivate(path: string, bytes: Uint8Array): void {
  if (existsSync(path)) throw alreadyThere(path);
  written(path, bytes, (whole) => {
    try {
      linkSync(whole, path);
    } catch (cause) {
      if (codeOf(cause) === "EEXIST") throw alreadyThere(path);
      // A file system without hard links, such as FAT.
      renameSync(whole, path);
    }
  });
}

/** In the place of the old one, which stands until the new one is durable. */
export function replacePrivate(path: string, bytes: Uint8Array): void {
  written(path, bytes, (whole) => renameSync(whole, path));
}

/** The name in its folder reaches the disk too. */
export function syncFolder(folder: string): void {
  if (process.platform === "win32") return; // a folder cannot be opened there
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function written(path: string, bytes: Uint8Array, place: (whole: string) => void): void {
  const folder = dirname(path);
  const whole = `${path}.${randomBytes(6).toString("hex")}.new`;
  try {
    mkdirSync(folder, { recursive: true, mode: PRIVATE_FOLDER });
    const file = openSync(whole, "wx", PRIVATE);
    try {
      let at = 0;
      while (at < bytes.length) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    place(whole);
    syncFolder(folder);
  } catch (cause) {
    if (cause instanceof SecretError) throw cause;
    throw ioError("write", path, cause);
  } finally {
    rmSync(whole, { force: true });
  }
}

function alreadyThere(path: string): SecretError {
  const message = `${path} is there already: nothing was written; move it away, or choose another place.`;
  return new SecretError("exists", message);
}

function ioError(what: string, path: string, cause: unknown): SecretError {
  const message = `cannot ${what} ${path} (${codeOf(cause) ?? String(cause)}): check the disk and who owns the folder.`;
  return new SecretError("io", message, { cause });
}

function codeOf(cause: unknown): string | undefined {
  return (cause as NodeJS.ErrnoException).code;
}
