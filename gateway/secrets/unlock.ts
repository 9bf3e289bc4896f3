/** Where the passphrase or key file of a sealed file comes from: an option, the environment, systemd, or a person. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { createPrivate, readPrivate } from "./private-file.ts";
import { KEY_FILE_BYTES, type Lock, type LockType } from "./sealed.ts";
import { SecretError } from "./secret-error.ts";

export interface UnlockSources {
  /** Path of a file that holds the passphrase. */
  readonly passphraseFile?: string;
  /** Path of a key file. */
  readonly keyFile?: string;
  /** `PICOBOLT_PASSPHRASE`, `PICOBOLT_KEY_FILE`, and systemd's `CREDENTIALS_DIRECTORY`. */
  readonly env: Record<string, string | undefined>;
  /** Asks the person, where there is one. */
  readonly ask?: (question: string) => Promise<string>;
}

/** `LoadCredentialEncrypted=` of a unit names them so. */
export const CREDENTIALS = {
  passphrase: "picobolt-passphrase",
  "key-file": "picobolt-key",
} as const;

const MAX_KEY_FILE_BYTES = 256;
const MAX_PASSPHRASE_FILE_BYTES = 8192;

/** @throws SecretError "locked" where nobody gives it, and what reading a key file throws. */
export async function unlockBy(
  type: LockType,
  path: string,
  sources: UnlockSources,
): Promise<Lock> {
  const { env, ask } = sources;
  if (type === "key-file") {
    const keyFile = sources.keyFile ?? env.PICOBOLT_KEY_FILE;
    if (keyFile) return { type, key: readKeyFile(keyFile) };
    const credential = credentialIn(env, type);
    if (credential) return { type, key: keyIn(credential, CREDENTIALS[type]) };
    const message = `${path} is locked by a key file: give it with --key-file, PICOBOLT_KEY_FILE or systemd's credential ${CREDENTIALS[type]}.`;
    throw new SecretError("locked", message);
  }
  const passphrase =
    fileText(sources.passphraseFile) ??
    givenPassphrase(env) ??
    (await ask?.(`passphrase of ${path}: `));
  if (passphrase) return { type, passphrase };
  const message = `${path} is locked by a passphrase: give it in PICOBOLT_PASSPHRASE, as systemd's credential ${CREDENTIALS[type]}, or at the terminal.`;
  throw new SecretError("locked", message);
}

/** From the environment or systemd: no person is asked. */
export function givenPassphrase(env: UnlockSources["env"]): string | undefined {
  // An empty variable is one that somebody cleared.
  return env.PICOBOLT_PASSPHRASE || credentialIn(env, "passphrase")?.replace(/\r?\n$/, "");
}

/** Made new, of mode 600; @throws SecretError "exists". */
export function createKeyFile(path: string): Uint8Array {
  const key = new Uint8Array(randomBytes(KEY_FILE_BYTES));
  createPrivate(path, Buffer.from(`${toHex(key)}\n`));
  return key;
}

/** @throws SecretError "missing", "open-to-others", "damaged". */
export function readKeyFile(path: string): Uint8Array {
  return keyIn(Buffer.from(readPrivate(path, MAX_KEY_FILE_BYTES)).toString("latin1"), path);
}

/** Of a file that holds a passphrase; undefined where none is named. */
export function fileText(path: string | undefined): string | undefined {
  if (!path) return undefined;
  const bytes = readPrivate(path, MAX_PASSPHRASE_FILE_BYTES);
  return Buffer.from(bytes)
    .toString("utf8")
    .replace(/\r?\n$/, "");
}

function keyIn(text: string, path: string): Uint8Array {
  const digits = text.trim();
  if (/^[0-9a-f]{64}$/i.test(digits)) return fromHex(digits);
  throw new SecretError("damaged", `${path} is no key file: it must hold 64 hexadecimal digits.`);
}

/** Its mode is systemd's business: an access list may show there as bits for the group. */
function credentialIn(env: UnlockSources["env"], type: LockType): string | undefined {
  if (!env.CREDENTIALS_DIRECTORY) return undefined;
  try {
    return readFileSync(join(env.CREDENTIALS_DIRECTORY, CREDENTIALS[type]), "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    const message = `systemd's credential ${CREDENTIALS[type]} cannot be read (${(cause as NodeJS.ErrnoException).code}).`;
    throw new SecretError("io", message, { cause });
  }
}
