/** What an owner reads in a device's backup (docs/ADMIN.md "Backup"). */
import { decodePlain, type PlainObject } from "../../core/messages/admin-values.ts";
import { unsealBackup } from "../../core/messages/backup.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { SecretKey } from "../../core/primitives/brands.ts";
import { demand } from "../../core/primitives/errors.ts";

export interface BackupContent {
  readonly version: number;
  readonly nodeId: Uint8Array;
  /** As `claim` takes them. */
  readonly settings: PlainObject;
  readonly channels: readonly BackupChannel[];
}

/** Enough to find the money: whom to ask for a close, which output funded it, which child of the payout key is paid. */
export interface BackupChannel {
  readonly peer: Uint8Array;
  readonly fundingTxid: Uint8Array;
  readonly fundingVout: number;
  readonly keyIndex: number;
  readonly capacitySat: number;
}

/** @throws ProtocolViolation where it is damaged, or another owner's. */
export function openBackup(crypto: Crypto, owner: SecretKey, backup: Uint8Array): BackupContent {
  const content = decodePlain(unsealBackup(crypto, owner, backup)) as unknown as BackupContent;
  demand(content.version === 1, "backup", "it was made by a newer firmware");
  return content;
}
