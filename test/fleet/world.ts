/** The fleet and all it stands on: Bitcoin, PostgreSQL, a broker, two gateways, three devices and the cables and the radio between them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nobleCrypto } from "../../core/crypto/noble.ts";
import { formatPublicKey, masterKey, toExtendedPublicKey } from "../../core/keys/bip32.ts";
import { VirtualRadio } from "../../host-sim/ble/virtual-radio.ts";
import { Cable } from "../../host-sim/links/cable.ts";
import { TestPostgres } from "../../host-sim/postgres/postgres-server.ts";
import { freePort } from "../../host-sim/processes/free-port.ts";
import { CustomerPort } from "../../host-sim/virtual/customer-port.ts";
import { Bitcoin } from "./bitcoin.ts";
import { Mosquitto } from "./broker.ts";
import { GatewayPart } from "./gateway.ts";
import { Machine } from "./machine.ts";
import { done, picobolt, type Ran, until } from "./programs.ts";
import type { Timeline } from "./timeline.ts";

/** Something that can be killed and comes back. */
export interface Part {
  readonly name: string;
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** A machine with who serves it and who comes to it. */
export interface Shop {
  readonly machine: Machine;
  readonly gateway: GatewayPart;
  /** Where customers plug in; absent: they come by radio. */
  readonly port?: CustomerPort;
  /** How its customer reaches the gateway that funds channels. */
  customerUplink(): string;
}

const SHOPS = ["coffee", "tea", "till"] as const;
const CUSTOMERS = { coffee: "c0ffee0000000001", till: "0000000000000711" } as const;
export const PRICES = { 1: 1_500, 2: 900, 3: 600, 4: 1_200 } as const;
/** A second try would hide what jams. */
const MOTOR = { pulseMs: 500, windowMs: 1_500, retries: 0 };

export class World {
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-day-"));
  readonly bitcoin = new Bitcoin(this.at("bitcoin"));
  readonly shops: Shop[] = [];
  readonly parts: Part[] = [];
  postgres!: TestPostgres;
  broker!: Mosquitto;
  a!: GatewayPart;
  b!: GatewayPart;
  private radio!: VirtualRadio;
  private readonly ends: (() => Promise<unknown>)[] = [];
  private readonly onExit = () => rmSync(this.folder, { recursive: true, force: true });

  constructor(private readonly timeline: Timeline) {}

  at(...names: readonly string[]): string {
    return join(this.folder, ...names);
  }

  /** Everything runs, and every device is claimed and connected to its gateway. */
  async start(): Promise<void> {
    await Promise.all([this.startBitcoin(), this.startPostgres(), this.startRadio()]);
    await this.startDevices();
    await this.startGateways();
    await Promise.all(this.shops.map((shop) => this.claim(shop)));
  }

  shop(name: (typeof SHOPS)[number]): Shop {
    return this.shops.find(({ machine }) => machine.name === name) as Shop;
  }

  /** The command, as the devices' owner uses it. */
  owner(words: readonly string[]): Promise<Ran> {
    return done(words, { env: this.peopleEnv("owner") });
  }

  /** What its customer types at a machine. */
  async customer(shop: Shop, words: readonly string[], onNote?: (line: string) => void) {
    const { machine } = shop;
    return this.plugged(shop, (link) => {
      const uplink = ["--gateway", shop.customerUplink()];
      const all = ["pay", "--link", link, ...uplink, ...words];
      const env = this.peopleEnv(`customer-${machine.name}`);
      return picobolt(all, { env, ...(onNote && { onNote }) });
    });
  }

  /** While somebody is at the machine: one at a time. */
  async plugged<T>({ port, machine }: Shop, work: (link: string) => Promise<T>): Promise<T> {
    if (!port) return work(`ble:${machine.name}`);
    await port.plugIn();
    try {
      return await work(port.customerLink);
    } finally {
      await port.unplug();
    }
  }

  home(who: string): string {
    return this.at("people", who);
  }

  async close(): Promise<void> {
    await Promise.all([this.a?.stop(), this.b?.stop()]);
    await Promise.all(this.shops.map(({ machine }) => machine.stop()));
    for (const end of this.ends.splice(0).reverse()) await end().catch(() => {});
  }

