/** The command line itself: help of every command, wrong words, JSON, and that it starts fast. */
import { expect, test } from "vitest";
import { COMMANDS } from "../../cli/table.ts";
import { picobolt } from "./run-picobolt.ts";

const names = Object.keys(COMMANDS).filter((name) => !COMMANDS[name]?.isHidden);

test("picobolt alone lists every command with what it does", async () => {
  const { code, stdout } = await picobolt([]);
  expect(code).toBe(0);
  for (const name of names) expect(stdout).toContain(`  ${name} `);
});

test.each([
  ["pay", "--dry-run"],
  ["channel", "  list "],
  ["channel open", "--gateway <url|folder>"],
])("picobolt %s --help: options and examples, on standard output", async (name, words) => {
  const { code, stdout, stderr } = await picobolt([...name.split(" "), "--help"]);
  expect(stderr).toBe("");
  expect(stdout).toContain(`Usage: picobolt ${name}`);
  expect(stdout).toContain(words);
  expect(stdout).toMatch(new RegExp(`Examples:\\n  \\$ picobolt ${name}`));
  expect(code).toBe(0);
});

test.each([
  [["flsah"], "unknown command 'flsah'"],
  [["channel"], "say what to do: picobolt channel has list, show, open, pay, close"],
  [["channel", "lsit"], '"lsit" is nothing to do here'],
  [["payment", "list", "--kind", "lost"], "Allowed choices are sent, received, forwarded"],
  [["node", "info", "--gateway", "/x", "--device", "/dev/x"], "name two targets"],
  [["flash"], "required option '--board <name>' not specified"],
  [["flash", "--board", "esp8266"], 'there is no board "esp8266"'],
  [["flash", "--board", "esp32", "--colour", "red"], "unknown option '--colour'"],
  [["channel", "open", "--capacity", "1"], "picobolt channel open --help shows its options"],
  [["pay", "--link", "/dev/null", "--product", "one"], "--product must be a whole number"],
])("%j is wrong: exit code 2, and one sentence", async (words, sentence) => {
  const { code, stdout, stderr } = await picobolt(words);
  expect(stderr).toContain(sentence);
  expect(stderr.trim().split("\n")).toHaveLength(1);
  expect(stdout).toBe("");
  expect(code).toBe(2);
});

test("with --json an error is an object, and nothing else is on standard output", async () => {
  const { code, json } = await picobolt(["monitor", "--port", "/dev/nowhere", "--json"]);
  expect(json).toEqual([
    { error: expect.stringContaining("/dev/nowhere is not there"), exitCode: 3 },
  ]);
  expect(code).toBe(3);
});
