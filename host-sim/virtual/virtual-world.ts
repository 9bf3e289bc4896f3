/** The world of a virtual fleet: a gateway with a chain inside, machines as processes, and what connects them (cables, a radio, a broker). */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "../../gateway/api/event-json.ts";
import { Cable } from "../links/cable.ts";
import type { Broker } from "../mqtt/broker.ts";
import { ControlledProcess } from "../processes/control.ts";
import { RUNNER } from "../processes/runner.ts";
import { CustomerPort } from "./customer-port.ts";
import { VirtualMachine } from "./virtual-machine.ts";

export const WORLD_LINKS = ["serial", "ble", "mqtt"] as const;
export type WorldLink = (typeof WORLD_LINKS)[number];
export const BROKERS = ["aedes", "mosquitto"] as const;
export type BrokerName = (typeof BROKERS)[number];

export interface WorldOptions {
  readonly link: WorldLink;
  readonly broker: BrokerName;
  /** For each machine's process. */
  readonly deviceWords: readonly string[];
  /** What nobody wanted: a machine that died, an alarm. */
  onTrouble(text: string): void;
}

export interface Machine {
  readonly device: VirtualMachine;
  /** Absent where customers come by radio. */
  readonly port?: CustomerPort;
  /** Of the sockets of the radio that it is on. */
  readonly radioFolder?: string;
}

const DEVICE = new URL("./device-process.ts", import.meta.url).pathname;
const GATEWAY = new URL("../processes/gateway-process.ts", import.meta.url).pathname;
/** Deep enough for machines, which want 3 confirmations. */
const BLOCKS_PER_FUNDING = 4;
/** btvirt has 16 controllers; customers need some too. */
const MACHINES_PER_RADIO = 12;
const BLOCK_MS = 5_000;
const START_MS = 60_000;

export class VirtualWorld {
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-virtual-"));
  readonly machines: Machine[] = [];
  gatewayId = "";
  broker: Broker | undefined;
  private gateway: ControlledProcess | undefined;
  private readonly ends: (() => Promise<unknown>)[] = [];
  private readonly rooms: Promise<string>[] = [];
  private placesTaken = 0;
  private isEnding = false;
  private mining: Promise<void> = Promise.resolve();
  private buyerCable!: Cable;
  private visitorCable!: Cable;

  /** Also where nobody waits for `close`: processes end by themselves then, files do not. */
  private readonly onExit = () => rmSync(this.folder, { recursive: true, force: true });

  constructor(private readonly options: WorldOptions) {
    process.on("exit", this.onExit);
  }

  /** Gateway, chain and what machines need to be reached; no machine yet. */
  async start(): Promise<void> {
    const { link, broker } = this.options;
    if (link === "mqtt") await this.startBroker(broker);
    this.buyerCable = await this.lay("buyer");
    this.visitorCable = await this.lay("visitor");
    await this.startGateway();
  }

  /** How the buyer reaches the gateway. */
  buyerUplink(buyer: string): string {
    const { broker, gatewayId } = this;
    return broker ? `${broker.url}/${gatewayId}/${buyer}` : this.buyerCable.ends[1];
  }

  /** For somebody from outside: one at a time. */
  get visitorUplink(): string {
    return `${this.visitorCable.ends[1]}=${this.gatewayId}`;
  }

  /** Another machine, which runs, and whose gateway is connected where it has a cable of its own. */
  async addMachine(name: string): Promise<Machine> {
    const { link, deviceWords } = this.options;
    const base = join(this.folder, name);
    mkdirSync(base);
    const words = [DEVICE, "--folder", base, ...deviceWords];
    const uplink = link === "mqtt" ? undefined : await this.lay(join(name, "uplink"));
    if (uplink) words.push("--serial", uplink.ends[1]);
    else words.push("--mqtt");
    const port = link === "ble" ? undefined : await this.port(join(base, "tty"));
    if (port) words.push("--serial", port.deviceLink);
    const radioFolder = link === "ble" ? await this.place() : undefined;
    if (radioFolder) words.push("--ble", radioFolder);
    const device = new VirtualMachine({
      name,
      command: [process.execPath, RUNNER, ...words],
      onAlarm: (text) => this.options.onTrouble(`${name}: ${text}`),
      onDied: (reason) => this.options.onTrouble(`${name} has died: ${reason}`),
    });
    this.atEnd(() => device.stop());
    await device.start();
    const machine = { device, ...(port && { port }), ...(radioFolder && { radioFolder }) };
    this.machines.push(machine);
    if (uplink) {
      await this.gateway?.call("attach", { link: `${uplink.ends[0]}=${device.nodeId}` });
    }
    return machine;
  }

