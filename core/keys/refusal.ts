/** Why a signer did not give a signature or a secret; `tag` names the rule in docs/RULES.md. */
import type { SignerRefusal } from "../ports/signer.ts";

export type RefusalTag =
  | "secret-after-successor-stored"
  | "no-conflicting-signature"
  | "never-broadcast-revoked"
  | "cold-payout";

export class SignerRefusalError extends Error implements SignerRefusal {
  override readonly name = "SignerRefusalError";
  constructor(
    readonly tag: RefusalTag,
    message: string,
  ) {
    super(`${tag}: ${message}`);
  }
}
