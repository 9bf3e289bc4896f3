/** Why a call is not let through; `code` is stable, the sentence is for the person who made the call. */

/** Who calls is not known (HTTP's 401). */
export type UnknownCallerCode =
  | "no-macaroon"
  | "bad-macaroon"
  | "revoked"
  | "unknown-caveat"
  | "expired";

/** Who calls is known, and may not (HTTP's 403). */
export type ForbiddenCode = "not-permitted" | "wrong-device" | "wrong-address" | "over-limit";

export type AuthErrorCode =
  | UnknownCallerCode
  | ForbiddenCode
  /** HTTP's 429. */
  | "too-many-requests";

export class AuthError extends Error {
  override readonly name = "AuthError";
  constructor(
    readonly code: AuthErrorCode,
    message: string,
  ) {
    super(message);
  }
}
