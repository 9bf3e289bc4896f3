/** A new machine for the owner's tests: a chip on a pty that is to be flashed, its virtual motors, and a gateway with a chain inside. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { nobleCrypto } from "../../core/crypto/noble.ts";
import { formatPublicKey, masterKey, toExtendedPublicKey } from "../../core/keys/bip32.ts";
import type { JsonObject } from "../../gateway/api/event-json.ts";
import { EspBoard } from "../../host-sim/esp-rom/board.ts";
import { Cable } from "../../host-sim/links/cable.ts";
import { ControlledProcess } from "../../host-sim/processes/control.ts";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { firmwareFolder } from "./firmware-folder.ts";
import { picobolt, type Ran } from "./run-picobolt.ts";

const DEVICE = new URL("../../host-sim/virtual/device-process.ts", import.meta.url).pathname;
const GATEWAY = new URL("../../host-sim/processes/gateway-process.ts", import.meta.url).pathname;

export interface MachineOptions {
  /** More words for the device's process. */
  readonly device?: readonly string[];
}

export class NewMachine {
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-owner-"));
  readonly home = join(this.folder, "home");
  readonly port = join(this.folder, "tty");
  /** What the device and the gateway have told. */
  readonly told: JsonObject[] = [];
  gatewayId = "";
  private board!: EspBoard;
  private gateway!: ControlledProcess;
  private device: ChildProcess | undefined;
  private uplink!: Cable;
  private payerCable!: Cable;

  static async plugIn({ device = [] }: MachineOptions = {}): Promise<NewMachine> {
    const machine = new NewMachine();
    const { folder, port } = machine;
    machine.uplink = await Cable.lay(folder, "uplink", "socket");
    machine.payerCable = await Cable.lay(folder, "payer", "socket");
    const links = ["--link", machine.payerCable.ends[0]];
    const words = [GATEWAY, "--folder", join(folder, "gateway"), "--chain", "sim", ...links];
    machine.gateway = new ControlledProcess(
      "gateway",
      [process.execPath, RUNNER, ...words],
      (event, fields) => machine.told.push({ from: "gateway", event, ...fields }),
    );
    machine.board = await EspBoard.plugIn({
      chip: "esp32c3",
      port,
      flashFile: join(folder, "chip.bin"),
      startProgram: (socket) => machine.startDevice(socket, device),
    });
    await machine.until("the gateway", () => machine.find("gateway", "started") !== undefined);
    machine.gatewayId = machine.find("gateway", "started")?.nodeId as string;
    return machine;
  }

  /** Funds channels of whoever asks. */
  get gatewayLink(): string {
    return `${this.payerCable.ends[1]}=${this.gatewayId}`;
  }

  /** An owner's extended public key: what the machine earns goes there. */
  get payout(): string {
    const crypto = nobleCrypto();
    const key = toExtendedPublicKey(crypto, masterKey(crypto, new Uint8Array(32).fill(9)));
    return formatPublicKey(crypto, key, "testnet");
  }

  /** The command, with --json, in the owner's home. */
  run(...words: string[]): Promise<Ran> {
    return picobolt([...words, "--json"], { home: this.home });
  }

  flash(): Promise<Ran> {
    const image = firmwareFolder(join(this.folder, "image"), {
      chipFamily: "ESP32-C3",
      programBytes: 20_000,
    });
    return this.run("flash", "--board", "esp32c3", "--port", this.port, "--image", image);
  }

  /** The gateway calls the device over their own cable. */
  async connectGateway(deviceId: string): Promise<void> {
    await this.gateway.call("attach", { link: `${this.uplink.ends[0]}=${deviceId}` });
  }

  /** The gateway has published a channel's funding: what is mined from now on may hold it. */
  funded(): Promise<void> {
    const isFunded = () => this.find("gateway", "deviceFunded") !== undefined;
    return this.until("the funding to be published", isFunded);
  }

  async mine(blocks: number): Promise<void> {
    for (let block = 0; block < blocks; block++) await this.gateway.call("mine", { blocks: 1 });
  }

  /** Moves the device's world: press, set, jam (host-sim/virtual/device-process.ts). */
  move(method: string, params: JsonObject): void {
    this.device?.stdin?.write(`${JSON.stringify({ id: 1, method, params })}\n`);
  }

  /** Does what ends in a restart of the device; until its program runs again. */
  async restarted<T>(work: () => Promise<T>): Promise<T> {
    const starts = () =>
      this.told.filter(({ from, event }) => from === "device" && event === "started").length;
    const before = starts();
    const result = await work();
    await this.until("the restart", () => starts() > before);
    return result;
  }

  find(from: string, event: string): JsonObject | undefined {
    return this.told.findLast((one) => one.from === from && one.event === event);
  }

  async until(what: string, isThere: () => boolean, timeoutMs = PATIENCE_MS): Promise<void> {
    const until = Date.now() + timeoutMs;
    while (!isThere()) {
      if (Date.now() > until) {
        const told = this.told.slice(-8).map((one) => JSON.stringify(one));
        throw new Error(`waited in vain for ${what}; told last:\n${told.join("\n")}`);
      }
      await new Promise((wake) => setTimeout(wake, 10));
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.gateway?.stop(), this.board?.close()]);
    await Promise.all([this.uplink?.close(), this.payerCable?.close()]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private startDevice(socket: string, more: readonly string[]): ChildProcess {
    const serial = ["--serial", `socket:${socket}`, "--serial", this.uplink.ends[1]];
    const words = [DEVICE, "--folder", join(this.folder, "device"), ...serial, ...more];
    const child = spawn(process.execPath, [RUNNER, ...words], { stdio: ["pipe", "pipe", "pipe"] });
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith("{")) this.told.push({ from: "device", ...JSON.parse(line) });
    });
    child.stderr.on("data", (bytes: Buffer) => {
      this.told.push({ from: "device", event: "stderr", text: bytes.toString() });
    });
    child.stdin.on("error", () => {});
    this.device = child;
    return child;
  }
}
