/** Every deliberate bug still fits the code, and the checkers notice it within the worlds that it states. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { transform } from "esbuild";
import { expect, test } from "vitest";
import { CHECKERS } from "../../host-sim/world/checkers/all.ts";
import { MUTANTS } from "../../host-sim/world/mutants/all.ts";
import { MutantError, patched, ROOT } from "../../host-sim/world/mutants/patch.ts";
import { huntAll } from "../../host-sim/world/mutants/report.ts";

const RULES = readFileSync(join(ROOT, "docs/RULES.md"), "utf8");

test("each mutant's old text stands once in its file, and the changed file still parses", async () => {
  for (const mutant of MUTANTS) {
    for (const [sourcefile, text] of patched(mutant)) {
      await transform(text, { loader: "ts", sourcefile });
    }
  }
  expect(MUTANTS.length).toBeGreaterThanOrEqual(25);
});

test("each has a name of its own, and the rule that it breaks is one of docs/RULES.md", () => {
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  for (const { name, breaks } of MUTANTS) {
    const isTag = /^[a-z]+(-[a-z]+)+$/.test(breaks);
    if (isTag) expect(RULES, name).toContain(`\`${breaks}\``);
  }
});

test("a mutant whose text is gone, or stands twice, fails loudly", () => {
  const file = "core/channel/state.ts";
  const mutant = { name: "stale", breaks: "bounded", seeds: 1 };
  const gone = { ...mutant, edits: [{ file, old: "no such text", new: "" }] };
  const twice = { ...mutant, edits: [{ file, old: "balances", new: "" }] };
  expect(() => patched(gone)).toThrow(MutantError);
  expect(() => patched(gone)).toThrow(/stands 0 times in core\/channel\/state\.ts/);
  expect(() => patched(twice)).toThrow(/not once: write the mutant anew/);
});

test("every mutant is caught, by a checker, within the worlds that it states", {
  timeout: 900_000,
}, async () => {
  const found = await huntAll(MUTANTS, availableParallelism());
  expect(found.filter(({ caught }) => !caught).map(({ name }) => name)).toEqual([]);
  const others = ["liveness", "no-crash", "starts"];
  const known = new Set([...others, ...CHECKERS.map(([name]) => name)]);
  expect(found.map(({ checker }) => checker).filter((name) => !known.has(name ?? ""))).toEqual([]);
});
