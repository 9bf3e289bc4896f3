/** A gateway and devices in one process, on the simulated chain, joined by cables in memory: for tests of all that is above the node. */
import { REGTEST } from "../../core/chain/networks.ts";
import type { ChannelPolicy } from "../../core/channel/context.ts";
import type { ChannelEvent } from "../../core/channel/effects.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Message } from "../../core/messages/message.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { NodeOptions } from "../../core/node/options.ts";
import type { ChainWallet } from "../../core/ports/chain.ts";
import type { Store } from "../../core/ports/store.ts";
import {
  type ChannelId,
  milliSatoshi,
  type PublicKey,
  satoshi,
} from "../../core/primitives/brands.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import type { App, AppEvent } from "../../firmware/apps/app.ts";
import type { PayerApp } from "../../firmware/apps/payer.ts";
import { Device, type DeviceOptions } from "../../firmware/device.ts";
import type { PublisherStep } from "../../gateway/chain/publisher.ts";
import { Gateway, type GatewayOptions } from "../../gateway/gateway.ts";
import { type SimLab, startSimLab } from "../../host-sim/chain/sim-lab.ts";
import { Cable } from "./cable.ts";
import { crypto } from "./node-pair.ts";

export const labPolicy: Partial<ChannelPolicy> = {
  minimumDepth: 2,
  toSelfDelay: 6,
  irrevocableDepth: 3,
};

/** Counts from a name: the same in every run. */
function randomOf(name: string): (length: number) => Uint8Array {
  let drawn = 0;
  return (length) => crypto.sha256(ascii(`${name} ${++drawn}`)).slice(0, length);
}

export class LabDevice {
  device!: Device;
  readonly told: { id: ChannelId; event: ChannelEvent }[] = [];
  readonly app: AppEvent[] = [];
  readonly alarms: string[] = [];
  readonly proven: string[] = [];
  readonly tips: number[] = [];
  readonly signer: SeedSigner;
  private lives = 0;
  /** Pins, clock and price list, where the app needs them. */
  board: Pick<DeviceOptions, "pins" | "clock" | "prices" | "nowSeconds" | "towerId"> &
    Partial<Pick<NodeOptions, "card">> = {};

  constructor(
    private readonly owner: DeviceLab,
    readonly name: string,
    public makeApp: () => App,
    public store: Store,
    public maxUnsyncedMsat = 1_000_000_000,
  ) {
    this.signer = new SeedSigner(crypto, crypto.sha256(ascii(name)));
  }

  get id(): PublicKey {
    return this.signer.nodeId;
  }

  get payoutScript(): Uint8Array {
    return p2wpkh(crypto, this.id);
  }

  async start(): Promise<this> {
    const app = this.makeApp();
    this.current = app;
    this.device = await Device.start({
      crypto,
      entropy: { random: randomOf(`${this.name} ${++this.lives}`) },
      store: this.store,
      signer: this.signer,
      app,
      network: REGTEST,
      gatewayId: this.owner.gatewayId,
      payoutScript: this.payoutScript,
      budget: { maxOfflineBlocks: 5, maxUnsyncedMsat: milliSatoshi(this.maxUnsyncedMsat) },
      policy: labPolicy,
      nowMs: this.owner.nowMs,
      ...this.board,
      events: {
        onChannelEvent: (id, event) => this.told.push({ id, event }),
        onApp: (event) => this.app.push(event),
        onPeer: () => {},
        onTip: (height) => this.tips.push(height),
        onProven: (txid) => this.proven.push(txid),
        onAlarm: (text) => this.alarms.push(text),
      },
    });
    return this;
  }

  current!: App;

  get payer(): PayerApp {
    return this.current as PayerApp;
  }

  events<T extends ChannelEvent["type"]>(type: T): Extract<ChannelEvent, { type: T }>[] {
    return this.told.flatMap(({ event }) => (event.type === type ? [event as never] : []));
  }

  appEvents<T extends AppEvent["type"]>(type: T): Extract<AppEvent, { type: T }>[] {
    return this.app.flatMap((event) => (event.type === type ? [event as never] : []));
  }
}

export class DeviceLab {
  readonly chain: SimLab = startSimLab(crypto);
  readonly gatewaySigner = new SeedSigner(crypto, crypto.sha256(ascii("gateway")));
  readonly alarms: string[] = [];
  readonly steps: PublisherStep[] = [];
  readonly funded: string[] = [];
  readonly told: { id: ChannelId; event: ChannelEvent }[] = [];
  gateway!: Gateway;
  wallet!: ChainWallet;
  gatewayStore: Store = new MemoryStore();
  nowMs = 0;
  private cables: Cable[] = [];
  readonly devices: LabDevice[] = [];
  private gatewayLives = 0;

