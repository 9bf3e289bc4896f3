/** A device: the firmware's own program, whose view of the chain is what its gateway tells it over their session. */
import { type HeaderChain, headerTime } from "../../../core/chain/headers.ts";
import { REGTEST } from "../../../core/chain/networks.ts";
import type { OfflineBudget } from "../../../core/chain/offline-budget.ts";
import { milliSatoshi } from "../../../core/primitives/brands.ts";
import type { App } from "../../../firmware/apps/app.ts";
import { Device, type DeviceEvents } from "../../../firmware/device.ts";
import { Random } from "../../random.ts";
import type { SimDisk } from "../disk.ts";
import type { Power } from "../power.ts";
import type { WorldGateway } from "./world-gateway.ts";
import { type NodePlace, WorldNode } from "./world-node.ts";

/** What it takes without its gateway: less than its delay, as every device must. */
const MAX_OFFLINE_BLOCKS = [1, 3, 20];
const MAX_UNSYNCED_MSAT = [60_000_000, 1_000_000_000];
const MAX_CHANNELS = 16;

/** Its owner is the world's (application.ts). */
const APP: App = {
  name: "world",
  takesPayments: false,
  start: () => Promise.resolve(),
  onPeer: () => {},
  onChannelEvent: () => {},
  onMessage: () => false,
};

export class WorldDevice extends WorldNode {
  private device: Device | undefined;
  readonly budget: OfflineBudget;
  /** Not every board has a wall clock. */
  readonly hasClock: boolean;

  constructor(
    index: number,
    place: NodePlace,
    readonly gateway: WorldGateway,
  ) {
    super(index, place);
    const random = Random.of("device", place.seed, index, "budget");
    this.budget = {
      maxOfflineBlocks: random.oneOf(MAX_OFFLINE_BLOCKS),
      maxUnsyncedMsat: milliSatoshi(random.oneOf(MAX_UNSYNCED_MSAT)),
    };
    this.hasClock = !random.oneIn(3);
  }

  /** Awake for the chain only while its gateway tells of it. */
  hearsOf(height: number): boolean {
    const { node, isUp, gateway } = this;
    return isUp && node !== undefined && node.height >= height && node.isConnected(gateway.nodeId);
  }

  /** The headers that it goes by, while it has power. */
  get headers(): HeaderChain | undefined {
    return this.device && (Reflect.get(this.device.chain, "chain") as HeaderChain);
  }

  /** A world's blocks come as it likes: the newest one's time is the time. */
  get chainSeconds(): number {
    const { chain } = this.place.lab;
    return headerTime(chain.block(chain.height)?.header as Uint8Array);
  }

  protected ticked(nowMs: number): void {
    this.device?.tick(nowMs);
  }

  protected ended(): void {
    this.device = undefined;
  }

  protected async run(power: Power, disk: SimDisk, nowMs: number): Promise<void> {
    const { lab } = this.place;
    const { crypto } = lab.chain;
    const device = await Device.start({
      crypto,
      entropy: this.entropy,
      store: disk,
      signer: this.watchedSigner,
      app: APP,
      network: REGTEST,
      gatewayId: this.gateway.nodeId,
      payoutScript: this.payoutScript,
      budget: this.budget,
      policy: this.place.policy,
      maxChannels: MAX_CHANNELS,
      nowMs: nowMs + this.skewMs,
      nowSeconds: () => (this.hasClock ? this.chainSeconds : undefined),
      events: this.eventsOf(power),
    });
    if (!power.isOn) return;
    this.hear(device.node, power);
    this.device = device;
    this.node = device.node;
    this.isReady = true;
  }

  private eventsOf(power: Power): DeviceEvents {
    const { watch } = this.place;
    return {
      onChannelEvent: (id, event) => {
        if (!power.isOn) return;
        this.events.push({ id, event });
        watch.event(this, id, event);
      },
      onApp: () => {},
      onPeer: () => {},
      onTip: () => {},
      onProven: () => {},
      onAlarm: (text) => power.isOn && watch.alarm(this, text),
    };
  }
}
