/**
 * A few secret bytes under a passphrase (scrypt, RFC 7914) or a key file (HKDF, RFC 5869), by XChaCha20-Poly1305.
 *
 * `"PBSEALED" | version 1 | lock | log2 N | r | p | salt 32 | nonce 24 | ciphertext and tag | checksum 8`.
 * lock is 1 for scrypt, 2 for a key file (N, r and p are then 0). What stands before the ciphertext is
 * authenticated with it. The checksum is SHA-256's first bytes over all before it: it tells a damaged file
 * from a wrong passphrase, and guards against nobody.
 */
import { createHash, hkdfSync, randomBytes, scrypt } from "node:crypto";
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ascii, concat, equal, wipe } from "../../core/primitives/bytes.ts";
import { assert, unreachable } from "../../core/primitives/errors.ts";
import { SecretError } from "./secret-error.ts";

export interface ScryptCost {
  /** N = 2^logN; memory is 128 · N · r bytes. */
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

export type Lock =
  | { readonly type: "passphrase"; readonly passphrase: string; readonly cost?: ScryptCost }
  | { readonly type: "key-file"; readonly key: Uint8Array };

export type LockType = Lock["type"];

/** 128 MiB, and half a second of a small computer. */
export const SCRYPT_COST: ScryptCost = { logN: 17, r: 8, p: 1 };
export const KEY_FILE_BYTES = 32;
export const MAX_SEALED_BYTES = 4096;
/** Fewer characters are refused for a new lock. */
export const MIN_PASSPHRASE = 8;
const MAX_PASSPHRASE = 1024;

const MAGIC = "PBSEALED";
const VERSION = 1;
const LOCKS = { passphrase: 1, "key-file": 2 } as const;
const SALT_BYTES = 32;
const NONCE_BYTES = 24;
const TAG_BYTES = 16;
const CHECKSUM_BYTES = 8;
const AT = { version: 8, lock: 9, cost: 10, salt: 13, nonce: 45, ciphertext: 69 } as const;
const KEY_BYTES = 32;
/** What is read in a file may cost no more than this: it need not be ours. */
const BOUNDS = { minLogN: 10, maxLogN: 20, maxR: 16, maxP: 4, maxMemory: 1 << 30 } as const;

export async function seal(secret: Uint8Array, lock: Lock): Promise<Uint8Array> {
  const cost = lock.type === "passphrase" ? (lock.cost ?? SCRYPT_COST) : { logN: 0, r: 0, p: 0 };
  if (lock.type === "passphrase") {
    assert(isBounded(cost), "scrypt cost out of bounds");
    checkNewPassphrase(lock.passphrase);
  }
  const header = concat(
    ascii(MAGIC),
    Uint8Array.of(VERSION, LOCKS[lock.type], cost.logN, cost.r, cost.p),
    randomBytes(SALT_BYTES),
    randomBytes(NONCE_BYTES),
  );
  const key = await keyOf(header, lock);
  const body = concat(header, cipher(key, header).encrypt(secret));
  wipe(key);
  assert(body.length + CHECKSUM_BYTES <= MAX_SEALED_BYTES, "too much to seal");
  return concat(body, checksum(body));
}

/**
 * `path` is named in errors.
 * @throws SecretError "wrong-passphrase", "wrong-key-file", "damaged", "newer-format".
 */
export async function unseal(sealed: Uint8Array, lock: Lock, path: string): Promise<Uint8Array> {
  const type = lockOf(sealed, path);
  assert(lock.type === type, `${path} is locked by a ${type}`);
  const header = sealed.subarray(0, AT.ciphertext);
  const key = await keyOf(header, lock);
  try {
    return cipher(key, header).decrypt(sealed.subarray(AT.ciphertext, -CHECKSUM_BYTES));
  } catch {
    throw lock.type === "passphrase"
      ? new SecretError("wrong-passphrase", `that is not the passphrase of ${path}: try again.`)
      : new SecretError("wrong-key-file", `that is not the key file of ${path}.`);
  } finally {
    wipe(key);
  }
}

export function isSealed(bytes: Uint8Array): boolean {
  return equal(bytes.subarray(0, AT.version), ascii(MAGIC));
}

/** What opens it; @throws SecretError "damaged", "newer-format". */
export function lockOf(sealed: Uint8Array, path: string): LockType {
  const smallest = AT.ciphertext + TAG_BYTES + CHECKSUM_BYTES;
  if (sealed.length < smallest || sealed.length > MAX_SEALED_BYTES || !isSealed(sealed)) {
    throw damaged(path);
  }
  const body = sealed.subarray(0, -CHECKSUM_BYTES);
  if (!equal(checksum(body), sealed.subarray(-CHECKSUM_BYTES))) throw damaged(path);
  if ((sealed[AT.version] as number) > VERSION) {
    throw new SecretError(
      "newer-format",
      `${path} was written by a newer picobolt: start that one.`,
    );
  }
  const lock = sealed[AT.lock];
  if (sealed[AT.version] !== VERSION) throw damaged(path);
  if (lock === LOCKS["key-file"]) return "key-file";
  if (lock === LOCKS.passphrase && isBounded(costOf(sealed))) return "passphrase";
  throw damaged(path);
}

/** @throws SecretError "weak-passphrase". */
export function checkNewPassphrase(passphrase: string): void {
  const length = [...passphrase].length;
  if (length >= MIN_PASSPHRASE && length <= MAX_PASSPHRASE) return;
  const message = `the passphrase has ${length} characters: it must have ${MIN_PASSPHRASE} to ${MAX_PASSPHRASE}; a few words in a row are a good one.`;
  throw new SecretError("weak-passphrase", message);
}

function costOf(sealed: Uint8Array): ScryptCost {
  const [logN, r, p] = sealed.subarray(AT.cost, AT.salt);
  return { logN: logN as number, r: r as number, p: p as number };
}

function isBounded({ logN, r, p }: ScryptCost): boolean {
  return (
    logN >= BOUNDS.minLogN &&
    logN <= BOUNDS.maxLogN &&
    r >= 1 &&
    r <= BOUNDS.maxR &&
    p >= 1 &&
    p <= BOUNDS.maxP &&
    128 * 2 ** logN * r <= BOUNDS.maxMemory
  );
}

function keyOf(header: Uint8Array, lock: Lock): Promise<Uint8Array> {
  const salt = header.subarray(AT.salt, AT.nonce);
  switch (lock.type) {
    case "passphrase":
      return stretched(lock.passphrase, salt, costOf(header));
    case "key-file":
      assert(lock.key.length === KEY_FILE_BYTES, "a key file holds 32 bytes");
      return Promise.resolve(
        new Uint8Array(hkdfSync("sha256", lock.key, salt, "picobolt key file", KEY_BYTES)),
      );
    default:
      return unreachable(lock);
  }
}

/** Typed the same on every keyboard and system: Unicode's NFKC. */
function stretched(passphrase: string, salt: Uint8Array, cost: ScryptCost): Promise<Uint8Array> {
  const N = 2 ** cost.logN;
  const options = { N, r: cost.r, p: cost.p, maxmem: 128 * N * cost.r + (1 << 20) };
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize("NFKC"), salt, KEY_BYTES, options, (error, key) =>
      error ? reject(error) : resolve(new Uint8Array(key)),
    );
  });
}

function cipher(key: Uint8Array, header: Uint8Array) {
  return xchacha20poly1305(key, header.slice(AT.nonce, AT.ciphertext), header);
}

function checksum(body: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(body).digest()).subarray(0, CHECKSUM_BYTES);
}

function damaged(path: string): SecretError {
  const message = `${path} is damaged, or no sealed file: restore it from a copy, or make it anew from the words.`;
  return new SecretError("damaged", message);
}
