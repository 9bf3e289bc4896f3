/** A machine of the tests whose program runs in XS: its process, its cables, and a gateway with a chain inside. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nobleCrypto } from "../../core/crypto/noble.ts";
import { formatPublicKey, masterKey, toExtendedPublicKey } from "../../core/keys/bip32.ts";
import type { JsonObject } from "../../gateway/api/event-json.ts";
import { Cable } from "../../host-sim/links/cable.ts";
import { ControlledProcess } from "../../host-sim/processes/control.ts";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { buildXsCryptoWorker } from "../../host-sim/xs/build.ts";
import { picobolt, type Ran } from "../cli/run-picobolt.ts";
import { PATIENCE_MS } from "../support/patience.ts";

const DEVICE = new URL("../../host-sim/virtual/device-process.ts", import.meta.url).pathname;
const GATEWAY = new URL("../../host-sim/processes/gateway-process.ts", import.meta.url).pathname;

/** More words for its processes. */
export interface XsMachineOptions {
  readonly device?: readonly string[];
  readonly gateway?: readonly string[];
}

export class XsMachine {
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-xs-machine-"));
  readonly home = join(this.folder, "home");
  readonly told: JsonObject[] = [];
  device!: ControlledProcess;
  gatewayId = "";
  gateway!: ControlledProcess;
  private till!: Cable;
  private uplink!: Cable;
  private payerCable!: Cable;

  private constructor(private readonly options: XsMachineOptions) {}

  static async make(options: XsMachineOptions = {}): Promise<XsMachine> {
    // Minutes, where nobody has built it: the device would be waited for in vain.
    await buildXsCryptoWorker();
    const machine = new XsMachine(options);
    const { folder } = machine;
    [machine.till, machine.uplink, machine.payerCable] = await Promise.all([
      Cable.lay(folder, "till", "pty"),
      Cable.lay(folder, "uplink", "socket"),
      Cable.lay(folder, "payer", "socket"),
    ]);
    const words = ["--folder", join(folder, "gateway"), "--chain", "sim"];
    machine.gateway = machine.run("gateway", [
      ...[GATEWAY, ...words],
      ...["--link", machine.payerCable.ends[0], ...(options.gateway ?? [])],
    ]);
    await machine.start();
    await machine.until("the gateway", () => machine.find("gateway", "started") !== undefined);
    machine.gatewayId = machine.find("gateway", "started")?.nodeId as string;
    return machine;
  }

  /** The device, with what its flash holds; until its program runs. */
  async start(): Promise<JsonObject> {
    const before = this.told.length;
    this.device = this.run("device", [
      ...[DEVICE, "--engine", "xs", "--folder", join(this.folder, "device")],
      ...["--serial", this.till.ends[0], "--serial", this.uplink.ends[1]],
      ...(this.options.device ?? []),
    ]);
    const started = () =>
      this.told.slice(before).find((one) => one.from === "device" && one.event === "started");
    await this.until("the device", () => started() !== undefined);
    return started() as JsonObject;
  }

  get deviceId(): string {
    return this.find("device", "started")?.nodeId as string;
  }

  /** The till's pty. */
  get port(): string {
    return this.till.ends[1].replace("serial:", "");
  }

  get gatewayLink(): string {
    return `${this.payerCable.ends[1]}=${this.gatewayId}`;
  }

  get payout(): string {
    const crypto = nobleCrypto();
    const key = toExtendedPublicKey(crypto, masterKey(crypto, new Uint8Array(32).fill(9)));
    return formatPublicKey(crypto, key, "testnet");
  }

  /** The command, with --json, in the owner's home. */
  picobolt(...words: string[]): Promise<Ran> {
    return picobolt([...words, "--json"], { home: this.home });
  }

  /** Sells tea and espresso. */
  claim(name: string): Promise<Ran> {
    const file = (called: string, contents: string) => {
      const path = join(this.folder, called);
      writeFileSync(path, contents);
      return path;
    };
    // A jam is known soon, and yet not before somebody has cut the power.
    const motor = JSON.stringify({ motor: { pulseMs: 100, windowMs: 1000 } });
    return this.picobolt(
      ...["claim", "--link", this.port, "--name", name, "--payout", this.payout],
      ...["--gateway", this.gatewayId, "--app", "vending"],
      ...["--app-settings", file("app.json", motor)],
      ...["--price-list", file("prices.csv", "number,name,sat\n2,tea,900\n1,espresso,1500\n")],
    );
  }

  async connectGateway(): Promise<void> {
    await this.gateway.call("attach", { link: `${this.uplink.ends[0]}=${this.deviceId}` });
  }

  /** The gateway has published a channel's funding: what is mined from now on may hold it. */
  funded(): Promise<void> {
    const isFunded = () => this.find("gateway", "deviceFunded") !== undefined;
    return this.until("the funding to be published", isFunded);
  }

  async mine(blocks: number): Promise<void> {
    for (let block = 0; block < blocks; block++) await this.gateway.call("mine", { blocks: 1 });
  }

  find(from: string, event: string): JsonObject | undefined {
    return this.told.findLast((one) => one.from === from && one.event === event);
  }

  /** What the device's app has told. */
  apps(type: string): readonly JsonObject[] {
    return this.told.filter((one) => one.event === "app" && one.type === type);
  }

  /** That, so often, and not more often: it tells of it beside its line to the customer. */
  async hasTold(type: string, count: number): Promise<void> {
    await this.until(`${type} ${count}`, () => this.apps(type).length >= count);
    if (this.apps(type).length > count) throw new Error(`${type} more than ${count} times`);
  }

  /** Lines of the device's console. */
  lines(): readonly string[] {
    return this.told.filter((one) => one.event === "line").map((one) => one.line as string);
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
    await Promise.all([this.gateway?.stop(), this.device?.stop()]);
    await Promise.all([this.till, this.uplink, this.payerCable].map((cable) => cable?.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  private run(from: string, words: readonly string[]): ControlledProcess {
    return new ControlledProcess(from, [process.execPath, RUNNER, ...words], (event, fields) =>
      this.told.push({ from, event, ...fields }),
    );
  }
}
