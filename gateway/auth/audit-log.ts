/**
 * Who did what, and how it ended: JSON lines that are only appended to, each with the SHA-256 of the line before it,
 * so that a line that was changed, removed or put in shows (audit-check.ts). Fields are fixed and short: bodies,
 * macaroons and preimages have no place in them. One process writes: the gateway.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { syncFolder } from "../secrets/private-file.ts";

export interface AuditEntry {
  /** The macaroon's id and its root key's name; "operator" at the command line; "" where nobody is known. */
  readonly who: string;
  /** An address; "" on a local socket. */
  readonly from: string;
  /** The operation. */
  readonly what: string;
  /** To which channel, device, invoice, …; an id. */
  readonly target?: string;
  readonly amountMsat?: number;
  /** "done", or the code of the error. */
  readonly outcome: string;
}

export interface AuditLine extends AuditEntry {
  /** Counts all lines, from 1, across files. */
  readonly number: number;
  /** RFC 3339. */
  readonly at: string;
  /** SHA-256 of the line before, without its line feed, in hexadecimal; zeros for the first. */
  readonly previous: string;
}

export interface AuditLogOptions {
  readonly folder: string;
  readonly nowMs: () => number;
  /** A file that has more gets a number, and a new one is begun. */
  readonly maxFileBytes?: number;
  /** What was written is on the disk when it calls back; default: fdatasync. */
  readonly sync?: (file: number, done: (failure: Error | null) => void) => void;
}

export const AUDIT_FILE = "audit.jsonl";
export const FIRST_PREVIOUS = "0".repeat(64);
/** All fields at their longest, and each character escaped. */
export const MAX_LINE_BYTES = 8192;
const MAX_FILE_BYTES = 16 << 20;
const MAX_TEXT = 200;

export class AuditLog {
  private file: number;
  private size: number;
  private number: number;
  private previous: string;
  private rotations = 0;
  /** Of what was recorded until it began. */
  private syncing: Promise<void> = Promise.resolve();
  /** The one after it, which has not begun. */
  private next: Promise<void> | undefined;

  /** Goes on where the last one ended; a line that a power cut tore is cut off, and that is a line itself. */
  constructor(private readonly options: AuditLogOptions) {
    const { folder } = options;
    const path = join(folder, AUDIT_FILE);
    const isNew = !existsSync(path);
    this.file = openSync(path, "a+", 0o600);
    if (isNew) syncFolder(folder);
    const content = readFileSync(path);
    const whole = content.lastIndexOf(10) + 1;
    const torn = content.length - whole;
    if (torn > 0) ftruncateSync(this.file, whole);
    this.size = whole;
    const last = lastLine(content.subarray(0, whole)) ?? lastOfRotated(folder);
    this.number = last === undefined ? 0 : numberOf(last, path);
    this.previous = last === undefined ? FIRST_PREVIOUS : hashOf(last);
    if (torn > 0) {
      this.record({ who: "", from: "", what: "audit.torn-line", outcome: `${torn} bytes cut off` });
    }
  }

  /**
   * Of the last line: noted elsewhere, it shows later that the end of the log was not cut off either.
   */
  get head(): { readonly number: number; readonly hash: string } {
    return { number: this.number, hash: this.previous };
  }

  /** Written when it returns; `durable` is for what moves money or rights. */
  record(entry: AuditEntry): void {
    const { folder, nowMs, maxFileBytes = MAX_FILE_BYTES } = this.options;
    const line = JSON.stringify({
      number: this.number + 1,
      at: new Date(nowMs()).toISOString(),
      who: short(entry.who),
      from: short(entry.from),
      what: short(entry.what),
      ...(entry.target !== undefined && { target: short(entry.target) }),
      ...(entry.amountMsat !== undefined && { amountMsat: entry.amountMsat }),
      outcome: short(entry.outcome),
      previous: this.previous,
    } satisfies AuditLine);
    const bytes = Buffer.from(`${line}\n`);
    if (this.size > 0 && this.size + bytes.length > maxFileBytes) this.rotate(folder);
    this.append(bytes);
    this.number++;
    this.previous = hashOf(line);
  }

  /** When it is fulfilled, all that was recorded before the call is on the disk: calls of one moment share one wait for it. */
  durable(): Promise<void> {
    this.next ??= this.syncing.then(() => {
      this.next = undefined;
      const { file, rotations } = this;
      const { sync = fdatasync } = this.options;
      const synced = new Promise<void>((resolve, reject) => {
        sync(file, (failure) => {
          // Rotated away meanwhile: it was synced before it was closed.
          if (failure && rotations === this.rotations) reject(failure);
          else resolve();
        });
      });
      this.syncing = synced.catch(() => {});
      return synced;
    });
    return this.next;
  }

  /** After what was asked to be durable. */
  async close(): Promise<void> {
    await this.next?.catch(() => {});
    await this.syncing;
    fdatasyncSync(this.file);
    closeSync(this.file);
  }

  /** All or nothing: half a line would make the next one wrong. */
  private append(bytes: Uint8Array): void {
    try {
      let at = 0;
      while (at < bytes.length) at += writeSync(this.file, bytes, at);
      this.size += bytes.length;
    } catch (cause) {
      if (fstatSync(this.file).size > this.size) ftruncateSync(this.file, this.size);
      throw cause;
    }
  }

  private rotate(folder: string): void {
    fdatasyncSync(this.file);
    closeSync(this.file);
    renameSync(join(folder, AUDIT_FILE), join(folder, rotatedName(this.number)));
    this.file = openSync(join(folder, AUDIT_FILE), "ax", 0o600);
    this.size = 0;
    this.rotations++;
    syncFolder(folder);
  }
}

/** The files of a folder, the oldest first; older ones may have been moved away. */
export function auditFiles(folder: string): readonly string[] {
  const rotated = readdirSync(folder)
    .filter((name) => /^audit-\d{12}\.jsonl$/.test(name))
    .sort();
  return existsSync(join(folder, AUDIT_FILE)) ? [...rotated, AUDIT_FILE] : rotated;
}

export function hashOf(line: string): string {
  return createHash("sha256").update(line).digest("hex");
}

/** After its last line's number, so that names sort by age. */
function rotatedName(lastNumber: number): string {
  return `audit-${String(lastNumber).padStart(12, "0")}.jsonl`;
}

function lastOfRotated(folder: string): string | undefined {
  const rotated = auditFiles(folder).filter((name) => name !== AUDIT_FILE);
  const newest = rotated.at(-1);
  return newest === undefined ? undefined : lastLine(readFileSync(join(folder, newest)));
}

function lastLine(content: Uint8Array): string | undefined {
  return Buffer.from(content).toString("utf8").split("\n").at(-2);
}

function numberOf(line: string, path: string): number {
  try {
    const { number } = JSON.parse(line) as Partial<AuditLine>;
    if (Number.isSafeInteger(number)) return number as number;
  } catch {
    // the sentence below
  }
  throw new Error(
    `the last line of ${path} is damaged: move the file away, and keep it as evidence`,
  );
}

function short(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}
