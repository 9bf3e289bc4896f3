/** The folder of one gateway: its owner's alone, and in use by one process at a time. */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/** Another process has it; the message says which. */
export class DataDirInUse extends Error {
  override readonly name = "DataDirInUse";
}

export interface DataDir {
  readonly path: string;
  /** Of a file in it. */
  at(name: string): string;
  release(): void;
}

const LOCK_FILE = "gateway.pid";

/** Made where it is missing, with mode 700; throws where it cannot be, or where a gateway runs on it. */
export function openDataDir(path: string): DataDir {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Error(`data_dir ${path} cannot be made (${code}): choose another (DATA_DIR)`);
  }
  const isOthers = (statSync(path).mode & 0o077) !== 0;
  if (isOthers) chmodSync(path, 0o700);
  const lock = join(path, LOCK_FILE);
  takeLock(path, lock);
  return {
    path,
    at: (name) => join(path, name),
    release: () => rmSync(lock, { force: true }),
  };
}

/** The process that runs a gateway on that folder now. */
export function runningOn(path: string): number | undefined {
  const lock = join(path, LOCK_FILE);
  const owner = existsSync(lock) ? Number(readFileSync(lock, "utf8")) : 0;
  return owner === process.pid || isRunning(owner) ? owner : undefined;
}

/** A lock of a process that is gone is taken over; the store's own lock stands behind this one. */
function takeLock(path: string, lock: string): void {
  for (const attempt of [1, 2]) {
    try {
      const file = openSync(lock, "wx", 0o600);
      writeSync(file, `${process.pid}\n`);
      closeSync(file);
      return;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    }
    const owner = Number(readFileSync(lock, "utf8"));
    if (attempt === 2 || isRunning(owner)) {
      throw new DataDirInUse(
        `a gateway runs on ${path} already (process ${owner}): stop it first, or give this one a ` +
          "data_dir of its own (DATA_DIR)",
      );
    }
    rmSync(lock, { force: true });
  }
}

function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM";
  }
}