  static async make(options: Partial<GatewayOptions> = {}): Promise<DeviceLab> {
    const lab = new DeviceLab();
    lab.wallet = options.wallet ?? (await lab.chain.wallet("gateway"));
    await lab.startGateway(options);
    return lab;
  }

  get gatewayId(): PublicKey {
    return this.gatewaySigner.nodeId;
  }

  async startGateway(options: Partial<GatewayOptions> = {}): Promise<void> {
    this.gateway = await Gateway.start({
      crypto,
      entropy: { random: randomOf(`gateway ${++this.gatewayLives}`) },
      store: this.gatewayStore,
      signer: this.gatewaySigner,
      source: await this.chain.source(),
      wallet: this.wallet,
      policy: labPolicy,
      nowMs: this.nowMs,
      serviceRefusal: () => undefined,
      fundingRefusal: () => undefined,
      events: {
        onChannelEvent: (id, event) => this.told.push({ id, event }),
        onPeer: () => {},
        onBlock: () => {},
        onPublished: (step) => this.steps.push(step),
        onDeviceFunded: (_, txid) => this.funded.push(Buffer.from(txid).toString("hex")),
        onAlarm: (text) => this.alarms.push(text),
      },
      ...options,
    });
  }

  /** As if its process ended: its store stays. */
  async stopGateway(): Promise<void> {
    for (const cable of this.cables) cable.cut = true;
    this.cables = [];
    const { gatewayStore } = this;
    const close = gatewayStore.close.bind(gatewayStore);
    if (gatewayStore instanceof MemoryStore) gatewayStore.close = () => {};
    await this.gateway.stop();
    gatewayStore.close = close;
  }

  async add(
    name: string,
    app: () => App,
    store: Store = new MemoryStore(),
    board: LabDevice["board"] = {},
  ): Promise<LabDevice> {
    const device = new LabDevice(this, name, app, store);
    device.board = board;
    await device.start();
    this.devices.push(device);
    return device;
  }

  /** `a` calls the gateway, or `b`. */
  connect(a: LabDevice, b?: LabDevice): Cable {
    const cable = new Cable();
    a.device.attach(cable.ends[0], b ? b.id : this.gatewayId);
    if (b) b.device.attach(cable.ends[1]);
    else this.gateway.attach(cable.ends[1]);
    this.cables.push(cable);
    return cable;
  }

  /** Both ends notice. */
  pull(cable: Cable): void {
    cable.lose();
    cable.cut = true;
    for (const end of cable.ends) end.onClosed("the cable was pulled");
    this.cables = this.cables.filter((one) => one !== cable);
  }

  /** Its process is gone without a word. */
  async crash(device: LabDevice, cables: readonly Cable[]): Promise<void> {
    for (const cable of cables) {
      cable.lose();
      cable.cut = true;
      this.cables = this.cables.filter((one) => one !== cable);
      cable.ends[0].onBytes = () => {};
      cable.ends[1].onClosed("the process ended");
      cable.ends[0].onClosed("the process ended");
    }
    await device.start();
  }

  /** Lets messages flow and promises go on until nothing moves. */
  async flow(rounds = 12): Promise<void> {
    for (let quiet = 0; quiet < rounds; quiet++) {
      this.nowMs += 50;
      this.gateway.tick(this.nowMs);
      for (const { device } of this.devices) device.tick(this.nowMs);
      let moved = 0;
      for (const cable of this.cables) moved += cable.pump();
      await new Promise((wake) => setImmediate(wake));
      if (moved > 0) quiet = Math.min(quiet, 2);
    }
  }

  async mine(blocks: number): Promise<void> {
    for (let i = 0; i < blocks; i++) {
      await this.chain.mine(1);
      await this.flow(6);
    }
  }

  /** From `a` to `b`, funded by the gateway's wallet, deep enough. */
  async open(a: LabDevice, b: LabDevice, pushSat = 50_000): Promise<ChannelId> {
    a.device.node.open({
      remoteNodeId: b.id,
      channelType: "zero_fee_commitments",
      fundingSatoshis: satoshi(400_000),
      pushMsat: milliSatoshi(pushSat * 1000),
      feeratePerKw: 0,
    });
    await this.flow();
    const created = a.events("created").at(-1);
    if (!created) throw new Error(`not created: ${[...a.alarms, ...this.alarms].join("; ")}`);
    await this.mine(3);
    return created.channelId;
  }

  async close(): Promise<void> {
    await this.stopGateway();
    await this.chain.close();
  }
}

/** A malicious or broken peer's words, as if its session had brought them. */
export function say(to: LabDevice, from: PublicKey, message: Message): void {
  const inside = to.device as unknown as { service(peer: PublicKey, message: Message): void };
  inside.service(from, message);
}
