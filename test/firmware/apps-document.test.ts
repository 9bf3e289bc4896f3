/** docs/APPS.md: its example is an app that compiles under the project's rules, takes payments and survives a power cut. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { afterEach, beforeEach, expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { packPayments } from "../../core/payments/push.ts";
import { type ChannelId, milliSatoshi } from "../../core/primitives/brands.ts";
import type { App, AppKind } from "../../firmware/apps/app.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { BenchClock, BenchPins } from "../support/bench-board.ts";
import type { Cable } from "../support/cable.ts";
import { DeviceLab, type LabDevice } from "../support/device-lab.ts";

const root = join(import.meta.dirname, "../..");
const document = readFileSync(join(root, "docs/APPS.md"), "utf8");
const example = /```ts\n(import[\s\S]*?)```/.exec(document)?.[1] ?? "";

let folder: string;
let file: string;
let lab: DeviceLab;

beforeEach(() => {
  // Inside the project, so that it is compiled like its files; where no check of the project's own files looks.
  mkdirSync(join(root, ".cache"), { recursive: true });
  folder = mkdtempSync(join(root, ".cache/apps-document-"));
  file = join(folder, "lamp.ts");
  writeFileSync(file, example.replaceAll('"../firmware/', '"../../firmware/'));
});
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  await lab?.close();
});

it("holds an example that compiles", () => {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram([file], { ...options, noEmit: true });
  const source = program.getSourceFile(file);
  const found = [
    ...program.getSemanticDiagnostics(source),
    ...program.getSyntacticDiagnostics(source),
  ].map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
  expect(found).toEqual([]);
  expect(example.split("\n").every((line) => line.length <= 100)).toBe(true);
});

it("holds an example that lights what is paid for, gives back what is too little, and what power cut short", async () => {
  const { lamp } = (await import(/* @vite-ignore */ file)) as { lamp: AppKind };
  expect(() => lamp.make({ pni: "relay" })).toThrow('lamp has no setting "pni"; it knows pin');
  expect(lamp.pins({})).toEqual(["relay"]);
  const clock = new BenchClock();
  const pins = new BenchPins(["relay"]);
  lab = await DeviceLab.make();
  const payer = await lab.add("payer", () => new PayerApp());
  const app = (): App => lamp.make({});
  const machine = await lab.add("lamp", app, new MemoryStore(), { clock, pins });
  lab.connect(payer);
  const gatewayCable = lab.connect(machine);
  let cable = lab.connect(payer, machine);
  await lab.flow();
  const id = await lab.open(payer, machine);
  const balance = () => machine.device.node.record(id)?.base.toLocalMsat ?? 0;
  const before = balance();
  pay(payer, id, 1, 5_000);
  await lab.flow();
  expect(pins.read("relay")).toBe(true);
  await clock.pass(4_999);
  expect(pins.read("relay")).toBe(true);
  await clock.pass(2);
  expect(pins.read("relay")).toBe(false);
  await lab.flow();
  pay(payer, id, 2, 999);
  await lab.flow();
  expect(balance() - before).toBe(5_000);
  expect(machine.appEvents("refunded")).toMatchObject([{ reason: "a second costs 1 sat" }]);
  pay(payer, id, 3, 60_000);
  await lab.flow();
  expect(balance() - before).toBe(65_000);
  clock.forget();
  const ends = [reversed(cable), reversed(gatewayCable)];
  await lab.crash(machine, ends);
  expect(pins.read("relay")).toBe(false);
  lab.connect(machine);
  cable = lab.connect(payer, machine);
  await lab.flow(20);
  expect(balance() - before).toBe(5_000);
});

function pay(payer: LabDevice, id: ChannelId, salt: number, amountMsat: number): void {
  const reference = new Uint8Array(16).fill(salt);
  const payments = packPayments([{ reference, amountMsat: milliSatoshi(amountMsat) }]);
  payer.device.node.command(id, { type: "push", payments });
}

/** The same cable, whose first end is the one that goes. */
function reversed(one: Cable): Cable {
  const ends = [one.ends[1], one.ends[0]] as const;
  return Object.assign(Object.create(one), { ends }) as Cable;
}
