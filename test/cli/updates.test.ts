/** Signing an update and checking one: keys that are not replaced by accident, and files that a device would refuse. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { espImage } from "./firmware-folder.ts";
import { picobolt } from "./run-picobolt.ts";

let home: string;
let releaseKey: string;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "picobolt-updates-"));
  const made = await run("sign-update", "--new-key");
  releaseKey = made.last.releaseKey as string;
});
afterAll(() => rmSync(home, { recursive: true }));

const run = (...words: string[]) => picobolt([...words, "--json"], { home });
const at = (name: string) => join(home, name);

async function signed(out: string, ...more: string[]) {
  writeFileSync(at("app.bin"), espImage(5, new Uint8Array(10_000).fill(7)));
  const what = ["--image", at("app.bin"), "--release", "0.3.0", "--number", "7", "--out", at(out)];
  return run("sign-update", ...what, ...(more.length ? more : ["--model", "esp32c3"]));
}

test("a release key is made once, kept to its owner, and never replaced", async () => {
  expect(releaseKey).toMatch(/^0[23][0-9a-f]{64}$/);
  expect(statSync(at("release.key")).mode & 0o777).toBe(0o600);
  const again = await run("sign-update", "--new-key");
  expect(again.stderr).toContain("it is not replaced");
  expect(again.code).toBe(4);
  expect((await run("sign-update")).last).toMatchObject({ releaseKey });
});

test("an image is signed, and what was signed is found whole", async () => {
  expect((await signed("good.update")).last).toMatchObject({
    model: "esp32c3",
    number: 7,
    releaseKey,
  });
  const { code, last } = await run("verify-update", at("good.update"), "--release-key", releaseKey);
  expect(last).toEqual({
    ok: true,
    model: "esp32c3",
    version: "0.3.0",
    number: 7,
    bytes: 10_080,
    signed: true,
  });
  expect(code).toBe(0);
});

test("an image for another board is not signed", async () => {
  const { code, stderr } = await signed("wrong.update", "--model", "esp32s3");
  expect(stderr).toContain("is for ESP32-C3, not for ESP32-S3; nothing was signed");
  expect(code).toBe(4);
});

test.each([
  ["one byte changed", (file: Buffer) => file.fill(8, 5000, 5001), "chunk 2 of 5 is damaged"],
  ["another number", (file: Buffer) => bump(file), "not signed by this release key"],
  ["cut short", (file: Buffer) => file.subarray(0, 9000), "bytes instead of"],
  ["something else", () => Buffer.from("hello"), "no picobolt update"],
])("a file with %s must not be used", async (_, change, sentence) => {
  await signed("bad.update");
  writeFileSync(at("bad.update"), change(readFileSync(at("bad.update"))));
  const { code, stderr } = await run(
    "verify-update",
    at("bad.update"),
    "--release-key",
    releaseKey,
  );
  expect(stderr).toContain(sentence);
  expect(code).toBe(4);
});

/** Number 7 becomes 8 in the manifest, where it stands after the version. */
function bump(file: Buffer): Buffer {
  const number = file.indexOf("0.3.0") + 5;
  expect(file[number]).toBe(7);
  return file.fill(8, number, number + 1);
}
