/** Brings up all links that a board has and its settings allow: each comes, goes and comes again by itself (docs/LINKS.md). */
import type { Entropy } from "../../core/ports/crypto.ts";
import type { Link } from "../../core/ports/link.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { IdentityQuestion } from "../../core/transport/identity.ts";
import { topicName } from "../../core/transport/mqtt-topics.ts";
import type { Clock } from "../board.ts";
import type { BuysFromSettings, MqttSettings, WifiSettings } from "../settings/settings.ts";
import { BleCentral, isNamed } from "./ble-central.ts";
import { BlePeripheral } from "./ble-peripheral.ts";
import type { LinkDrivers } from "./drivers.ts";
import { ImprovDesk, type ImprovHost } from "./improv.ts";
import { ImprovBle } from "./improv-ble.ts";
import { ImprovSerial } from "./improv-serial.ts";
import { MqttUplink } from "./mqtt-link.ts";
import { openSerial } from "./serial-link.ts";
import { WifiKeeper } from "./wifi-keeper.ts";

/** What the settings say about links; without an owner there is a name alone. */
export interface LinkNeeds {
  readonly name: string;
  readonly wifi?: WifiSettings | undefined;
  readonly mqtt?: MqttSettings | undefined;
  readonly gateway?: PublicKey | undefined;
  /** A machine that this device buys from over BLE, by name or address. */
  readonly buysFrom?: BuysFromSettings | undefined;
}

export interface LinksOptions {
  readonly drivers: LinkDrivers;
  readonly clock: Pick<Clock, "nowMs" | "after">;
  readonly entropy: Entropy;
  readonly nodeId: PublicKey;
  /** With a node id it calls that node, else it waits to be called. */
  readonly attach: (link: Link, remoteNodeId?: PublicKey) => void;
  readonly needs: LinkNeeds;
  /** Where the device takes a network by Improv. */
  readonly improv?: Pick<ImprovHost, "info" | "mayProvision" | "identify"> & {
    /** It was joined: keep it. */
    keepWifi(wifi: WifiSettings): void;
  };
  /** For the log. */
  readonly note?: (text: string) => void;
}

export interface Links {
  /** Names of those that a peer may be on right now. */
  readonly up: readonly string[];
  readonly isOnline: boolean;
  /** The settings changed: what is still right goes on. */
  update(needs: LinkNeeds): void;
  stop(): void;
}

const ASK_EVERY_MS = 250;
const MAX_ASKS = 40;

export function startLinks(options: LinksOptions): Links {
  return new BoardLinks(options);
}

class BoardLinks implements Links {
  private needs: LinkNeeds;
  private readonly serialNames: readonly string[];
  private readonly peripheral: BlePeripheral | undefined;
  private readonly wifi: WifiKeeper | undefined;
  private central: BleCentral | undefined;
  private uplink: MqttUplink | undefined;
  private improvBle: ImprovBle | undefined;
  private isStopped = false;

  constructor(private readonly options: LinksOptions) {
    const { drivers, clock, attach, needs, note } = options;
    this.needs = needs;
    const desk = this.improvDesk();
    this.serialNames = this.openSerials(desk);
    const { blePeripheral: driver, wifi } = drivers;
    if (driver) {
      if (driver.improv && desk) this.improvBle = new ImprovBle(desk, driver.improv);
      const noted = note ? { note } : {};
      const { name } = needs;
      this.peripheral = new BlePeripheral({ driver, clock, name, attach, ...noted });
      this.peripheral.start();
    }
    if (wifi) {
      this.wifi = new WifiKeeper(wifi, clock, (isJoined, reason) => {
        if (reason) note?.(`wifi: ${reason}`);
        if (isJoined) this.uplink?.start();
        else this.uplink?.stop();
      });
      this.wifi.want(needs.wifi);
    }
    this.startUplink();
    this.startCentral();
  }

  get up(): readonly string[] {
    const radio = [this.peripheral?.linkName, this.central?.linkName, this.uplink?.linkName];
    return [...this.serialNames, ...radio.filter((name) => name !== undefined)];
  }

  get isOnline(): boolean {
    return this.uplink?.linkName !== undefined;
  }

  update(needs: LinkNeeds): void {
    if (this.isStopped) return;
    const before = this.needs;
    this.needs = needs;
    if (needs.name !== before.name) this.peripheral?.rename(needs.name);
    this.wifi?.want(needs.wifi);
    if (!isSameBroker(before, needs)) {
      this.uplink?.stop();
      this.startUplink();
    }
    if (!isSameMachine(before, needs)) {
      this.central?.stop();
      this.startCentral();
    }
    this.improvBle?.refresh();
  }

