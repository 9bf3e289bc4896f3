/** `picobolt owner`: the key as words on one computer is the same key on another. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { picobolt } from "./run-picobolt.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-owner-words-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("24 words give the key back; wrong ones, and a key that is there, change nothing", async () => {
  const [home, other] = [join(folder, "home"), join(folder, "other")];
  mkdirSync(home, { mode: 0o700 });
  writeFileSync(join(home, "owner.key"), `${"1f".repeat(32)}\n`, { mode: 0o600 });
  const shown = await picobolt(["owner", "words", "--json"], { home });
  const words = shown.last.words as string[];
  expect(words).toHaveLength(24);

  const wrong = [...words.slice(1), words[0]].join(" ");
  const refused = await picobolt(["owner", "restore"], { home: other, input: wrong });
  expect(refused).toMatchObject({ code: 4 });
  expect(refused.stderr).toContain("their checksum is wrong");
  expect(existsSync(join(other, "owner.key"))).toBe(false);

  const input = `${words.join(" ")}\n`;
  const back = await picobolt(["owner", "restore", "--json"], { home: other, input });
  expect(back, back.stderr).toMatchObject({ code: 0, last: { owner: shown.last.owner } });
  const file = join(other, "owner.key");
  expect(readFileSync(file, "utf8")).toBe(readFileSync(join(home, "owner.key"), "utf8"));
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const again = await picobolt(["owner", "restore"], { home: other, input });
  expect(again).toMatchObject({ code: 4 });
});