  /** A block now and then, as a chain has them: for whoever comes from outside. */
  keepMining(): void {
    const timer = setInterval(() => void this.mine(1), BLOCK_MS);
    this.atEnd(async () => clearInterval(timer));
  }

  /** The broker as a device's settings name it. */
  get mqttSettings(): { readonly host: string; readonly port: number } | undefined {
    return this.broker && { host: this.broker.host, port: this.broker.port };
  }

  /** All at once, newest first; a second call waits for the same. */
  async close(): Promise<void> {
    this.isEnding = true;
    const ends = this.ends.splice(0).reverse();
    // Processes before what they are connected to: nobody complains about a cable that is gone.
    await this.gateway?.stop();
    await Promise.all(this.machines.map(({ device }) => device.stop()));
    for (const end of ends) await end().catch(() => {});
    process.off("exit", this.onExit);
    this.onExit();
  }

  /** The radio of the next machine: rooms fill one after the other. */
  private place(): Promise<string> {
    const room = Math.floor(this.placesTaken++ / MACHINES_PER_RADIO);
    const radio = this.rooms[room] ?? this.startRadio();
    this.rooms[room] = radio;
    return radio;
  }

  private async startRadio(): Promise<string> {
    const { VirtualRadio } = await import("../ble/virtual-radio.ts");
    const radio = await VirtualRadio.start();
    this.atEnd(() => radio.stop());
    return radio.socketFolder;
  }

  private async startBroker(name: BrokerName): Promise<void> {
    const broker =
      name === "mosquitto"
        ? await (await import("../mqtt/mosquitto.ts")).startMosquitto()
        : await (await import("../mqtt/aedes.ts")).startAedes();
    this.atEnd(() => broker.close());
    this.broker = broker;
  }

  private async startGateway(): Promise<void> {
    const { broker, buyerCable, visitorCable } = this;
    const links = [buyerCable, visitorCable].flatMap(({ ends }) => ["--link", ends[0]]);
    const words = [GATEWAY, "--folder", join(this.folder, "gateway"), "--chain", "sim", ...links];
    if (broker) words.push("--mqtt", broker.url);
    let started = (_: JsonObject) => {};
    const gateway = new ControlledProcess(
      "gateway",
      [process.execPath, RUNNER, ...words],
      (event, fields) => {
        if (event === "started") started(fields);
        if (event === "deviceFunded") void this.mine(BLOCKS_PER_FUNDING);
        if (event === "alarm") this.options.onTrouble(`gateway: ${fields.text}`);
      },
    );
    this.gateway = gateway;
    const { nodeId } = await new Promise<JsonObject>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("the gateway did not start")), START_MS);
      started = (fields) => {
        clearTimeout(timer);
        resolve(fields);
      };
      const words = () => gateway.call("height").catch((cause: Error) => reject(cause));
      void gateway.exited.then(words);
    });
    this.gatewayId = nodeId as string;
    void gateway.exited.then((how) => {
      if (!this.isEnding) this.options.onTrouble(`the gateway died (${how})`);
    });
  }

  /** One by one: the gateway looks at each. */
  private mine(blocks: number): Promise<void> {
    this.mining = this.mining.then(async () => {
      for (let block = 0; block < blocks && !this.isEnding; block++) {
        await this.gateway?.call("mine", { blocks: 1 }).catch(() => {});
      }
    });
    return this.mining;
  }

  private async lay(name: string): Promise<Cable> {
    const cable = await Cable.lay(this.folder, name, "socket");
    this.atEnd(() => cable.close());
    return cable;
  }

  private async port(base: string): Promise<CustomerPort> {
    const port = await CustomerPort.of(base);
    this.atEnd(() => port.close());
    return port;
  }

  /** What is made while the world ends must end with it. */
  private atEnd(end: () => Promise<unknown>): void {
    if (!this.isEnding) {
      this.ends.push(end);
      return;
    }
    void end().catch(() => {});
    throw new Error("the virtual world is ending");
  }
}