  stop(): void {
    this.isStopped = true;
    this.uplink?.stop();
    this.central?.stop();
    this.peripheral?.stop();
    this.wifi?.want(undefined);
  }

  private openSerials(desk: ImprovDesk | undefined): readonly string[] {
    const { drivers, attach } = this.options;
    return (drivers.serial ?? []).map((driver) => {
      let improv: ImprovSerial | undefined;
      const port = openSerial(driver, desk && ((packet) => improv?.receive(packet)));
      if (desk) improv = new ImprovSerial(desk, port.write);
      attach(port.link);
      return port.link.name;
    });
  }

  private startUplink(): void {
    const { drivers, clock, entropy, attach, nodeId, note } = this.options;
    const { mqtt, gateway } = this.needs;
    this.uplink = undefined;
    if (!drivers.mqtt || !mqtt || !gateway) return;
    const { ca, user, password, ...address } = mqtt;
    this.uplink = new MqttUplink({
      driver: drivers.mqtt,
      clock,
      entropy,
      broker: {
        ...address,
        ...(ca && { tls: { ca } }),
        ...(user !== undefined && { user }),
        ...(password !== undefined && { password }),
      },
      gateway: topicName(toHex(gateway)),
      device: topicName(toHex(nodeId)),
      attach: (link) => attach(link, gateway),
      ...(note && { note }),
    });
    // Without Wi-Fi there is nothing to connect through; a board without a Wi-Fi driver has a network anyway.
    if (!this.wifi || this.wifi.isJoined) this.uplink.start();
  }

  private startCentral(): void {
    const { drivers, clock, entropy } = this.options;
    const { buysFrom } = this.needs;
    this.central = undefined;
    if (!drivers.bleCentral || !buysFrom) return;
    this.central = new BleCentral({
      driver: drivers.bleCentral,
      clock,
      entropy,
      isWanted: isNamed(buysFrom.machine),
      attach: (link) => this.callMachine(link, buysFrom.nodeId),
    });
    this.central.start();
  }

  /** A machine of unknown key is asked for it: who answers wrongly gets a handshake that fails, and no money. */
  private callMachine(link: Link, nodeId: PublicKey | undefined): void {
    const { attach, clock } = this.options;
    if (nodeId) {
      attach(link, nodeId);
      return;
    }
    let cancel = () => {};
    const question = new IdentityQuestion(link, (card) => {
      cancel();
      attach(link, card.nodeId);
    });
    let asks = 0;
    const ask = () => {
      if (question.isAnswered) return;
      if (asks++ >= MAX_ASKS) {
        link.close();
        return;
      }
      question.tick(clock.nowMs());
      cancel = clock.after(ASK_EVERY_MS, ask);
    };
    link.onClosed = () => cancel();
    ask();
  }

  private improvDesk(): ImprovDesk | undefined {
    const { improv, drivers, clock } = this.options;
    const { wifi } = drivers;
    if (!improv || !wifi) return undefined;
    return new ImprovDesk({
      clock,
      info: () => improv.info(),
      mayProvision: () => improv.mayProvision(),
      isProvisioned: () => this.wifi?.isJoined ?? false,
      provision: async (ssid, password) => {
        await this.wifi?.tryOut({ ssid, password });
        improv.keepWifi({ ssid, password });
        return undefined;
      },
      ...(improv.identify && { identify: () => improv.identify?.() }),
      ...(wifi.scan && { scan: wifi.scan.bind(wifi) }),
    });
  }
}

function isSameMachine({ buysFrom: x }: LinkNeeds, { buysFrom: y }: LinkNeeds): boolean {
  const isSameId = x?.nodeId && y?.nodeId ? equal(x.nodeId, y.nodeId) : x?.nodeId === y?.nodeId;
  return x?.machine === y?.machine && isSameId;
}

function isSameBroker(a: LinkNeeds, b: LinkNeeds): boolean {
  const isSameGateway =
    a.gateway && b.gateway ? equal(a.gateway, b.gateway) : a.gateway === b.gateway;
  const { mqtt: x } = a;
  const { mqtt: y } = b;
  if (!x || !y) return x === y && isSameGateway;
  const isSameCa = x.ca && y.ca ? equal(x.ca, y.ca) : x.ca === y.ca;
  const isSame = x.host === y.host && x.port === y.port && x.user === y.user;
  return isSameGateway && isSameCa && isSame && x.password === y.password;
}
