/** Improv Wi-Fi: what any web flasher needs to give a device its network; both ways to speak it share this desk (docs/LINKS.md "Improv"). */
import { utf8Length } from "../../core/messages/utf8.ts";
import type { Clock } from "../board.ts";
import type { WifiSettings } from "../settings/settings.ts";
import type { WifiDriver } from "./drivers.ts";
import { decodeStrings, ImprovError, ImprovState, type Rpc } from "./improv-packet.ts";

export interface ImprovHost {
  readonly clock: Pick<Clock, "after">;
  /** Firmware's name and version, the chip, the device's name. */
  info(): readonly [string, string, string, string];
  /** False where the device has an owner: only that one changes its network. */
  mayProvision(): boolean;
  /** The device knows a network. */
  isProvisioned(): boolean;
  /** Joins, and keeps what it was given; the address of the device's page, where it has one. Rejects where it cannot join. */
  provision(ssid: string, password: string): Promise<string | undefined>;
  /** Lets the lamp show which device is meant. */
  identify?(): void;
  readonly scan?: WifiDriver["scan"];
}

export interface Network {
  readonly ssid: string;
  readonly rssi: number;
  readonly isOpen: boolean;
}

/** How the desk answers on one way. */
export interface ImprovLine {
  state(state: ImprovState): void;
  error(error: ImprovError): void;
  result(command: number, strings: readonly string[]): void;
}

export const SEND_WIFI = 1;
/** Joining takes a while: association, DHCP, a second try. */
export const PROVISION_MS = 40_000;
const SCAN_MS = 12_000;
const MAX_NETWORKS = 16;
/** Names that are compared: somebody may invent them by the hundred. */
const MAX_FOUND = 64;
const MAX_SSID_BYTES = 32;
const MAX_PASSWORD_BYTES = 64;

export class ImprovDesk {
  private isProvisioning = false;
  private readonly lines: ImprovLine[] = [];

  constructor(readonly host: ImprovHost) {}

  /** Told of each change of the state from now on. */
  add(line: ImprovLine): void {
    this.lines.push(line);
  }

  get state(): ImprovState {
    if (this.isProvisioning) return ImprovState.provisioning;
    if (this.host.isProvisioned()) return ImprovState.provisioned;
    return this.host.mayProvision() ? ImprovState.authorized : ImprovState.authorizationRequired;
  }

  sendWifi(line: ImprovLine, { command, data }: Rpc): void {
    const wifi = wifiOf(data);
    if (!wifi) line.error(ImprovError.invalidCommand);
    else if (!this.host.mayProvision()) line.error(ImprovError.notAuthorized);
    // It is on its way: the second one is not another wish.
    else if (this.isProvisioning) line.state(this.state);
    else void this.provision(line, command, wifi);
  }

  /** The networks in reach, strongest first, each name once; none where the board cannot look. */
  scan(onDone: (networks: readonly Network[]) => void): void {
    const { scan, clock } = this.host;
    if (!scan) {
      onDone([]);
      return;
    }
    const found = new Map<string, Network>();
    let isDone = false;
    const done = () => {
      if (isDone) return;
      isDone = true;
      cancel();
      const all = [...found.values()].sort((a, b) => b.rssi - a.rssi);
      onDone(all.slice(0, MAX_NETWORKS));
    };
    const cancel = clock.after(SCAN_MS, done);
    scan((one) => {
      if (!one) return done();
      const known = found.get(one.ssid);
      const isRoom = known !== undefined || found.size < MAX_FOUND;
      if (one.ssid !== "" && isRoom && (!known || known.rssi < one.rssi)) found.set(one.ssid, one);
    });
  }

  private async provision(line: ImprovLine, command: number, wifi: WifiSettings): Promise<void> {
    this.isProvisioning = true;
    this.tellState();
    try {
      const url = await this.inTime(this.host.provision(wifi.ssid, wifi.password));
      this.isProvisioning = false;
      this.tellState();
      line.result(command, url === undefined ? [] : [url]);
    } catch {
      this.isProvisioning = false;
      line.error(ImprovError.unableToConnect);
      this.tellState();
    }
  }

  private inTime<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = this.host.clock.after(PROVISION_MS, () =>
        reject(new Error("it took too long")),
      );
      work.then(resolve, reject).finally(cancel);
    });
  }

  private tellState(): void {
    for (const line of this.lines) line.state(this.state);
  }
}

function wifiOf(data: Uint8Array): WifiSettings | undefined {
  const strings = decodeStrings(data);
  if (strings?.length !== 2) return undefined;
  const [ssid, password] = strings as [string, string];
  const isSized = utf8Length(ssid) <= MAX_SSID_BYTES && utf8Length(password) <= MAX_PASSWORD_BYTES;
  return ssid.length > 0 && isSized ? { ssid, password } : undefined;
}
