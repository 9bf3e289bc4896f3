/** The Wi-Fi of a virtual device: access points that are in its reach, with their passwords. */
import type { WifiDriver } from "../../firmware/links/drivers.ts";

export interface AccessPoint {
  readonly ssid: string;
  /** Empty: open. */
  readonly password: string;
  /** dBm. */
  readonly rssi: number;
}

/** Association and DHCP, and a look over all channels, take a moment. */
const JOIN_MS = 50;
const SCAN_MS = 50;

export class VirtualWifi implements WifiDriver {
  /** The network that it is in. */
  joined: string | undefined;
  onState: WifiDriver["onState"] = () => {};
  /** Counts what was asked for: the newest counts. */
  private wish = 0;

  constructor(private readonly inReach: readonly AccessPoint[]) {}

  join(ssid: string, password: string): void {
    const wish = ++this.wish;
    this.joined = undefined;
    setTimeout(() => {
      if (wish !== this.wish) return;
      const point = this.inReach.find((one) => one.ssid === ssid);
      if (!point) this.onState("refused", "no such network");
      else if (point.password !== password) this.onState("refused", "the password is wrong");
      else {
        this.joined = ssid;
        this.onState("joined");
      }
    }, JOIN_MS);
  }

  leave(): void {
    this.wish++;
    this.joined = undefined;
  }

  scan(
    onFound: (found: { ssid: string; rssi: number; isOpen: boolean } | undefined) => void,
  ): void {
    setTimeout(() => {
      for (const { ssid, rssi, password } of this.inReach) {
        onFound({ ssid, rssi, isOpen: password === "" });
      }
      onFound(undefined);
    }, SCAN_MS);
  }
}
