/** The fuzzer itself: it finds what is planted, ends what never returns; and every input of the corpus does what it should. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildWorker } from "../../host-sim/fuzz/build.ts";
import { CORPUS, loadCorpus } from "../../host-sim/fuzz/corpus.ts";
import { FuzzThread } from "../../host-sim/fuzz/pool.ts";
import { findingOf } from "../../host-sim/fuzz/target.ts";
import { targets } from "../../host-sim/fuzz/targets/all.ts";

describe.each(targets.map((target) => [target.name, target] as const))("%s", (name, target) => {
  test("its seeds and its corpus are read or refused as they should", async () => {
    const inputs = [...target.seeds(), ...loadCorpus(name)];
    for (const input of inputs) {
      expect(input.length).toBeLessThanOrEqual(target.maxBytes);
      expect(await findingOf(target, input)).toBeUndefined();
    }
  });
});

test("every file of the corpus belongs to a target", () => {
  const names = targets.map(({ name }) => `${name}.hex`);
  expect(readdirSync(CORPUS).filter((file) => !names.includes(file))).toEqual([]);
});

describe("a fuzzing thread", () => {
  let folder: string;
  let thread: FuzzThread;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "picobolt-fuzz-"));
    const entry = join(import.meta.dirname, "../../host-sim/fuzz/worker.ts");
    thread = new FuzzThread(await buildWorker(entry, join(folder, "worker.mjs"), PLANTED));
  });
  afterAll(async () => {
    await thread.end();
    rmSync(folder, { recursive: true });
  });

  test("finds a bug behind four bytes that chance alone does not find", async () => {
    const found = await run("planted-maze", { milliseconds: 60_000 });
    expect(found.findings.map(({ text }) => text.split("\n")[0])).toEqual([
      "Error: the maze's end",
    ]);
    expect([...(found.findings[0]?.input ?? [])].slice(0, 4)).toEqual([9, 200, 31, 77]);
  });

  test("knows the input that never returns, and goes on afterwards", async () => {
    const found = await run("planted-loop", { milliseconds: 60_000, hangMs: 8_000 });
    expect(found.findings).toMatchObject([{ text: expect.stringContaining("NeverReturns") }]);
    expect(found.findings[0]?.input[0]).toBe(7);
    const after = await run("planted-maze", { milliseconds: 100 });
    expect(after.executions).toBeGreaterThan(0);
  });

  function run(target: string, how: { milliseconds: number; hangMs?: number }) {
    const { milliseconds, hangMs } = how;
    return thread.run({ target, corpus: [], seed: 1, milliseconds, maxFindings: 1 }, hangMs);
  }
});

/** In the place of targets/all.ts. */
const PLANTED = join(import.meta.dirname, "planted.ts");
