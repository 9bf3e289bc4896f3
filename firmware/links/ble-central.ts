/** A device (or a host) that buys over BLE: finds a machine by its name or address, connects, and comes again (docs/LINKS.md "BLE"). */
import type { Entropy } from "../../core/ports/crypto.ts";
import type { Link } from "../../core/ports/link.ts";
import { equal } from "../../core/primitives/bytes.ts";
import type { Clock } from "../board.ts";
import { Backoff, type BackoffRange } from "./backoff.ts";
import { BleStream, busyNotice } from "./ble-stream.ts";
import type { BleCentralDriver } from "./drivers.ts";

export interface BleFound {
  readonly address: string;
  readonly name: string;
}

export interface BleCentralOptions {
  readonly driver: BleCentralDriver;
  readonly clock: Pick<Clock, "nowMs" | "after">;
  readonly entropy: Entropy;
  /** Whether this is the machine to buy from; see `isNamed`. */
  readonly isWanted: (found: BleFound) => boolean;
  /** A new link at each connection; it closes with it. */
  readonly attach: (link: Link) => void;
  readonly onState?: (state: BleCentralState) => void;
  readonly backoff?: BackoffRange;
  /** One search takes at most this. */
  readonly scanMs?: number;
}

export type BleCentralState =
  | { readonly type: "scanning" }
  | { readonly type: "connecting"; readonly found: BleFound }
  | { readonly type: "connected"; readonly found: BleFound }
  /** The machine serves another customer. */
  | { readonly type: "busy"; readonly found: BleFound }
  | { readonly type: "pausing"; readonly pauseMs: number; readonly reason: string };

export const DEFAULT_BACKOFF: BackoffRange = { minMs: 500, maxMs: 30_000 };
const SCAN_MS = 15_000;
/** A connection that lasted so long was a good one. */
const GOOD_MS = 10_000;

/** By what a person types: an address, or the whole name; either case. */
export function isNamed(wanted: string): (found: BleFound) => boolean {
  const low = wanted.toLowerCase();
  return ({ address, name }) => address.toLowerCase() === low || name.toLowerCase() === low;
}

export class BleCentral {
  private readonly backoff: Backoff;
  private isRunning = false;
  /** Counts the starts: what an earlier one began ends without effect. */
  private run = 0;
  private link: BleStream | undefined;
  private stopScan = () => {};
  private cancel = () => {};

  constructor(private readonly options: BleCentralOptions) {
    this.backoff = new Backoff(options.backoff ?? DEFAULT_BACKOFF, options.entropy);
  }

  get linkName(): string | undefined {
    return this.link?.name;
  }

  start(): void {
    if (this.isRunning) return;
    this.isRunning = true;
    this.run++;
    this.search();
  }

  stop(): void {
    this.isRunning = false;
    this.endSearch();
    this.link?.closeFor("no longer wanted");
  }

  private search(): void {
    const { driver, clock, isWanted, scanMs = SCAN_MS } = this.options;
    this.tell({ type: "scanning" });
    // A driver may find one before `scan` returns.
    let found: BleFound | undefined;
    let isBegun = false;
    const go = (one: BleFound) => {
      this.endSearch();
      void this.connect(one);
    };
    this.stopScan = driver.scan((one) => {
      if (found || !this.isRunning || !isWanted(one)) return;
      found = one;
      if (isBegun) go(one);
    });
    isBegun = true;
    this.cancel = clock.after(scanMs, () => {
      this.endSearch();
      this.again("it is not in reach");
    });
    if (found) go(found);
  }

  private endSearch(): void {
    this.cancel();
    this.cancel = () => {};
    this.stopScan();
    this.stopScan = () => {};
  }

  private async connect(found: BleFound): Promise<void> {
    this.tell({ type: "connecting", found });
    const { run } = this;
    const isCurrent = () => this.isRunning && this.run === run;
    try {
      const connection = await this.options.driver.connect(found.address);
      if (isCurrent()) this.use(new BleStream(connection), found);
      else connection.close();
    } catch (cause) {
      if (isCurrent()) this.again(cause instanceof Error ? cause.message : String(cause));
    }
  }

  private use(link: BleStream, found: BleFound): void {
    const { clock, attach } = this.options;
    const sinceMs = clock.nowMs();
    const busy = busyNotice();
    let isBusy = false;
    this.link = link;
    const seen: Link = {
      name: link.name,
      kind: "stream",
      onBytes: () => {},
      onClosed: () => {},
      close: () => link.close(),
      send: (bytes) => link.send(bytes),
    };
    link.onBytes = (bytes) => {
      isBusy = equal(bytes, busy);
      if (isBusy) link.closeFor("the machine serves another customer");
      else seen.onBytes(bytes);
    };
    link.onClosed = (reason) => {
      this.link = undefined;
      seen.onClosed(reason);
      if (isBusy) this.tell({ type: "busy", found });
      else if (clock.nowMs() - sinceMs >= GOOD_MS) this.backoff.reset();
      this.again(reason);
    };
    this.tell({ type: "connected", found });
    attach(seen);
  }

  private again(reason: string): void {
    if (!this.isRunning) return;
    const pauseMs = this.backoff.next();
    this.tell({ type: "pausing", pauseMs, reason });
    this.cancel = this.options.clock.after(pauseMs, () => this.search());
  }

  private tell(state: BleCentralState): void {
    this.options.onState?.(state);
  }
}
