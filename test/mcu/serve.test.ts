/** An emulated microcontroller on a serial port: the owner's and the customer's commands find a board there. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { toHex } from "../../core/primitives/bytes.ts";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { picobolt } from "../cli/run-picobolt.ts";
import { newOwner, payoutKey } from "../support/program-lab.ts";

const MAIN = new URL("../../host-sim/mcu/main.ts", import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "picobolt-mcu-serve-"));
const [home, port, temporary] = ["home", "tty", "tmp"].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
const gateway = toHex(newOwner().nodeId);
const run = (...words: string[]) => picobolt([...words, "--json"], { home });
let machine: Machine;

beforeAll(async () => {
  for (const made of [home, temporary]) mkdirSync(made);
  machine = await Machine.serve();
}, 300_000);
afterAll(async () => {
  await machine?.switchOff();
  rmSync(folder, { recursive: true, force: true });
});

class Machine {
  readonly said: Record<string, unknown>[] = [];
  readonly exited: Promise<number | null>;

  private constructor(readonly process: ChildProcess) {
    this.exited = new Promise((resolve) => process.once("exit", resolve));
  }

  /** Its flash in the same folder each time. */
  static async serve(): Promise<Machine> {
    const words = ["--serve", port, "--folder", join(folder, "flash"), "--json"];
    const machine = new Machine(
      spawn(process.execPath, [RUNNER, MAIN, ...words], {
        env: { ...process.env, TMPDIR: temporary },
        stdio: ["ignore", "pipe", "inherit"],
      }),
    );
    const lines = createInterface({ input: machine.process.stdout as NodeJS.ReadableStream });
    await new Promise<void>((resolve, reject) => {
      lines.on("line", (line) => {
        machine.said.push(JSON.parse(line));
        if (machine.ready) resolve();
      });
      lines.once("close", () => reject(new Error(JSON.stringify(machine.said.at(-1)))));
    });
    return machine;
  }

  get ready(): Record<string, unknown> | undefined {
    return this.said.find(({ event }) => event === "serving");
  }

  async switchOff(): Promise<number | null> {
    if (this.process.exitCode === null) this.process.kill("SIGINT");
    return this.exited;
  }
}

test("a new machine says who it is, and is claimed with its prices", async () => {
  const { json } = await run("devices", "--port", port, "--timeout", "60000");
  expect(json[0]).toMatchObject({ answers: true, model: "mcu", claimed: false });
  expect(json[0]?.nodeId).toBe(machine.ready?.node_id);
  const prices = join(folder, "prices.csv");
  writeFileSync(prices, "number,name,sat\n1,espresso,1500\n2,tea,900\n");
  const words = ["--name", "coffee", "--payout", payoutKey(), "--gateway", gateway];
  const app = ["--app", "vending", "--price-list", prices, "--network", "regtest"];
  const claimed = await run("claim", "--link", port, ...words, ...app);
  expect(claimed.last).toMatchObject({ ok: true, name: "coffee", products: 2 });
  expect((await run("claim", "--link", port, ...words)).stderr).toContain("has an owner already");
});

test("a customer reads its prices over the same port", async () => {
  const { json, code } = await run("pay", "--link", port, "--wallet", join(folder, "wallet"));
  expect(json.slice(0, 2)).toMatchObject([
    { product: 1, name: "espresso", priceMsat: 1_500_000, ready: true },
    { product: 2, name: "tea", priceMsat: 900_000, ready: true },
  ]);
  expect(code).toBe(0);
});

test("switched off it leaves nothing behind but its flash; switched on it is its owner's", async () => {
  expect(await machine.switchOff()).toBe(0);
  expect(existsSync(port)).toBe(false);
  expect(readdirSync(temporary).filter((name) => name.startsWith("picobolt"))).toEqual([]);
  machine = await Machine.serve();
  expect(machine.ready).toMatchObject({ claimed: true });
  const { last } = await run("info", "--link", port);
  expect(last).toMatchObject({ name: "coffee", gateway, app: { name: "vending", ready: true } });
  expect((last.memory as { usedBytes: number }).usedBytes).toBeLessThan(320 * 1024);
});

test("a port that is there already is not taken away from whoever has it", async () => {
  await expect(Machine.serve()).rejects.toThrow("is there already");
  expect((await run("info", "--link", port)).last).toMatchObject({ name: "coffee" });
  expect(await machine.switchOff()).toBe(0);
});
