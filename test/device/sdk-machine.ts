/** A machine of the host board of the Moddable SDK for tests: built, plugged to a gateway and to a till by ptys, with a motor and a sensor on its pins. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { rollup } from "rollup";
import type { JsonObject } from "../../gateway/api/event-json.ts";
import { Cable } from "../../host-sim/links/cable.ts";
import { ControlledProcess } from "../../host-sim/processes/control.ts";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { firmware } from "../../rollup.config.mjs";
import { run } from "../../scripts/firmware/run.ts";
import { checkSdk } from "../../scripts/firmware/sdk.ts";
import { picobolt, type Ran, Running } from "../cli/run-picobolt.ts";
import { payoutKey } from "../support/program-lab.ts";

const project = new URL("../../", import.meta.url).pathname;
const GATEWAY = join(project, "host-sim/processes/gateway-process.ts");
/** From the motor's pulse until the product is past the sensor. */
const FALL_MS = 100;

/** Serial ports as the SDK's program takes them: paths. */
const pathOf = (link: string) => link.replace(/^serial:/, "");

export class SdkMachine {
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-sdk-"));
  readonly home = join(this.folder, "home");
  readonly payout = payoutKey();
  /** What the device printed, in all its lives, and what the gateway told. */
  readonly lines: string[] = [];
  readonly told: JsonObject[] = [];
  gatewayId = "";
  isJammed = false;
  private program = "";
  private readonly commands: Running[] = [];
  private device: ChildProcessWithoutNullStreams | undefined;
  private gateway!: ControlledProcess;
  private till!: Cable;
  private uplink!: Cable;
  private payerCable!: Cable;

  static async build(): Promise<SdkMachine> {
    const machine = new SdkMachine();
    machine.program = await machine.buildImage();
    const lay = (name: string, kind: "pty" | "socket") => Cable.lay(machine.folder, name, kind);
    machine.till = await lay("till", "pty");
    machine.uplink = await lay("uplink", "pty");
    machine.payerCable = await lay("payer", "socket");
    machine.startGateway();
    await machine.until(() => machine.event("started") !== undefined);
    machine.gatewayId = machine.event("started")?.nodeId as string;
    return machine;
  }

  /** The port on the machine's counter. */
  get link(): string {
    return pathOf(this.till.ends[1]);
  }

  /** Funds channels of whoever asks. */
  get gatewayLink(): string {
    return `${this.payerCable.ends[1]}=${this.gatewayId}`;
  }

  /** What answers at the till. */
  devices(): Promise<Ran> {
    return picobolt(["devices", "--port", this.link, "--timeout", "60000", "--json"], {
      home: this.home,
    });
  }

  /** The command at the till. */
  command(...words: string[]): Promise<Ran> {
    return this.running(...words).done;
  }

  running(...words: string[]): Running {
    const running = new Running([...words, "--link", this.link, "--json"], { home: this.home });
    this.commands.push(running);
    return running;
  }

  /** The whole program, with its flash as it was left. */
  switchOn(): void {
    const serials = [this.till.ends[0], this.uplink.ends[0]].map(pathOf);
    const words = ["--folder", join(this.folder, "flash")];
    for (const serial of serials) words.push("--serial", serial);
    const device = spawn(this.program, words, { stdio: ["pipe", "pipe", "pipe"] });
    this.device = device;
    device.stdin.on("error", () => {});
    createInterface({ input: device.stdout }).on("line", (line) => this.printed(line));
    createInterface({ input: device.stderr }).on("line", (line) => this.lines.push(`! ${line}`));
  }

  /** As a power cut does. */
  kill(): Promise<string> {
    const ended = this.ended();
    this.device?.kill("SIGKILL");
    return ended;
  }

  /** How it ended: its code or the signal. */
  ended(): Promise<string> {
    const { device } = this;
    if (!device || device.exitCode !== null) return Promise.resolve(String(device?.exitCode));
    return new Promise((done) =>
      device.once("exit", (code, signal) => done(String(signal ?? code))),
    );
  }

  /** The gateway's end of its cable. */
  async joinGateway(nodeId: string): Promise<void> {
    await this.gateway.call("attach", { link: `${this.uplink.ends[1]}=${nodeId}` });
  }

  /** The gateway has published a channel's funding: what is mined from now on may hold it. */
  async funded(): Promise<void> {
    await this.until(() => this.event("deviceFunded") !== undefined);
  }

  async mine(blocks: number): Promise<void> {
    for (let block = 0; block < blocks; block++) await this.gateway.call("mine", { blocks: 1 });
  }

  /** Without a deadline of its own: the test has one. */
  async until(isThere: () => boolean): Promise<void> {
    while (!isThere()) await new Promise((wake) => setTimeout(wake, 10));
  }

  /** All that both sides said, for whoever has to find out why. */
  get story(): string {
    const told = this.told.slice(-20).map((one) => JSON.stringify(one).slice(0, 200));
    return [...this.lines.slice(-40), ...told].join("\n");
  }

  async close(): Promise<void> {
    for (const { process } of this.commands) process.kill();
    await Promise.all([this.kill(), this.gateway?.stop()]);
    await Promise.all([this.till, this.uplink, this.payerCable].map((cable) => cable?.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  private event(name: string): JsonObject | undefined {
    return this.told.find(({ event }) => event === name);
  }

  private printed(line: string): void {
    this.lines.push(line);
    if (!/^pin motor\d 1$/.test(line) || this.isJammed) return;
    const sense = (level: 0 | 1) => this.device?.stdin.write(`sensor ${level}\n`);
    setTimeout(() => {
      sense(1);
      // Counted from here: two timers that are both late would show a product of no length.
      setTimeout(() => sense(0), FALL_MS);
    }, FALL_MS);
  }

  private startGateway(): void {
    const links = ["--link", this.payerCable.ends[0]];
    const words = ["--folder", join(this.folder, "gateway"), "--chain", "sim", ...links];
    this.gateway = new ControlledProcess(
      "gateway",
      [process.execPath, RUNNER, GATEWAY, ...words],
      (event, fields) => this.told.push({ event, ...fields }),
    );
  }

  /** Bundled and built in a folder of its own, of the manifest that `npm run firmware` takes too. */
  private async buildImage(): Promise<string> {
    const bundle = join(this.folder, "bundle");
    const { input, output, ...options } = firmware(join(project, "firmware/main-host.ts"), bundle);
    const bundled = await rollup({ input, ...options });
    await bundled.write(output);
    const manifest = join(this.folder, "manifest.json");
    const out = join(this.folder, "out");
    mkdirSync(out);
    writeFileSync(
      manifest,
      JSON.stringify({
        build: { NAME: "sdk-device" },
        include: [join(project, "manifests/host-common.json")],
        modules: { "picobolt/*": join(bundle, "*") },
      }),
    );
    const sdk = checkSdk(process.env);
    const words = ["-m", "-p", "x-cli-lin", "-o", out, manifest];
    run(sdk.tool("mcconfig"), words, { folder: project, env: sdk.env, quiet: true });
    return join(out, "bin/lin/release/sdk-device");
  }
}
