/** docs/RULES.md is held to the code: each safety rule has a check and a test that name its tag. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { projectFolder, readSources } from "./sources.ts";

interface Rule {
  readonly tag: string;
  readonly check: string;
  readonly test: string;
}

const PLANNED = "planned";
const rules = parseRules(readFileSync(join(projectFolder, "docs/RULES.md"), "utf8"));

test("the table names each rule once", () => {
  expect(rules.length).toBeGreaterThan(6);
  const tags = rules.map((rule) => rule.tag);
  expect(new Set(tags).size).toBe(tags.length);
});

describe.each(rules.map((rule) => [rule.tag, rule] as const))("the rule %s", (_tag, rule) => {
  test.skipIf(rule.check === PLANNED)("has a check in the code", () => {
    expect(filesNaming(rule.tag, rule.check)).toContain(rule.check);
    expect(rule.check).toMatch(/^(core|firmware|gateway|host-sim)\//);
  });

  test.skipIf(rule.test === PLANNED)("has a test that names it", () => {
    expect(filesNaming(rule.tag, rule.test)).toContain(rule.test);
    expect(rule.test).toMatch(/^test\/.*\.test\.ts$/);
  });
});

test("every refusal of the signer is a rule of the table", () => {
  const refusals = readSources().find((source) => source.path === "core/keys/refusal.ts");
  const tags = [...(refusals?.text ?? "").matchAll(/^ {2}\| "([a-z-]+)"/gm)].map(
    (found) => found[1],
  );
  expect(tags.length).toBeGreaterThan(2);
  expect(rules.map((rule) => rule.tag)).toEqual(expect.arrayContaining(tags));
});

/** The file itself where it exists and holds the tag, else nothing. */
function filesNaming(tag: string, path: string): readonly string[] {
  const file = join(projectFolder, path);
  return existsSync(file) && readFileSync(file, "utf8").includes(tag) ? [path] : [];
}

function parseRules(markdown: string): readonly Rule[] {
  const rows = [...markdown.matchAll(/^\| `([a-z0-9-]+)` +\|(.+)\|(.+)\|(.+)\|$/gm)];
  return rows.map(([, tag = "", , check = "", named = ""]) => ({
    tag,
    check: check.trim(),
    test: named.trim(),
  }));
}
