/** The error of everything about backups: what went wrong, with which file, and what the person can do. */

export type BackupErrorCode =
  | "missing"
  /** No backup, cut short, or changed. */
  | "damaged"
  /** Made under the seed of another node. */
  | "wrong-seed"
  | "newer-format"
  /** Of another network, or for another place than the rest. */
  | "does-not-fit"
  | "too-large"
  /** Something stands where the restored store would be written. */
  | "exists"
  | "unsupported"
  | "io";

export class BackupError extends Error {
  override readonly name = "BackupError";
  constructor(
    readonly code: BackupErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
