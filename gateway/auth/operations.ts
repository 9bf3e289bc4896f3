/** What a caller may ask for: operations by name, in the groups that macaroons permit. */
import type { PublicKey } from "../../core/primitives/brands.ts";

/**
 * read: look at anything but secrets · invoice: make and watch invoices · pay: send money ·
 * channel: open and close channels, peers, the wallet on chain · device: administer devices ·
 * admin: macaroons, backups, the gateway itself.
 */
export type OperationGroup = "read" | "invoice" | "pay" | "channel" | "device" | "admin";

export const OPERATION_GROUPS: readonly OperationGroup[] = [
  "read",
  "invoice",
  "pay",
  "channel",
  "device",
  "admin",
];

export interface Operation {
  /** Such as "createInvoice"; letters, digits, dots and dashes, and not the name of a group. */
  readonly name: string;
  readonly group: OperationGroup;
  /** The device that it is about, where it is about one. */
  readonly device?: PublicKey;
}

const NAME = "[a-zA-Z][a-zA-Z0-9._-]{0,63}";

export function isOperationName(word: string): boolean {
  return new RegExp(`^${NAME}$`).test(word);
}
