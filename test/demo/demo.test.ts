/** `npm run demo` as whoever runs it sees it: on both chains, interrupted, and where it cannot run; nothing is left behind. */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { bitcoindAbsence } from "../support/chain-lab.ts";

const MAIN = join(import.meta.dirname, "../../host-sim/demo/main.ts");
const DEMO_MS = 180_000;
const temporary = mkdtempSync(join(tmpdir(), "demo-test-"));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

interface Run {
  readonly code: number | null;
  readonly lines: readonly string[];
  readonly errors: string;
}

interface Interruption {
  readonly signal: NodeJS.Signals;
  /** As soon as a line holds this. */
  readonly at: string;
}

function demo(
  words: readonly string[],
  env: NodeJS.ProcessEnv = {},
  interruption?: Interruption,
): Promise<Run> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [RUNNER, MAIN, ...words], {
      env: { ...process.env, TMPDIR: temporary, ...env },
    });
    let output = "";
    let errors = "";
    let interrupted = false;
    child.stdout.on("data", (bytes: Buffer) => {
      output += bytes.toString();
      if (!interruption || interrupted || !output.includes(interruption.at)) return;
      interrupted = true;
      child.kill(interruption.signal);
    });
    child.stderr.on("data", (bytes: Buffer) => {
      errors += bytes.toString();
    });
    child.on("close", (code) => resolve({ code, lines: output.trimEnd().split("\n"), errors }));
  });
}

/** Folders, and processes that name them. */
function leftBehind(): readonly string[] {
  const processes = readdirSync("/proc").flatMap((id) => {
    if (!/^\d+$/.test(id)) return [];
    try {
      const words = readFileSync(`/proc/${id}/cmdline`, "utf8");
      return words.includes(temporary) ? [words.replaceAll("\0", " ")] : [];
    } catch {
      return []; // it has ended meanwhile
    }
  });
  const folders = readdirSync(temporary).filter((name) => !name.startsWith("tsx-"));
  return [...folders, ...processes];
}

function storyOn(chain: "sim" | "bitcoind"): void {
  it("ends with every satoshi found, in under two minutes", { timeout: DEMO_MS }, async () => {
    const { code, lines, errors } = await demo(["--json", "--chain", chain]);
    expect(errors).toBe("");
    expect(code).toBe(0);
    const all = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const last = all.at(-1) as Record<string, unknown>;
    expect(Object.keys(last)).toEqual([
      "result",
      "unaccounted_sat",
      "pushes",
      "htlcs",
      "penalties",
      "chain",
      "seconds",
    ]);
    expect(last).toMatchObject({ unaccounted_sat: 0, pushes: 100, htlcs: 1, penalties: 1 });
    expect(last.result).toBe("ok");
    expect(last.chain).toMatch(chain === "sim" ? /^sim$/ : /^bitcoind \d+/);
    expect(last.seconds).toBeLessThan(120);
    // The account again, from the timeline's own words: what was held at the end, and the fees, is all that was put in.
    const end = all.findLast((line) => line.fees !== undefined) as {
      held: Record<string, number>;
      fees: number;
    };
    const held = Object.values(end.held).reduce((sum, amount) => sum + amount, 0);
    expect(held + end.fees).toBe(900_000);
    expect(leftBehind()).toEqual([]);
  });

  it("stops in order at Ctrl-C, whatever it is doing", { timeout: 3 * DEMO_MS }, async () => {
    for (const at of ["A gateway, a buyer", "opens a channel", "push 10:"]) {
      const run = await demo(["--chain", chain], {}, { signal: "SIGINT", at });
      expect(run.code, at).toBe(130);
      expect(run.errors).toBe("");
      expect(leftBehind(), at).toEqual([]);
    }
  });
}

describe("the demo on a simulated chain", () => {
  storyOn("sim");

  it("tells programs that it was stopped", async () => {
    const interruption = { signal: "SIGTERM", at: "opens a channel" } as const;
    const { code, lines } = await demo(["--json", "--chain", "sim"], {}, interruption);
    expect(code).toBe(130);
    expect(JSON.parse(lines.at(-1) as string)).toEqual({ result: "failed", reason: "stopped" });
    expect(leftBehind()).toEqual([]);
  });

  it("has no colours in a pipe, and whole txids to copy", async () => {
    const interruption = { signal: "SIGINT", at: "push 1:" } as const;
    const { lines } = await demo(["--chain", "sim"], {}, interruption);
    const text = lines.join("\n");
    expect(text).not.toContain("\u001b");
    expect(text.match(/funding transaction [0-9a-f]{64}$/gm)).toHaveLength(2);
  });
});

const absence = bitcoindAbsence();
describe.skipIf(absence !== undefined)("the demo on a node", () => storyOn("bitcoind"));

describe("the demo that cannot run says why, and ends with 1", () => {
  it.each([
    [["--json"], { BITCOIND: "/nonexistent" }, "BITCOIND=/nonexistent is no program"],
    [["--json", "--chain", "moon"], {}, "--chain is bitcoind or sim, not moon"],
    [["--json", "--what"], {}, "Unknown option '--what'"],
  ])("%j %j", async (words, env, reason) => {
    const { code, lines, errors } = await demo(words, env);
    expect(code).toBe(1);
    expect(errors).toContain(reason);
    const last = JSON.parse(lines.at(-1) as string) as { result: string; reason: string };
    expect(last.result).toBe("failed");
    expect(last.reason).toContain(reason);
    expect(leftBehind()).toEqual([]);
  });
});
