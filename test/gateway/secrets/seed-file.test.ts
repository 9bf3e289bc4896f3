/** The seed's file: who can open it, what is told of a wrong passphrase and of damage, and that nothing is lost. */
import { createHash } from "node:crypto";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { scrypt } from "@noble/hashes/scrypt.js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nobleCrypto } from "../../../core/crypto/noble.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { NodeSecret } from "../../../gateway/secrets/node-secret.ts";
import type { Lock, ScryptCost } from "../../../gateway/secrets/sealed.ts";
import {
  createSeedFile,
  openSeedFile,
  relockSeedFile,
  seedLockOf,
} from "../../../gateway/secrets/seed-file.ts";
import { createKeyFile } from "../../../gateway/secrets/unlock.ts";

const CHEAP: ScryptCost = { logN: 10, r: 8, p: 1 };
const FORMAT_1 =
  "50425345414c454401010a08012bb1f4e25ab2cdeabfba08011ad1fc843b32937a5b7f35adb37949355304bf0047c6c5f06a14f06b97dd59aef944d1aeb16aa2071b7ab78b6130a6c3fcefc6af478a9341211e3a724e65107e8e30a29258c0bf6656ce9c56dd48fe96d4cf4732ff";
const crypto = nobleCrypto();
const secret = NodeSecret.random();
let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-secrets-"));
  path = join(folder, "seed");
});
afterEach(() => rmSync(folder, { recursive: true }));

const by = (passphrase: string): Lock => ({ type: "passphrase", passphrase, cost: CHEAP });
const typed = (passphrase: string) => ({ env: { PICOBOLT_PASSPHRASE: passphrase } });
const failsWith = (code: string) => expect.objectContaining({ name: "SecretError", code });

test("what a passphrase sealed, it opens; the file is its owner's alone and does not show the seed", async () => {
  await createSeedFile(path, secret, by("correct horse"));
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(["seed"]);
  const content = readFileSync(path);
  expect(content.includes(Buffer.from(secret.encode().slice(1)))).toBe(false);
  const open = await openSeedFile(path, typed("correct horse"));
  expect(open.secret.words()).toBe(secret.words());
  expect(open).toMatchObject({ lockedBy: "passphrase", warning: undefined });
});

test("the format is scrypt and XChaCha20-Poly1305 as documented: another library opens it", async () => {
  await createSeedFile(path, secret, by("ﬁne passphrase"));
  const content = new Uint8Array(readFileSync(path));
  const key = scrypt("fine passphrase", content.slice(13, 45), { N: 1024, r: 8, p: 1, dkLen: 32 });
  const cipher = xchacha20poly1305(key, content.slice(45, 69), content.slice(0, 69));
  expect(cipher.decrypt(content.slice(69, -8))).toEqual(secret.encode());
  const checksum = createHash("sha256").update(content.slice(0, -8)).digest("hex").slice(0, 16);
  expect(toHex(content.slice(-8))).toBe(checksum);
});

test("a file of format 1 opens in every later version", async () => {
  writeFileSync(path, Buffer.from(FORMAT_1, "hex"), { mode: 0o600 });
  const { secret: kept } = await openSeedFile(path, typed("correct horse"));
  expect(kept.words()).toBe(`${"abandon ".repeat(11)}about`);
});

test("a wrong passphrase is one thing, a damaged file another, whichever byte it is", async () => {
  await createSeedFile(path, secret, by("correct horse"));
  await expect(openSeedFile(path, typed("wrong horse"))).rejects.toThrow(
    failsWith("wrong-passphrase"),
  );
  const content = readFileSync(path);
  for (let at = 0; at < content.length; at++) {
    const bad = Buffer.from(content);
    bad[at] = (bad[at] as number) ^ 1;
    writeFileSync(path, bad);
    await expect(openSeedFile(path, typed("correct horse")), `byte ${at}`).rejects.toThrow(
      failsWith("damaged"),
    );
  }
  for (const length of [0, 8, 69, content.length - 1]) {
    writeFileSync(path, content.subarray(0, length));
    await expect(openSeedFile(path, typed("correct horse"))).rejects.toThrow(failsWith("damaged"));
  }
});

test.each([
  ["log2 N", 10, 21, "damaged"],
  ["log2 N, too small", 10, 9, "damaged"],
  ["r", 11, 255, "damaged"],
  ["p", 12, 5, "damaged"],
  ["version", 8, 2, "newer-format"],
])("a file made elsewhere cannot ask for any %s", async (_, at, value, code) => {
  await createSeedFile(path, secret, by("correct horse"));
  const content = readFileSync(path);
  content[at] = value;
  const body = content.subarray(0, -8);
  createHash("sha256").update(body).digest().copy(content, body.length, 0, 8);
  writeFileSync(path, content);
  await expect(openSeedFile(path, typed("correct horse"))).rejects.toThrow(failsWith(code));
});

