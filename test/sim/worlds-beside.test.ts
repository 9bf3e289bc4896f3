/** The worlds that run beside all tests: a promise that breaks in one of them is told with the command that shows it. */
import { expect, test } from "vitest";
import { LATER } from "../../host-sim/world/options.ts";
import { worldsBeside } from "../../scripts/worlds-beside.ts";

const TIMEOUT_MS = 120_000;

test("a broken promise fails the run, and the command that shows it is named", {
  timeout: TIMEOUT_MS,
}, async () => {
  const words = ["--seed", "3", "--plant", "lost-commit", "--without", [...LATER].join()];
  const beside = worldsBeside(1, { words, niceness: 0 });
  const { ok, text } = await beside.result();
  expect(ok).toBe(false);
  expect(text).toContain("seed 3, secrets: n0: commitment_signed left before it was stored");
  expect(text).toMatch(/again: npm run sim -- --seed 3 .*--plant lost-commit --trace/);
  expect(text).not.toContain("█");
});
