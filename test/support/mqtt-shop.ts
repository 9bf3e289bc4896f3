/** A virtual vending machine that is reachable over MQTT only, its broker, and its gateway with a chain inside: for sales by invoice. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nobleCrypto } from "../../core/crypto/noble.ts";
import { formatPublicKey, masterKey, toExtendedPublicKey } from "../../core/keys/bip32.ts";
import type { JsonObject } from "../../gateway/api/event-json.ts";
import type { SettingName } from "../../gateway/run/settings.ts";
import { Cable } from "../../host-sim/links/cable.ts";
import type { Broker } from "../../host-sim/mqtt/broker.ts";
import { ControlledProcess } from "../../host-sim/processes/control.ts";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { picobolt, type Ran, Running } from "../cli/run-picobolt.ts";
import { ApiLab } from "../gateway/api/api-lab.ts";

export interface Paid {
  readonly status: string;
  readonly failure: string | null;
  readonly preimage: string | null;
  readonly fee_msat: number;
}

const DEVICE = new URL("../../host-sim/virtual/device-process.ts", import.meta.url).pathname;
const WAIT_MS = 60_000;

export class MqttShop {
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-mqtt-shop-"));
  readonly home = join(this.folder, "home");
  api!: ApiLab;
  nodeId = "";
  /** Products that came out and that got stuck, over all lives. */
  fallen = 0;
  stuck = 0;
  /** What the machine said, newest last. */
  readonly told: { readonly event: string; readonly fields: JsonObject }[] = [];
  private device: ControlledProcess | undefined;
  private cable!: Cable;

  private constructor(readonly broker: Broker) {}

  static async open(
    broker: Broker,
    settings: Partial<Record<SettingName, string>> = {},
  ): Promise<MqttShop> {
    const shop = new MqttShop(broker);
    shop.api = await ApiLab.start({
      settings: { "mqtt.url": broker.url, "devices.max_channel_sat": "1000000", ...settings },
    });
    shop.cable = await Cable.lay(shop.folder, "till", "pty");
    await shop.startMachine();
    await shop.setUp();
    return shop;
  }

  get gatewayId(): string {
    return this.api.service.nodeId;
  }

  /** The gateway, for somebody with this name on the broker. */
  gatewayBy(name: string): string {
    return `${this.broker.url}/${this.gatewayId}/${name}`;
  }

  async startMachine(): Promise<void> {
    const words = ["--folder", join(this.folder, "machine"), "--mqtt"];
    const command = [process.execPath, RUNNER, DEVICE, ...words];
    this.device = new ControlledProcess(
      "machine",
      [...command, "--serial", this.cable.ends[0]],
      (event, fields) => {
        this.told.push({ event, fields });
        if (event === "started") this.nodeId = fields.nodeId as string;
        if (event === "product") this[fields.fell ? "fallen" : "stuck"]++;
      },
    );
    const lives = this.count("started");
    await this.until("the machine has started", () => this.count("started") > lives);
  }

  /** Its power fails. */
  async killMachine(): Promise<void> {
    await this.device?.kill();
    await this.until("the gateway has noticed", () => !this.isConnected);
  }

  async jam(on: boolean, motor = "motor1"): Promise<void> {
    await this.device?.call("jam", { motor, on });
  }

  count(event: string): number {
    return this.told.filter((one) => one.event === event).length;
  }

  /** Claimed by cable, told its broker, and a channel from its gateway. */
  private async setUp(): Promise<void> {
    const prices = join(this.folder, "prices.csv");
    writeFileSync(prices, "number,name,sat\n1,espresso,1500\n2,tea,900\n");
    const crypto = nobleCrypto();
    const key = toExtendedPublicKey(crypto, masterKey(crypto, new Uint8Array(32).fill(9)));
    const payout = formatPublicKey(crypto, key, "testnet");
    const link = ["--link", this.cable.ends[1], "--json"];
    const claim = ["claim", "--name", "coffee", "--payout", payout, "--gateway", this.gatewayId];
    const app = ["--app", "vending", "--price-list", prices];
    await this.done([...claim, ...app, ...link]);
    const { host, port } = this.broker;
    await this.done(["settings", "set", `mqtt=${JSON.stringify({ host, port })}`, ...link]);
    await this.until("the machine is connected", () => this.isConnected);
    const body = { peer_node_id: this.nodeId, capacity: 400_000 };
    const { status, body: said } = await this.api.call("POST", "/api/channels", {
      body,
      key: "channel",
    });
    if (status >= 300) throw new Error(`no channel: ${JSON.stringify(said)}`);
    await this.until("the channel is open", async () => {
      await this.api.lab.mine(1);
      const channels = await this.api.call("GET", "/api/channels");
      const list = channels.body.channels as unknown as { state: string }[];
      return list.some(({ state }) => state === "normal");
    });
  }

  get isConnected(): boolean {
    const { gateway } = this.api.service;
    return gateway.node.isConnected(new Uint8Array(Buffer.from(this.nodeId, "hex")) as never);
  }

  /** An invoice of the machine's, asked for through its gateway. */
  async invoice(product = 1): Promise<string> {
    const path = `/api/devices/${this.nodeId}/invoices`;
    const { status, body } = await this.api.call("POST", path, { body: { product } });
    if (status < 300) return body.invoice as unknown as string;
    throw new Error(body.detail as unknown as string);
  }

  async pay(invoice: string, more: JsonObject = {}): Promise<Paid & { payment_hash: string }> {
    const { status, body } = await this.api.call("POST", "/api/payments", {
      body: { invoice, ...more },
      key: `pay ${Math.random()}`,
    });
    if (status < 300) return body as never;
    throw new Error(body.detail as unknown as string);
  }

  /** With the wallet's own folder below the home. */
  wallet(...words: readonly string[]): Running {
    return new Running(["pay", ...words, "--gateway", this.gatewayBy("buyer"), "--json"], {
      home: this.home,
    });
  }

  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (const end = Date.now() + WAIT_MS; !(await isSo()); ) {
      if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  async close(): Promise<void> {
    await this.device?.stop();
    await this.api?.stop();
    await this.cable?.close();
    await this.broker.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async done(words: readonly string[]): Promise<Ran> {
    const ran = await picobolt(words, { home: this.home });
    if (ran.code === 0) return ran;
    throw new Error(`picobolt ${words.join(" ")} ended with ${ran.code}: ${ran.stderr}`);
  }
}
