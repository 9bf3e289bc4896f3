/** What a board is to the program: everything that touches hardware or a platform, as ports (DESIGN §2 "ports"). */
import type { Crypto, Entropy } from "../core/ports/crypto.ts";
import type { LinkDrivers } from "./links/drivers.ts";
import type { Flash } from "./store/flash.ts";

/** One per target: firmware/main.ts builds it of Moddable's modules, host-sim of virtual ones. */
export interface Board {
  /** As in the board's manifest and in update images: "esp32c3", "host", "virtual", "mcu" … */
  readonly model: string;
  readonly crypto: Crypto;
  readonly entropy: Entropy;
  readonly clock: Clock;
  /** Raw partitions: channel records, and apart from them keys and settings. */
  readonly flash: { readonly records: Flash; readonly settings: Flash };
  readonly pins: Pins;
  readonly links: LinkDrivers;
  readonly system: System;
  /** Absent where the program cannot be replaced. */
  readonly update?: UpdateSlots;
  /**
   * After whatever the board received, and while nothing else is to be done, it calls `work` until that says that
   * nothing is left; one call takes some ten milliseconds. Absent: the program's own beat does it.
   */
  whenIdle?(work: () => boolean): void;
}

export interface Clock {
  /** Since some moment before the start; never goes back. */
  nowMs(): number;
  /** Wall clock in Unix seconds; undefined while nobody has told it. May jump. */
  nowSeconds(): number | undefined;
  /** Sets the wall clock where the board has one to set. */
  setSeconds?(seconds: number): void;
  /** Calls `work` once; the function returned cancels it. */
  after(delayMs: number, work: () => void): () => void;
}

/** Digital pins by the names of the board's manifest: "button", "led", "sensor", "motor1" …, "relay", "meter". */
export interface Pins {
  readonly names: readonly string[];
  write(name: string, on: boolean): void;
  read(name: string): boolean;
  /** Calls at each edge; one listener a pin, a later one replaces it. `atMs`: when it was, by the clock, where the board can tell. */
  watch(name: string, onEdge: (on: boolean, atMs?: number) => void): void;
}

export const RESET_REASONS = [
  "power",
  "brownout",
  "restart",
  "watchdog",
  "crash",
  "unknown",
] as const;
export type ResetReason = (typeof RESET_REASONS)[number];

export interface System {
  readonly resetReason: ResetReason;
  /** Never returns on a board; on a host it ends the program. */
  restart(): void;
  /** Restarts the board unless it is fed in time. */
  readonly watchdog?: { start(timeoutMs: number): void; feed(): void };
  /** A small memory that a reset keeps and a power cut loses: log ring and crash reason. */
  readonly retained?: {
    readonly size: number;
    read(): Uint8Array | undefined;
    write(bytes: Uint8Array): void;
  };
  /** One line for whoever watches the console. */
  print(line: string): void;
  /** RAM in use, where the board can tell. */
  memory?(): { readonly usedBytes: number; readonly freeBytes: number };
}

/** Two places for the program (`embedded:update`): one runs, the other is written. */
export interface UpdateSlots {
  /** False: the running image is on trial, and the boot loader goes back to the other one unless it is confirmed. */
  readonly confirmed: boolean;
  /** An image proves itself by running for so long; half a minute where absent. */
  readonly trialMs?: number;
  /** Erases the other slot; throws where `byteLength` does not fit. */
  begin(byteLength: number): void;
  /** In order, without gaps. */
  write(bytes: Uint8Array): void;
  /** The written image runs after the next restart, on trial. */
  complete(): void;
  abort(): void;
  confirm(): void;
  /** Back to the other image, now. */
  rollBack(): void;
}

/** What the running image knows of itself; fixed when it is built. */
export interface Image {
  /** For people: "0.2.0". */
  readonly version: string;
  /** Rises with every release: an update with a lower one is a downgrade, and refused. */
  readonly number: number;
  /** Whose signature an update needs; 33 bytes. Absent: this image takes no updates. */
  readonly releaseKey?: Uint8Array;
  readonly network: "mainnet" | "testnet4" | "signet" | "regtest";
}
