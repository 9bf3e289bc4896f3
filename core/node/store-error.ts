/** The error of every durable Store: what went wrong, with what, and what the person can do (STYLE 19). */

export type StoreErrorCode =
  | "full"
  | "read-only"
  | "locked"
  | "newer-format"
  | "foreign"
  | "corrupt"
  | "too-large"
  | "io"
  /** Another process took over what was to be written. */
  | "fenced"
  | "closed";

export class StoreError extends Error {
  override readonly name = "StoreError";
  constructor(
    readonly code: StoreErrorCode,
    message: string,
    options?: { readonly cause: unknown },
  ) {
    super(message, options);
  }
}
