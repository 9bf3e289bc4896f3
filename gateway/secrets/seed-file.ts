/** The file a node's seed is kept in: sealed by a passphrase or a key file, or plain where that was asked for. */
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { NodeSecret } from "./node-secret.ts";
import { createPrivate, readPrivate, replacePrivate } from "./private-file.ts";
import {
  isSealed,
  type Lock,
  type LockType,
  lockOf,
  MAX_SEALED_BYTES,
  seal,
  unseal,
} from "./sealed.ts";
import { SecretError } from "./secret-error.ts";
import { type UnlockSources, unlockBy } from "./unlock.ts";

/** Only where a person asked for it: whoever reads the file has the money. */
export interface Unlocked {
  readonly type: "plain";
}

export type SeedLock = Lock | Unlocked;

export interface OpenSeed {
  readonly secret: NodeSecret;
  readonly lockedBy: LockType | "plain";
  /** To be shown to the operator at every start. */
  readonly warning: string | undefined;
}

/** @throws SecretError "exists", "weak-passphrase", "io". */
export async function createSeedFile(
  path: string,
  secret: NodeSecret,
  lock: SeedLock,
): Promise<void> {
  createPrivate(path, await contentOf(secret, lock));
}

/** @throws SecretError: "missing", "open-to-others", "damaged", "locked", "wrong-passphrase", "wrong-key-file", … */
export async function openSeedFile(path: string, sources: UnlockSources): Promise<OpenSeed> {
  const content = readPrivate(path, MAX_SEALED_BYTES);
  if (!isSealed(content)) {
    return { secret: plainSecret(content, path), lockedBy: "plain", warning: plainWarning(path) };
  }
  const lockedBy = lockOf(content, path);
  const lock = await unlockBy(lockedBy, path, sources);
  const secret = NodeSecret.decode(await unseal(content, lock, path), path);
  return { secret, lockedBy, warning: undefined };
}

/** Another passphrase, a key file instead, …; the old file stands until the new one is durable. */
export async function relockSeedFile(path: string, open: OpenSeed, lock: SeedLock): Promise<void> {
  replacePrivate(path, await contentOf(open.secret, lock));
}

/** What opens the file; @throws SecretError "missing", "open-to-others", "damaged", "newer-format". */
export function seedLockOf(path: string): LockType | "plain" {
  const content = readPrivate(path, MAX_SEALED_BYTES);
  if (isSealed(content)) return lockOf(content, path);
  plainSecret(content, path);
  return "plain";
}

export function plainWarning(path: string): string {
  return `the seed in ${path} is not encrypted: whoever reads that file, or a copy of it, can take all the money; picobolt seed passphrase locks it.`;
}

async function contentOf(secret: NodeSecret, lock: SeedLock): Promise<Uint8Array> {
  if (lock.type === "plain")
    return Buffer.from(`${secret.words() ?? toHex(secret.encode().slice(1))}\n`);
  return seal(secret.encode(), lock);
}

/** 64 hexadecimal digits, or words. */
function plainSecret(content: Uint8Array, path: string): NodeSecret {
  const text = Buffer.from(content).toString("latin1").trim();
  if (/^[0-9a-f]{64}$/i.test(text)) return NodeSecret.fromSeed(fromHex(text));
  if (/^[a-z]+( [a-z]+){11,23}$/.test(text)) return NodeSecret.fromWords(text);
  const message = `${path} is damaged, or no seed file: restore it from a copy, or make it anew from the words.`;
  throw new SecretError("damaged", message);
}
