/** The firmware's core, flash log, C crypto and an app in a real image of the Moddable SDK: a channel over its UART, paid, killed, paid again. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rollup } from "rollup";
import { afterAll, describe, expect, it } from "vitest";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { packPayments } from "../../core/payments/push.ts";
import { milliSatoshi, satoshi } from "../../core/primitives/brands.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import { SerialLink } from "../../host-sim/links/serial-link.ts";
import { firmware } from "../../rollup.config.mjs";
import { run } from "../../scripts/firmware/run.ts";
import { checkSdk } from "../../scripts/firmware/sdk.ts";
import { DeviceLab } from "../support/device-lab.ts";
import { crypto } from "../support/node-pair.ts";

const hasSdk = Boolean(process.env.MODDABLE);
const project = new URL("../../", import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "picobolt-sdk-"));
const children: ChildProcess[] = [];
const machines: Machine[] = [];
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(!hasSdk)("a device on the Moddable SDK (needs MODDABLE)", () => {
  it("opens a channel over its UART, is paid, is killed, and is paid on the same channel", async () => {
    const program = await buildImage();
    const wire = await cable();
    const lab = await DeviceLab.make();
    const first = new Machine(program, wire.device);
    await first.says("self-test passed");
    lab.gateway.attach(await SerialLink.open(wire.host));
    await until(lab, () => first.has("tip"));
    const id = await openChannel(lab);
    await until(lab, () => first.has("channel ready"));
    await pay(lab, id, 1);
    expect(first.has("channel pushReceived")).toBe(true);

    await first.kill();
    const second = new Machine(program, wire.device);
    await second.says("kept 400000 sat");
    await until(lab, () => second.has("tip"));
    await pay(lab, id, 2);
    expect(second.has("channel pushReceived")).toBe(true);
    expect(second.lines.concat(first.lines).filter((line) => line.startsWith("alarm"))).toEqual([]);
    await lab.close();
  }, 300_000);
});

async function buildImage(): Promise<string> {
  const { input, output, ...options } = firmware(
    join(project, "test/device/sdk/main.ts"),
    join(folder, "bundle"),
  );
  const bundled = await rollup({ input, ...options });
  await bundled.write(output);
  const manifest = join(folder, "manifest.json");
  writeFileSync(
    manifest,
    JSON.stringify({
      build: { NAME: "sdk-device" },
      include: [join(project, "manifests/host-common.json")],
      modules: { "picobolt/*": join(folder, "bundle/*") },
    }),
  );
  const sdk = checkSdk(process.env);
  mkdirSync(join(folder, "out"));
  const words = ["-m", "-p", "x-cli-lin", "-o", join(folder, "out"), manifest];
  run(sdk.tool("mcconfig"), words, { folder: project, env: sdk.env, quiet: true });
  return join(folder, "out/bin/lin/release/sdk-device");
}

async function cable(): Promise<{ readonly host: string; readonly device: string }> {
  const ends = { host: join(folder, "host"), device: join(folder, "device") };
  const pty = (path: string) => `pty,raw,echo=0,link=${path}`;
  children.push(spawn("socat", [pty(ends.host), pty(ends.device)], { stdio: "ignore" }));
  await new Promise((wake) => setTimeout(wake, 500));
  return ends;
}

class Machine {
  readonly lines: string[] = [];
  private readonly child: ChildProcess;

  constructor(program: string, tty: string) {
    const words = ["--folder", join(folder, "flash"), "--serial", tty];
    this.child = spawn(program, words, { stdio: ["pipe", "pipe", "inherit"] });
    children.push(this.child);
    machines.push(this);
    this.child.stdout?.on("data", (text: Buffer) => {
      this.lines.push(...text.toString().split("\n").filter(Boolean));
    });
  }

  has(start: string): boolean {
    return this.lines.some((line) => line.startsWith(start));
  }

  async says(start: string): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (!this.has(start)) {
      if (Date.now() > deadline) throw new Error(`no "${start}" but: ${this.lines.join("; ")}`);
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  kill(): Promise<void> {
    return new Promise((done) => {
      this.child.once("exit", () => done());
      this.child.kill("SIGKILL");
    });
  }
}

async function until(lab: DeviceLab, met: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!met()) {
    if (Date.now() > deadline) throw new Error(`it did not happen:\n${happened(lab)}`);
    lab.nowMs += 20;
    lab.gateway.tick(lab.nowMs);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

/** Both sides' words, for whoever has to find out why. */
function happened(lab: DeviceLab): string {
  const events = lab.told.map(({ event }) => `gateway: ${JSON.stringify(event).slice(0, 200)}`);
  return [...lab.alarms, ...events, ...machines.flatMap(({ lines }) => lines)].join("\n");
}

function told(lab: DeviceLab, type: string): number {
  return lab.told.filter(({ event }) => event.type === type).length;
}

async function openChannel(lab: DeviceLab) {
  const device = new SeedSigner(crypto, crypto.sha256(ascii("sdk device"))).nodeId;
  lab.gateway.node.open({
    remoteNodeId: device,
    channelType: "zero_fee_commitments",
    fundingSatoshis: satoshi(400_000),
    pushMsat: milliSatoshi(50_000_000),
    feeratePerKw: 0,
  });
  await until(lab, () => told(lab, "created") > 0);
  for (let i = 0; i < 3; i++) {
    await lab.chain.mine(1);
    await until(lab, () => true);
  }
  const created = lab.told.find(({ event }) => event.type === "created");
  if (created?.event.type !== "created") throw new Error("not created");
  return created.event.channelId;
}

async function pay(lab: DeviceLab, id: Awaited<ReturnType<typeof openChannel>>, nth: number) {
  const reference = crypto.sha256(ascii(`payment ${nth}`)).slice(0, 16);
  const payments = packPayments([{ amountMsat: milliSatoshi(10_000), reference }]);
  lab.gateway.node.command(id, { type: "push", payments });
  await until(lab, () => told(lab, "pushSettled") >= nth);
}
