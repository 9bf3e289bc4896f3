/** The command is built once from its sources, anew where they change, and starts also where nothing can be built. */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const REAL = new URL("../../", import.meta.url).pathname;

let project: string;

beforeEach(() => {
  // A space, as paths of people have.
  project = join(mkdtempSync(join(tmpdir(), "picobolt-launch-")), "my project");
  mkdirSync(join(project, "cli"), { recursive: true });
  cpSync(join(REAL, "cli/launch"), join(project, "cli/launch"), { recursive: true });
  symlinkSync(join(REAL, "node_modules"), join(project, "node_modules"));
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');
  say("hello");
});

afterEach(() => {
  rmSync(join(project, ".."), { recursive: true, force: true });
});

const PROGRAM = "cli/greeting.ts";

function say(word: string): void {
  const lines = [
    `const said: string = "${word}";`,
    "console.log(said, new URL(import.meta.url).pathname, import.meta.dirname);",
    'const { late } = await import("./late.ts");',
    "late();",
  ];
  writeFileSync(join(project, PROGRAM), lines.join("\n"));
  const late =
    'type Text = string;\n\nexport const late = () => console.log(new Error("x").stack);\n';
  writeFileSync(join(project, "cli/late.ts"), late);
}

function start(): string {
  const launch = join(project, "cli/launch/launch.mjs");
  const program = `const { launch } = await import(process.argv[1]); await launch("${PROGRAM}");`;
  const words = ["--input-type=module", "-e", program, launch];
  return execFileSync(process.execPath, words, { encoding: "utf8" });
}

const builds = () => {
  const all = readdirSync(join(project, ".cache/programs/cli-greeting"));
  return all.filter((name) => name !== "newest.json");
};

test("what was built is used again, and knows where its source is", () => {
  const said = start();
  expect(said).toContain(`hello ${encodeURI(project)}/cli/greeting.ts ${project}/cli\n`);
  expect(said).toMatch(/cli\/late\.ts:3:/);
  const [first] = builds();
  expect(start()).toBe(said);
  expect(builds()).toEqual([first]);
});

test("a source that changed is built anew, and what may still run of the old one stays", () => {
  start();
  say("good morning");
  expect(start()).toMatch(/^good morning /);
  expect(builds()).toHaveLength(2);
});

test("a file that a power cut left empty is built anew", () => {
  const said = start();
  const [built = ""] = builds();
  truncateSync(join(project, ".cache/programs/cli-greeting", built, "main.js"));
  expect(start()).toBe(said);
});

test("a list of what was built that is none is built anew", () => {
  const said = start();
  writeFileSync(join(project, ".cache/programs/cli-greeting/newest.json"), '{"inputs": 3');
  expect(start()).toBe(said);
});

test("it starts where nothing can be written", () => {
  writeFileSync(join(project, ".cache"), "a file, and no folder");
  expect(start()).toMatch(/^hello .*\/cli\/greeting\.ts /);
});
