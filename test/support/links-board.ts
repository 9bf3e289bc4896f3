/** A board of drivers in memory, with the world at their other ends: a broker, an access point, a BLE air, a UART. */
import type { Link } from "../../core/ports/link.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import type {
  BleImprovDriver,
  LinkDrivers,
  MqttDriver,
  MqttEvents,
  MqttOptions,
  SerialDriver,
  WifiDriver,
} from "../../firmware/links/drivers.ts";
import { type LinkNeeds, type Links, startLinks } from "../../firmware/links/start-links.ts";
import { Air } from "./ble-air.ts";
import { FakeClock } from "./fake-clock.ts";

/** What a broker saw and keeps. */
export class MemoryBroker implements MqttDriver {
  readonly clients: { readonly options: MqttOptions; readonly events: MqttEvents }[] = [];
  readonly retained = new Map<string, string>();
  readonly published: { readonly topic: string; readonly payload: Uint8Array }[] = [];
  readonly subscribed: string[] = [];
  isUp = true;
  onPublish: (topic: string, payload: Uint8Array) => void = () => {};

  connect(options: MqttOptions, events: MqttEvents) {
    const client = { options, events };
    this.clients.push(client);
    const isIn = () => this.clients.includes(client);
    if (this.isUp) events.onConnected();
    else this.clients.pop();
    if (!this.isUp) events.onClosed("the broker is away");
    return {
      subscribe: (topic: string) => void this.subscribed.push(topic),
      publish: (topic: string, payload: Uint8Array, retain: boolean) => {
        if (!isIn()) return false;
        if (retain) this.retained.set(topic, Buffer.from(payload).toString());
        else {
          this.published.push({ topic, payload: payload.slice() });
          this.onPublish(topic, payload.slice());
        }
        return true;
      },
      close: () => {
        if (isIn()) this.clients.splice(this.clients.indexOf(client), 1);
      },
    };
  }

  deliver(topic: string, payload: Uint8Array): void {
    for (const { events } of [...this.clients]) events.onMessage(topic, payload);
  }

  /** As when it is switched off: wills are published. */
  drop(): void {
    for (const { options, events } of this.clients.splice(0)) {
      this.retained.set(options.will.topic, Buffer.from(options.will.payload).toString());
      events.onClosed("the line broke");
    }
  }
}

/** Networks by name with their passwords. */
export class AccessPoints implements WifiDriver {
  readonly networks = new Map<string, string>();
  joined: string | undefined;
  readonly wishes: string[] = [];
  onState: WifiDriver["onState"] = () => {};

  join(ssid: string, password: string): void {
    this.wishes.push(ssid);
    this.joined = undefined;
    queueMicrotask(() => {
      if (this.networks.get(ssid) !== password) this.onState("refused", "is the password right?");
      else {
        this.joined = ssid;
        this.onState("joined");
      }
    });
  }

  leave(): void {
    this.joined = undefined;
  }

  fail(): void {
    this.joined = undefined;
    this.onState("left", "the network is gone");
  }
}

export interface Attached {
  readonly link: Link;
  readonly remoteNodeId: PublicKey | undefined;
  closed: string | undefined;
}

export class LinksBoard {
  readonly clock = new FakeClock();
  readonly broker = new MemoryBroker();
  readonly wifi = new AccessPoints();
  readonly air = new Air();
  /** Machines in reach of a device that buys. */
  readonly otherAir = new Air();
  readonly attached: Attached[] = [];
  readonly kept: string[] = [];
  readonly notes: string[] = [];
  readonly toHost: Uint8Array[] = [];
  readonly improvValues = new Map<string, readonly number[]>();
  readonly improv: BleImprovDriver = {
    onCommand: () => {},
    setValue: (uuid, value) => void this.improvValues.set(uuid, [...value]),
  };
  readonly serial: SerialDriver = {
    name: "uart0",
    onBytes: () => {},
    write: (bytes) => void this.toHost.push(bytes.slice()),
  };
  isClaimed = false;
  links!: Links;

  constructor(readonly nodeId: PublicKey) {}

  start(needs: LinkNeeds, without: readonly (keyof LinkDrivers)[] = []): Links {
    const all: LinkDrivers = {
      serial: [this.serial],
      blePeripheral: Object.assign(this.air.peripheral, { improv: this.improv }),
      bleCentral: this.otherAir.central("this-device"),
      mqtt: this.broker,
      wifi: this.wifi,
    };
    const drivers = Object.fromEntries(
      Object.entries(all).filter(([name]) => !without.includes(name as keyof LinkDrivers)),
    );
    this.links = startLinks({
      drivers,
      clock: this.clock,
      entropy: { random: (length) => new Uint8Array(length) },
      nodeId: this.nodeId,
      needs,
      attach: (link, remoteNodeId) => this.attach(link, remoteNodeId),
      improv: {
        info: () => ["picobolt", "0.2.0", "lab", "vend-7"],
        mayProvision: () => !this.isClaimed,
        keepWifi: ({ ssid }) => this.kept.push(ssid),
      },
      note: (text) => this.notes.push(text),
    });
    return this.links;
  }

  /** Of the newest link of this kind. */
  newest(prefix: string): Attached | undefined {
    return this.attached.findLast(({ link }) => link.name.startsWith(prefix));
  }

  private attach(link: Link, remoteNodeId: PublicKey | undefined): void {
    const attached: Attached = { link, remoteNodeId, closed: undefined };
    link.onClosed = (reason) => {
      attached.closed = reason;
    };
    this.attached.push(attached);
  }
}
