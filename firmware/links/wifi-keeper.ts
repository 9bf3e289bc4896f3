/** The network that a device is in: the one of its settings, or one that somebody tries out by Improv. */
import type { Clock } from "../board.ts";
import type { WifiSettings } from "../settings/settings.ts";
import type { WifiDriver } from "./drivers.ts";

/** Somebody stands before the device and waits. */
const TRIAL_MS = 30_000;

interface Trial {
  resolve(): void;
  reject(cause: Error): void;
}

export class WifiKeeper {
  private wanted: WifiSettings | undefined;
  private joined = false;
  private trial: Trial | undefined;

  constructor(
    private readonly driver: WifiDriver,
    private readonly clock: Pick<Clock, "after">,
    private readonly onChange: (isJoined: boolean, reason?: string) => void,
  ) {
    driver.onState = (state, reason) => this.changed(state, reason);
  }

  get isJoined(): boolean {
    return this.joined;
  }

  /** From now on; undefined: none. */
  want(wifi: WifiSettings | undefined): void {
    const { wanted } = this;
    if (wanted?.ssid === wifi?.ssid && wanted?.password === wifi?.password) return;
    this.wanted = wifi;
    this.join(wifi);
  }

  /** Resolves when it was joined, and is then the wanted one; where it refuses, the one before comes back. */
  tryOut(wifi: WifiSettings): Promise<void> {
    this.trial?.reject(new Error("another network was asked for"));
    return new Promise<void>((resolve, reject) => {
      const cancel = this.clock.after(TRIAL_MS, () => this.refuse("no address in time"));
      this.trial = {
        resolve: () => {
          cancel();
          resolve();
        },
        reject: (cause) => {
          cancel();
          reject(cause);
        },
      };
      this.join(wifi);
    }).then(
      () => {
        this.wanted = wifi;
      },
      (cause: unknown) => {
        this.join(this.wanted);
        throw cause;
      },
    );
  }

  private join(wifi: WifiSettings | undefined): void {
    if (this.joined) {
      this.joined = false;
      this.onChange(false);
    }
    if (wifi) this.driver.join(wifi.ssid, wifi.password);
    else this.driver.leave();
  }

  private changed(state: "joined" | "left" | "refused", reason?: string): void {
    const { trial } = this;
    if (state === "joined") {
      this.trial = undefined;
      if (!this.joined) {
        this.joined = true;
        this.onChange(true);
      }
      trial?.resolve();
      return;
    }
    if (this.joined || reason) {
      this.joined = false;
      this.onChange(false, reason);
    }
    if (state === "refused") this.refuse(reason ?? "the network refuses");
  }

  private refuse(reason: string): void {
    const { trial } = this;
    this.trial = undefined;
    trial?.reject(new Error(reason));
  }
}
