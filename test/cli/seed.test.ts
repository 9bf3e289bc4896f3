/** `picobolt seed`: a seed from nothing or from words, and what opens it. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { picobolt } from "./run-picobolt.ts";

const WORDS = `${"abandon ".repeat(11)}about`;
/** As test/gateway/secrets/words.test.ts has it. */
const NODE = "03f0e851cab520588d34f600bc290ab6e25510abb815474ad17f5f5fd596634d3e";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-seed-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("new with a key file: words are shown once, and again to whoever has the key", async () => {
  const words = ["--data-dir", join(folder, "a"), "--key-file", join(folder, "a.key")];
  const made = await picobolt(["seed", "new", ...words]);
  expect(made).toMatchObject({ code: 0 });
  expect(made.stderr).toContain(`made the key file ${join(folder, "a.key")}`);
  const shown = await picobolt(["seed", "words", "--json", ...words]);
  const list = shown.last.words as string[];
  expect(list).toHaveLength(24);
  for (const word of list) expect(made.stdout).toContain(word);
  expect(made.stdout).toContain(`node ${shown.last.node_id}`);
  expect(statSync(join(folder, "a", "seed")).mode & 0o777).toBe(0o600);

  const again = await picobolt(["seed", "new", ...words]);
  expect(again.code).toBe(4);
  expect(again.stderr).toContain("is there already");
  const locked = await picobolt(["seed", "words", "--data-dir", join(folder, "a")]);
  expect(locked.code).toBe(4);
  expect(locked.stderr).toContain("give it with --key-file");
});

test("restore from words gives the node that they always give; wrong words change nothing", async () => {
  const place = ["--data-dir", join(folder, "b"), "--plain", "--json"];
  const wrong = await picobolt(["seed", "restore", ...place], { input: `${WORDS} zoo\n` });
  expect(wrong.code).toBe(4);
  expect(wrong.last.error).toContain("there are 13 of them");
  expect(existsSync(join(folder, "b"))).toBe(false);
  const restored = await picobolt(["seed", "restore", ...place], { input: `${WORDS}\n` });
  expect(restored.last).toMatchObject({ node_id: NODE, locked_by: "plain" });
  expect(restored.stdout).not.toContain("abandon");
  expect(restored.stderr).toContain("is not encrypted");
});

test("a plain seed of before is locked by a passphrase that is typed twice, and not shown", async () => {
  const place = join(folder, "c");
  await picobolt(["seed", "restore", "--data-dir", place, "--plain"], { input: WORDS });
  const { shown, code } = await atTerminal(`seed passphrase --data-dir ${place}`, [
    ["new passphrase: ", "correct horse"],
    ["once more: ", "correct horse"],
  ]);
  expect(shown).toContain("locked by a passphrase");
  expect(shown).not.toContain("horse");
  expect(code).toBe(0);
  expect(readFileSync(join(place, "seed")).subarray(0, 8).toString()).toBe("PBSEALED");
  const file = join(folder, "passphrase");
  writeFileSync(file, "correct horse\n", { mode: 0o600 });
  const opened = await picobolt([
    "seed",
    "words",
    "--json",
    "--data-dir",
    place,
    "--passphrase-file",
    file,
  ]);
  expect(opened.last.node_id).toBe(NODE);
  writeFileSync(file, "wrong horse\n", { mode: 0o600 });
  const wrong = await picobolt(["seed", "words", "--data-dir", place, "--passphrase-file", file]);
  expect(wrong).toMatchObject({
    code: 4,
    stderr: expect.stringContaining("that is not the passphrase"),
  });
  // To start it again would not help: systemd leaves exit code 2 alone.
  const gateway = ["gateway", "--data-dir", place, "--network", "sim"];
  expect(await picobolt([...gateway, "--set", `secrets.passphrase_file=${file}`])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("that is not the passphrase"),
  });
});

/** util-linux's script gives the command a terminal of its own. */
function atTerminal(
  words: string,
  answers: readonly (readonly [question: string, answer: string])[],
): Promise<{ shown: string; code: number | null }> {
  const command = new URL("../../cli/picobolt.mjs", import.meta.url).pathname;
  const child = spawn("script", ["-qec", `${process.execPath} ${command} ${words}`, "/dev/null"]);
  const open = [...answers];
  let shown = "";
  child.stdout.on("data", (bytes: Buffer) => {
    shown += bytes.toString();
    const [question, answer] = open[0] ?? [];
    if (question !== undefined && shown.includes(question)) {
      open.shift();
      child.stdin.write(`${answer}\r`);
    }
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ shown, code })));
}