  /** Its files too. */
  remove(): void {
    this.onExit();
  }

  private peopleEnv(who: string): Readonly<Record<string, string>> {
    return {
      PICOBOLT_HOME: this.home(who),
      PICOBOLT_RADIO: this.radio.socketFolder,
      NODE_EXTRA_CA_CERTS: this.broker.caFile,
    };
  }

  private async startBitcoin(): Promise<void> {
    this.ends.push(() => this.bitcoin.stop());
    await this.bitcoin.start();
    const { bitcoin } = this;
    this.parts.push({
      name: "bitcoind",
      kill: () => bitcoin.kill(),
      start: () => bitcoin.startAgain(),
    });
    this.timeline.say("bitcoind", "runs on regtest");
  }

  private async startPostgres(): Promise<void> {
    this.postgres = await TestPostgres.start();
    const { postgres } = this;
    this.ends.push(() => postgres.close());
    const part = { kill: () => postgres.kill(), start: () => postgres.run() };
    this.parts.push({ name: "postgresql", ...part });
    this.timeline.say("postgresql", "runs");
  }

  private async startRadio(): Promise<void> {
    this.radio = await VirtualRadio.start();
    this.ends.push(() => this.radio.stop());
  }

  private async startDevices(): Promise<void> {
    this.a = await this.gateway("a");
    this.b = await this.gateway("b");
    const wired = async (name: (typeof SHOPS)[number], words: readonly string[]) => {
      const machine = new Machine({
        name,
        folder: this.at(name),
        words,
        onAlarm: (text) => this.timeline.say(name, `alarm: ${text}`),
      });
      await machine.start();
      this.timeline.say(name, `runs: node ${machine.nodeId.slice(0, 12)}…`);
      return machine;
    };
    const [coffeeUp, teaUp, coffeePort, tillPort] = await Promise.all([
      this.cable("coffee-uplink"),
      this.cable("tea-uplink"),
      this.port("coffee-tty"),
      this.port("till-tty"),
    ]);
    const [coffee, tea, till] = await Promise.all([
      wired("coffee", ["--serial", coffeeUp.ends[1], "--serial", coffeePort.deviceLink]),
      wired("tea", ["--serial", teaUp.ends[1], "--ble", this.radio.socketFolder]),
      wired("till", ["--mqtt", "--serial", tillPort.deviceLink]),
    ]);
    const byBroker = (name: string) => () => this.broker.linkOf(name, this.a.nodeId);
    this.shops.push(
      {
        machine: coffee,
        gateway: this.a,
        port: coffeePort,
        customerUplink: byBroker(CUSTOMERS.coffee),
      },
      { machine: tea, gateway: this.b, customerUplink: () => this.teaCustomerUplink() },
      { machine: till, gateway: this.a, port: tillPort, customerUplink: byBroker(CUSTOMERS.till) },
    );
    for (const { machine } of this.shops) this.parts.push(machine);
    this.uplinks = [coffeeUp.ends[0], teaUp.ends[0]];
  }

  private uplinks: readonly string[] = [];
  private brokerOfB = 0;

  private teaCustomerUplink(): string {
    return `mqtt://127.0.0.1:${this.brokerOfB}/${this.b.nodeId}/customer-of-tea`;
  }

  private async gateway(name: string): Promise<GatewayPart> {
    const gateway = new GatewayPart({
      name,
      folder: this.at(`gateway-${name}`),
      apiPort: await freePort(),
      p2pPort: await freePort(),
      onDied: (how) => this.timeline.say(`gateway ${name}`, `ended by itself (${how}): again`),
    });
    await gateway.makeSeed();
    return gateway;
  }

