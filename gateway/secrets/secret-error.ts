/** The error of everything that keeps secrets: what went wrong, with what, and what the person can do. */

export type SecretErrorCode =
  | "missing"
  | "exists"
  /** Others than its owner may read it. */
  | "open-to-others"
  | "wrong-passphrase"
  | "wrong-key-file"
  /** Nobody gave a passphrase or key file. */
  | "locked"
  | "damaged"
  | "newer-format"
  | "weak-passphrase"
  | "not-words"
  | "no-words"
  | "io";

export class SecretError extends Error {
  override readonly name = "SecretError";
  constructor(
    readonly code: SecretErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
