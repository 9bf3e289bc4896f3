/** The command line itself: help of every command, wrong words, JSON, and that it starts fast. */
import { describe, expect, test } from "vitest";
import { COMMANDS } from "../../cli/table.ts";
import { picobolt } from "./run-picobolt.ts";

const names = Object.keys(COMMANDS);

test("picobolt alone lists every command with what it does", async () => {
  const { code, stdout } = await picobolt([]);
  expect(code).toBe(0);
  for (const name of names) expect(stdout).toContain(`  ${name} `);
});

describe("help has examples", () => {
  test.each(names)("picobolt %s --help", async (name) => {
    const { code, stdout, stderr } = await picobolt([name, "--help"]);
    expect(stderr).toBe("");
    expect(stdout).toContain(`Usage: picobolt ${name}`);
    expect(stdout).toMatch(/Examples:\n {2}\$ picobolt/);
    expect(stdout).toContain("--json");
    expect(code).toBe(0);
  });
});

test.each([
  [["flsah"], "unknown command 'flsah'"],
  [["flash"], "required option '--board <name>' not specified"],
  [["flash", "--board", "esp8266"], 'there is no board "esp8266"'],
  [["flash", "--board", "esp32", "--colour", "red"], "unknown option '--colour'"],
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

test("it starts within a second on a busy machine", async () => {
  const startedMs = performance.now();
  await picobolt(["--help"]);
  expect(performance.now() - startedMs).toBeLessThan(1000);
});