  private async startGateways(): Promise<void> {
    const { a, b, bitcoin } = this;
    this.brokerOfB = await freePort();
    this.broker = new Mosquitto({
      folder: this.at("broker"),
      port: await freePort(),
      dataDir: a.dataDir,
      env: a.env,
      onDied: (how) => this.timeline.say("mosquitto", `ended by itself: ${how}`),
    });
    await this.broker.letIn([this.shop("till").machine.nodeId, CUSTOMERS.coffee, CUSTOMERS.till]);
    await this.broker.start();
    this.timeline.say("mosquitto", "runs, with TLS, a password for each name and an access list");
    this.ends.push(() => this.broker.kill());
    const chain = { "bitcoind.url": bitcoin.url, "bitcoind.cookie_file": bitcoin.cookieFile };
    const [coffeeUp, teaUp] = this.uplinks.map((link) => link.slice("serial:".length));
    a.configure({
      ...chain,
      database_url: await this.postgres.database(),
      "mqtt.url_file": this.broker.gatewayUrlFile,
      "mqtt.ca_file": this.broker.caFile,
      "links.serial": [coffeeUp as string],
    });
    b.configure({ ...chain, "mqtt.port": this.brokerOfB, "links.serial": [teaUp as string] });
    for (const gateway of [a, b]) this.ends.push(() => gateway.kill());
    await Promise.all([a.start(), b.start()]);
    this.timeline.say("gateway a", `runs: node ${a.nodeId.slice(0, 12)}…, on PostgreSQL`);
    this.timeline.say("gateway b", `runs: node ${b.nodeId.slice(0, 12)}…, on SQLite`);
    this.parts.push(
      { name: "mosquitto", kill: () => this.broker.kill(), start: () => this.broker.start() },
      { name: "gateway a", kill: () => a.kill(), start: () => a.start() },
      { name: "gateway b", kill: () => b.kill(), start: () => b.start() },
    );
  }

  private async claim(shop: Shop): Promise<void> {
    const { machine, gateway, port } = shop;
    const { name } = machine;
    const prices = this.at(`${name}.csv`);
    const lines = Object.entries(PRICES).map(([id, sat]) => `${id},${name} ${id},${sat}\n`);
    writeFileSync(prices, `number,name,sat\n${lines.join("")}`);
    const app = this.at(`${name}.json`);
    writeFileSync(app, JSON.stringify({ machine: name, motor: MOTOR }));
    const words = ["claim", "--name", name, "--payout", payout(), "--gateway", gateway.nodeId];
    const selling = ["--app", "vending", "--app-settings", app, "--price-list", prices];
    const fresh = `ble:picobolt-${machine.nodeId.slice(2, 8)}`;
    const claim = (where: string) => {
      const code = port ? [] : ["--code", machine.claimCode];
      return this.owner([...words, ...selling, "--device", where, ...code]);
    };
    // A session that ended with a load on the machine: its owner looks how far it came, and goes on from there.
    await until(`${name} is claimed`, async () => {
      try {
        return await (port ? this.plugged(shop, claim) : claim(fresh));
      } catch (cause) {
        const set = (where: string) => this.owner(["price-list", "set", prices, "--device", where]);
        return await this.plugged(shop, set).catch(() => {
          throw cause;
        });
      }
    });
    if (name === "till") {
      const mqtt = `mqtt=@${this.broker.settingsFile(machine.nodeId)}`;
      await this.plugged(shop, (where) => this.owner(["settings", "set", mqtt, "--device", where]));
    }
    this.timeline.say(name, `is claimed, and sells for gateway ${gateway.name}`);
  }

  private async cable(name: string): Promise<Cable> {
    mkdirSync(this.at("cables"), { recursive: true });
    const cable = await Cable.lay(this.at("cables"), name, "pty");
    this.ends.push(() => cable.close());
    return cable;
  }

  private async port(name: string): Promise<CustomerPort> {
    mkdirSync(this.at("cables"), { recursive: true });
    const port = await CustomerPort.of(this.at("cables", name));
    this.ends.push(() => port.close());
    return port;
  }
}

/** An owner's extended public key: nobody here has its secret. */
function payout(): string {
  const crypto = nobleCrypto();
  const seed = crypto.sha256(new TextEncoder().encode("the owner of a fleet"));
  const key = toExtendedPublicKey(crypto, masterKey(crypto, seed));
  return formatPublicKey(crypto, key, "testnet");
}
