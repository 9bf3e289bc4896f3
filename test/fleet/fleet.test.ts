/** `npm run test:fleet` as a process: its day ends with books that agree, and however it ends nothing of it is left. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { whyNoVirtualRadio } from "../../host-sim/ble/virtual-radio.ts";
import { whyNoSerialLinks } from "../../host-sim/links/open-link.ts";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { TIED_TO_US, until } from "./programs.ts";

const PROGRAM = new URL("./main.ts", import.meta.url).pathname;
const missing = whyNoVirtualRadio() ?? (await whyNoSerialLinks());
const folders: string[] = [];

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

class Fleet {
  stdout = "";
  stderr = "";
  readonly child;
  readonly done: Promise<number | null>;

  constructor(...words: readonly string[]) {
    const [program, ...more] = [...TIED_TO_US, process.execPath, RUNNER, PROGRAM];
    this.child = spawn(program, [...more, "--json", ...words], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout.on("data", (bytes: Buffer) => {
      this.stdout += bytes.toString();
    });
    this.child.stderr.on("data", (bytes: Buffer) => {
      this.stderr += bytes.toString();
    });
    this.done = once(this.child, "close").then(([code]) => code as number | null);
  }

  get lines(): readonly Record<string, unknown>[] {
    return this.stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  get folder(): string {
    return this.lines.find(({ folder }) => folder !== undefined)?.folder as string;
  }
}

/** Programs that were started for this folder, or that know a file in it. */
function processesNaming(folder: string): readonly string[] {
  return readdirSync("/proc").flatMap((id) => {
    if (!/^\d+$/.test(id)) return [];
    try {
      const words = readFileSync(`/proc/${id}/cmdline`, "utf8").replaceAll("\0", " ");
      return words.includes(folder) ? [`${id} ${words}`] : [];
    } catch {
      return []; // it has ended
    }
  });
}

test.skipIf(missing !== undefined)(
  `a day on which everything is killed once: all sums agree${missing ? ` (${missing})` : ""}`,
  async () => {
    const fleet = new Fleet();
    const code = await fleet.done;
    const books = fleet.lines.at(-1) ?? {};
    expect(fleet.stderr).toBe("");
    expect(books).toMatchObject({ result: "ok", problems: [] });
    // Added up again, by somebody else.
    const money = books.money as readonly { readonly sat: number }[];
    expect(money.reduce((sum, { sat }) => sum + sat, 0)).toBe(books.funded_sat);
    const payments = books.payments as readonly Record<string, number>[];
    for (const { asked, sent, received } of payments) {
      expect(asked).toBeGreaterThan(10);
      expect([sent, received]).toEqual([asked, asked]);
    }
    const machines = books.machines as readonly Record<string, number>[];
    expect(machines).toHaveLength(3);
    for (const { purchases, delivered, refunded } of machines) {
      expect(purchases).toBe(Number(delivered) + Number(refunded));
    }
    const killed = books.killed as readonly { readonly name: string }[];
    expect(killed.map(({ name }) => name).sort()).toEqual([
      ...["bitcoind", "coffee", "gateway a", "gateway b", "mosquitto", "postgresql", "tea", "till"],
    ]);
    expect(code).toBe(0);
    await until("nothing is left", () => processesNaming(fleet.folder).length === 0);
    expect(existsSync(fleet.folder)).toBe(false);
  },
  900_000,
);

test.skipIf(missing !== undefined)(
  `killed in the middle it takes all its programs along${missing ? ` (${missing})` : ""}`,
  async () => {
    const fleet = new Fleet();
    await until("it begins", () => fleet.lines.some(({ who }) => who === "coffee"), {
      ms: 180_000,
    });
    const { folder } = fleet;
    folders.push(folder);
    expect(processesNaming(folder).length).toBeGreaterThan(2);
    fleet.child.kill("SIGKILL");
    await fleet.done;
    await until("nothing is left", () => processesNaming(folder).length === 0);
  },
  300_000,
);