test("another passphrase takes the place of the first, and the node is the same", async () => {
  await createSeedFile(path, secret, by("correct horse"));
  const open = await openSeedFile(path, typed("correct horse"));
  await relockSeedFile(path, open, by("battery staple"));
  await expect(openSeedFile(path, typed("correct horse"))).rejects.toThrow(
    failsWith("wrong-passphrase"),
  );
  const { secret: again } = await openSeedFile(path, typed("battery staple"));
  expect(again.seed(crypto)).toEqual(secret.seed(crypto));
  expect(readdirSync(folder)).toEqual(["seed"]);
});

test("a new passphrase that is too short changes nothing", async () => {
  await createSeedFile(path, secret, by("correct horse"));
  const before = readFileSync(path);
  const open = await openSeedFile(path, typed("correct horse"));
  await expect(relockSeedFile(path, open, by("short"))).rejects.toThrow(
    failsWith("weak-passphrase"),
  );
  expect(readFileSync(path)).toEqual(before);
});

test("a key file opens it from an option, the environment or systemd; another one does not", async () => {
  const keyFile = join(folder, "key");
  const other = join(folder, "other");
  const key = createKeyFile(keyFile);
  createKeyFile(other);
  await createSeedFile(path, secret, { type: "key-file", key });
  expect(statSync(keyFile).mode & 0o777).toBe(0o600);
  for (const sources of [
    { env: {}, keyFile },
    { env: { PICOBOLT_KEY_FILE: keyFile } },
    { env: { CREDENTIALS_DIRECTORY: credentials("picobolt-key", readFileSync(keyFile, "utf8")) } },
  ]) {
    expect((await openSeedFile(path, sources)).secret.words()).toBe(secret.words());
  }
  await expect(openSeedFile(path, { env: {}, keyFile: other })).rejects.toThrow(
    failsWith("wrong-key-file"),
  );
  await expect(openSeedFile(path, { env: {} })).rejects.toThrow(failsWith("locked"));
});

test("a passphrase comes from the environment, systemd, or the person; without any it stays locked", async () => {
  await createSeedFile(path, secret, by("correct horse"));
  const directory = credentials("picobolt-passphrase", "correct horse\n");
  const asked: string[] = [];
  const ask = async (question: string) => {
    asked.push(question);
    return "correct horse";
  };
  for (const sources of [{ env: { CREDENTIALS_DIRECTORY: directory } }, { env: {}, ask }]) {
    expect((await openSeedFile(path, sources)).secret.words()).toBe(secret.words());
  }
  expect(asked).toEqual([`passphrase of ${path}: `]);
  await expect(openSeedFile(path, { env: {} })).rejects.toThrow(failsWith("locked"));
});

test("plain only where asked for, and with a warning; a seed file of before is one", async () => {
  const seed = "ab".repeat(32);
  writeFileSync(path, seed, { mode: 0o600 });
  const old = await openSeedFile(path, { env: {} });
  expect(toHex(old.secret.seed(crypto))).toBe(seed);
  expect(old.warning).toContain("is not encrypted");
  await relockSeedFile(path, old, by("correct horse"));
  expect(seedLockOf(path)).toBe("passphrase");
  const locked = await openSeedFile(path, typed("correct horse"));
  expect(toHex(locked.secret.seed(crypto))).toBe(seed);

  const words = join(folder, "words");
  await createSeedFile(words, secret, { type: "plain" });
  expect(readFileSync(words, "utf8")).toBe(`${secret.words()}\n`);
  expect((await openSeedFile(words, { env: {} })).secret.words()).toBe(secret.words());
});

test("what is there is never written over; what others can read is refused", async () => {
  await createSeedFile(path, secret, by("correct horse"));
  const before = readFileSync(path);
  await expect(createSeedFile(path, NodeSecret.random(), by("correct horse"))).rejects.toThrow(
    failsWith("exists"),
  );
  expect(readFileSync(path)).toEqual(before);
  chmodSync(path, 0o640);
  await expect(openSeedFile(path, typed("correct horse"))).rejects.toThrow(
    failsWith("open-to-others"),
  );
  await expect(openSeedFile(join(folder, "none"), typed("x"))).rejects.toThrow(
    failsWith("missing"),
  );
});

function credentials(name: string, text: string): string {
  const directory = mkdtempSync(join(folder, "credentials-"));
  writeFileSync(join(directory, name), text, { mode: 0o440 });
  return directory;
}
