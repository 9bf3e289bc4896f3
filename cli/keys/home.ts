/** Secrets of the person at this machine: the owner's key, a wallet's seed, a release key; 32 bytes each, in files that only they may read. */
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { EXIT, Failure } from "../failure.ts";

const SECRET_BYTES = 32;
const OTHERS = 0o077;

/** Made where there is none yet; `isNew` says so. */
export function secretIn(file: string): { readonly secret: Uint8Array; readonly isNew: boolean } {
  if (existsSync(file)) return { secret: readSecret(file), isNew: false };
  const secret = new Uint8Array(randomBytes(SECRET_BYTES));
  keepSecret(file, secret);
  return { secret, isNew: true };
}

/** Where there is none yet. */
export function keepSecret(file: string, secret: Uint8Array): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, `${Buffer.from(secret).toString("hex")}\n`, { mode: 0o600, flag: "wx" });
}

/** Throws where it is no secret, or where others may read it. */
export function readSecret(file: string): Uint8Array {
  if (!existsSync(file)) throw new Failure(`there is no key at ${file}`, EXIT.refused);
  if (process.platform !== "win32" && statSync(file).mode & OTHERS) {
    throw new Failure(
      `the key ${file} can be read by others; chmod 600 ${file}, and make a new one if they may have`,
      EXIT.refused,
    );
  }
  const text = readFileSync(file, "utf8").trim();
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new Failure(`${file} is no key: it must hold 64 hexadecimal digits`, EXIT.refused);
  }
  return new Uint8Array(Buffer.from(text, "hex"));
}

export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (process.platform !== "win32" && statSync(folder).mode & OTHERS) chmodSync(folder, 0o700);
}
