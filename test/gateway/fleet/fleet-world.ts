/** A gateway's program on a real Bitcoin node and a real mosquitto with TLS, passwords and an access list, and machines of its fleet. */

import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PicoboltClient } from "../../../client/client.ts";
import type { PlainObject } from "../../../core/messages/admin-values.ts";
import { topicName } from "../../../core/transport/mqtt-topics.ts";
import { writeBrokerConfig } from "../../../gateway/fleet/broker-config.ts";
import type { SettingName } from "../../../gateway/run/settings.ts";
import { startRegtestLab } from "../../../host-sim/chain/bitcoind-lab.ts";
import type { ChainLab } from "../../../host-sim/chain/lab.ts";
import { Cable } from "../../../host-sim/links/cable.ts";
import { ControlledProcess } from "../../../host-sim/processes/control.ts";
import { RUNNER } from "../../../host-sim/processes/runner.ts";
import { PATIENCE_MS } from "../../support/patience.ts";
import { ApiLab } from "../api/api-lab.ts";
import { FleetMachine } from "./fleet-machine.ts";
import { startWritten } from "./written-broker.ts";

const WALLET = "operator";
const STEP_MS = 50;
const PIECE_BYTES = 32_768;
const VIRTUAL = new URL("../../../host-sim/virtual/device-process.ts", import.meta.url).pathname;

export class FleetWorld {
  readonly machines: FleetMachine[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-fleet-"));
  client!: PicoboltClient;
  nodeId!: string;
  private chain!: ChainLab;
  private api: ApiLab | undefined;
  private readonly cables: Cable[] = [];
  private readonly virtual: ControlledProcess[] = [];
  private broker: ChildProcess | undefined;

  static async start(): Promise<FleetWorld> {
    const world = new FleetWorld();
    world.chain = await startRegtestLab();
    await world.chain.wallet(WALLET);
    // Its node id names the topics, and is known once it has keys.
    await world.startGateway();
    await world.stopGateway();
    await world.startBroker();
    await world.startGateway(world.brokerSettings);
    return world;
  }

  get brokerFolder(): string {
    return join(this.folder, "broker");
  }

  async startGateway(more: Partial<Record<SettingName, string>> = this.brokerSettings) {
    const { rpcPort, cookieFile } = this.chain.connection as NonNullable<ChainLab["connection"]>;
    const settings = {
      network: "regtest",
      "bitcoind.url": `http://127.0.0.1:${rpcPort}`,
      "bitcoind.cookie_file": cookieFile,
      "bitcoind.wallet": WALLET,
      "devices.ask_seconds": "1",
      ...more,
    };
    const folder = join(this.folder, "gateway");
    this.api = await ApiLab.start({ folder, settings });
    this.nodeId = this.api.service.nodeId;
    const { url } = this.api;
    this.client = PicoboltClient.at({ url, macaroon: this.api.macaroon("admin") });
  }

  async stopGateway(): Promise<void> {
    await this.api?.stop({ keepsFolder: true });
    this.api = undefined;
  }

  /** Taken into the fleet by the API, and claimed for it by whoever stands beside it. */
  async machine(name: string, groups: readonly string[] = []): Promise<FleetMachine> {
    const machine = await FleetMachine.start();
    this.machines.push(machine);
    const { nodeId: node_id } = machine;
    const told = await this.client.call("claimDevice", { node_id, name, groups: [...groups] });
    await machine.claimFor(told.owner, name, told.mqtt as PlainObject);
    await this.until(`${name} is online`, async () => {
      const told = await this.client.call("getDevice", { node_id });
      return told.state === "online" && told.firmware !== null && told.claimed_at !== null;
    });
    return machine;
  }

  /** A process of its own, at whose cable anybody may call. */
  async virtualMachine(): Promise<{ readonly link: string; stop(): Promise<void> }> {
    const cable = await Cable.lay(this.folder, "cable", "socket");
    this.cables.push(cable);
    const [link, its] = cable.ends;
    const place = ["--folder", join(this.folder, "virtual"), "--serial", its, "--mqtt"];
    let hasStarted = false;
    const words = [process.execPath, RUNNER, VIRTUAL, ...place];
    const machine = new ControlledProcess("virtual machine", words, (event) => {
      hasStarted ||= event === "started";
    });
    this.virtual.push(machine);
    await this.until("the virtual machine runs", () => hasStarted);
    return { link, stop: () => machine.stop() };
  }

  async upload(file: Uint8Array): Promise<string> {
    const digest = createHash("sha256").update(file).digest("hex");
    for (let offset = 0; offset < file.length; ) {
      const bytes = Buffer.from(file.subarray(offset, offset + PIECE_BYTES)).toString("base64");
      const piece = { digest, length: file.length, offset, bytes };
      offset = (await this.client.call("uploadImage", piece)).received;
    }
    return digest;
  }

  async until(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
    for (const end = Date.now() + PATIENCE_MS; !(await isSo()); ) {
      if (Date.now() > end) throw new Error(`it never came true: ${what}`);
      await new Promise((wake) => setTimeout(wake, STEP_MS));
    }
  }

  async close(): Promise<void> {
    for (const machine of this.machines) machine.switchOff();
    await this.stopGateway();
    for (const machine of this.virtual) await machine.kill();
    this.broker?.kill("SIGKILL");
    for (const cable of this.cables) await cable.close();
    await this.chain.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private get brokerSettings(): Partial<Record<SettingName, string>> {
    if (!this.broker) return {};
    return {
      "mqtt.url_file": join(this.brokerFolder, "gateway.url"),
      "mqtt.ca_file": join(this.brokerFolder, "ca.pem"),
      "mqtt.config_folder": this.brokerFolder,
      "mqtt.pid_file": join(this.brokerFolder, "pid"),
      "mqtt.version": "5",
    };
  }

  private async startBroker(): Promise<void> {
    this.broker = await startWritten((port) => {
      const made = writeBrokerConfig({
        folder: this.brokerFolder,
        gateway: topicName(this.nodeId),
        add: [],
        revoke: [],
        names: ["localhost"],
        port,
        caSecret: new Uint8Array(32).fill(7),
        nowMs: Date.now,
      });
      return made.config;
    });
    writeFileSync(join(this.brokerFolder, "pid"), `${this.broker.pid}\n`);
  }
}
