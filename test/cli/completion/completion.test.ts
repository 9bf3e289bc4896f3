/** Completion as a shell does it: the written script is loaded into a real bash, zsh and fish, and asked. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bashCompletion } from "../../../cli/completion/bash.ts";
import { fishCompletion } from "../../../cli/completion/fish.ts";
import { type PathWords, pathsOf } from "../../../cli/completion/words.ts";
import { zshCompletion } from "../../../cli/completion/zsh.ts";
import { treeOf } from "../../../cli/tree.ts";
import { picobolt } from "../run-picobolt.ts";

let folder: string;
/** Of a shell that makes folders of its own. */
let home: string;
let paths: readonly PathWords[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-complete-"));
  home = mkdtempSync(join(tmpdir(), "picobolt-home-"));
  mkdirSync(join(folder, "a folder"));
  writeFileSync(join(folder, "prices.csv"), "");
  paths = pathsOf(await treeOf(async () => {}));
  writeFileSync(join(folder, "c.bash"), bashCompletion(paths));
  writeFileSync(join(folder, "_picobolt"), zshCompletion(paths));
  writeFileSync(join(folder, "c.fish"), fishCompletion(paths));
});
afterAll(() => {
  for (const one of [folder, home]) rmSync(one, { recursive: true });
});

/** What is offered at the end of a line, its last word begun or empty. */
type Ask = (line: string) => readonly string[];

function bash(line: string): readonly string[] {
  const words = line.split(" ");
  const script = `source ./c.bash
    COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})
    COMP_CWORD=${words.length - 1}
    _picobolt
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return linesOf(execFileSync("bash", ["--norc", "-c", script], { cwd: folder, encoding: "utf8" }));
}

/** Its widgets need a terminal: what would be offered is seen through doubles of its two builtins. */
function zsh(line: string): readonly string[] {
  const words = line.split(" ");
  const script = `
    compdef() { :; }
    compadd() { shift; print -l -- "$@"; }
    _describe() { print -l -- "\${(@)\${(@P)2}%%:*}"; }
    _files() { [[ $1 == -/ ]] && print -l -- *(/N) || print -l -- *(N); }
    source ./_picobolt
    words=(${words.map((word) => `'${word}'`).join(" ")}) CURRENT=${words.length}
    _picobolt`;
  const found = execFileSync("zsh", ["-f", "-c", script], { cwd: folder, encoding: "utf8" });
  return linesOf(found).filter((one) => one.startsWith(words.at(-1) ?? ""));
}

function fish(line: string): readonly string[] {
  const script = `source c.fish; complete --do-complete '${line}'`;
  const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_DATA_HOME: home };
  const found = execFileSync("fish", ["--no-config", "-c", script], {
    cwd: folder,
    env,
    encoding: "utf8",
  });
  return linesOf(found).map((one) => (one.split("\t")[0] ?? "").replace(/\/$/, ""));
}

function linesOf(text: string): readonly string[] {
  return text.split("\n").filter(Boolean);
}

const SHELLS: readonly (readonly [string, Ask])[] = [
  ["bash", bash],
  ["zsh", zsh],
  ["fish", fish],
];

describe.each(SHELLS)("%s", (shell, ask) => {
  const isMissing = spawnSync(shell, ["--version"]).error !== undefined;

  test.skipIf(isMissing)("commands, and the verbs of a noun", () => {
    expect(ask("picobolt cha")).toEqual(expect.arrayContaining(["channel", "channels"]));
    expect(ask("picobolt channel ").toSorted()).toEqual(["close", "list", "open", "pay", "show"]);
  });

  test.skipIf(isMissing)("options of the command that is typed, and of no other", () => {
    expect(ask("picobolt payment send --")).toContain("--max-fee");
    expect(ask("picobolt payment send --")).not.toContain("--kind");
    expect(ask("picobolt payment list --ki")).toEqual(["--kind"]);
  });

  test.skipIf(isMissing)("the words of an option and of an argument, wherever they stand", () => {
    expect(ask("picobolt payment list --kind f")).toEqual(["forwarded"]);
    expect(ask("picobolt payment list --limit 5 --kind ").toSorted()).toEqual([
      "forwarded",
      "received",
      "sent",
    ]);
    expect(ask("picobolt macaroon ba")).toEqual(["bake"]);
    expect(ask("picobolt completion z")).toEqual(["zsh"]);
  });

  test.skipIf(isMissing)("files where a file is meant, folders where a folder is", () => {
    expect(ask("picobolt claim --price-list pri")).toEqual(["prices.csv"]);
    expect(ask("picobolt seed new --data-dir ")).toEqual(["a folder"]);
    expect(ask("picobolt price-list set pri")).toEqual(["prices.csv"]);
    expect(ask("picobolt channel open ")).toEqual([]);
  });
});

test("the command writes what was tested; another shell is refused with those there are", async () => {
  const [written, other] = await Promise.all([
    picobolt(["completion", "bash"]),
    picobolt(["completion", "tcsh"]),
  ]);
  expect(written).toMatchObject({ code: 0, stdout: bashCompletion(paths) });
  expect(other).toMatchObject({ code: 2, stdout: "" });
  expect(other.stderr).toContain("Allowed choices are bash, zsh, fish");
});
