/** An owner's backup of a device: settings and where its channels are, sealed to the owner's key (docs/ADMIN.md "Backup"). */
import type { Crypto, Entropy } from "../ports/crypto.ts";
import { type PublicKey, publicKey, type SecretKey } from "../primitives/brands.ts";
import { ascii, concat, wipe } from "../primitives/bytes.ts";
import { demand } from "../primitives/errors.ts";

/** Ephemeral key, and the tag of the cipher. */
export const BACKUP_OVERHEAD_BYTES = 33 + 16;
const DOMAIN = "picobolt/backup/1";
const NONCE_BYTES = 12;

export function sealBackup(
  crypto: Crypto,
  entropy: Entropy,
  owner: PublicKey,
  content: Uint8Array,
): Uint8Array {
  let ephemeral = entropy.random(32);
  while (!crypto.isSecretKey(ephemeral)) ephemeral = entropy.random(32);
  const secret = ephemeral as SecretKey;
  const point = crypto.publicKeyOf(secret);
  const key = keyOf(crypto, crypto.ecdh(secret, owner), point);
  wipe(ephemeral);
  // The key is used once.
  const sealed = crypto.encrypt(key, new Uint8Array(NONCE_BYTES), point, content);
  wipe(key);
  return concat(point, sealed);
}

/** @throws ProtocolViolation `backup` where it is damaged, or another owner's. */
export function unsealBackup(crypto: Crypto, owner: SecretKey, backup: Uint8Array): Uint8Array {
  const point = backup.slice(0, 33);
  const isOne = backup.length > BACKUP_OVERHEAD_BYTES && crypto.isPublicKey(point);
  demand(isOne, "backup", "this is no backup");
  const key = keyOf(crypto, crypto.ecdh(owner, publicKey(point)), point);
  const content = crypto.decrypt(key, new Uint8Array(NONCE_BYTES), point, backup.slice(33));
  wipe(key);
  demand(content, "backup", "it is damaged, or another owner's key opens it");
  return content;
}

function keyOf(crypto: Crypto, shared: Uint8Array, point: Uint8Array): Uint8Array {
  const key = crypto.sha256(concat(ascii(DOMAIN), shared, point));
  wipe(shared);
  return key;
}
