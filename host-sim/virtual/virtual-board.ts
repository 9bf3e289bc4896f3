/** A board without hardware: emulated flash in files, virtual pins, this process's clock; the program on it is the firmware's own. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Board, Clock, System, UpdateSlots } from "../../firmware/board.ts";
import { RESET_REASONS, type ResetReason } from "../../firmware/board.ts";
import type { LinkDrivers } from "../../firmware/links/drivers.ts";
import { NorFlash } from "../flash/nor-flash.ts";
import type { Mechanics } from "./mechanics.ts";

export const RECORDS_BYTES = 1024 * 1024;
export const SETTINGS_BYTES = 128 * 1024;
/** As an ESP32's RTC memory. */
const RETAINED_BYTES = 4096;
const SLOT_BYTES = 1536 * 1024;
/** A process that ends with this wants to be started again. */
export const RESTART_CODE = 75;

export interface VirtualBoardOptions {
  /** Holds the flash files; made where it is missing. */
  readonly folder: string;
  readonly crypto: Crypto;
  readonly mechanics: Mechanics;
  readonly links: LinkDrivers;
  /** The default ends this process with RESTART_CODE. */
  readonly restart?: () => void;
  readonly print: (line: string) => void;
  /** Seconds by which the device's wall clock is wrong; undefined where it has none. */
  readonly clockErrorSeconds?: number | undefined;
  /** Of an image that is new (firmware/board.ts). */
  readonly trialMs?: number;
  /** Flush each flash step to the disk: a killed machine then loses nothing either. */
  readonly flush?: boolean;
}

export interface VirtualBoard extends Board {
  readonly records: NorFlash;
  readonly settings: NorFlash;
}

export function createVirtualBoard(options: VirtualBoardOptions): VirtualBoard {
  const { folder, crypto, mechanics, links, flush = false } = options;
  mkdirSync(folder, { recursive: true });
  const partition = (name: string, size: number) =>
    new NorFlash({ size, file: join(folder, `${name}.bin`), flush });
  const records = partition("records", RECORDS_BYTES);
  const settings = partition("settings", SETTINGS_BYTES);
  const system = virtualSystem(options);
  return {
    model: "virtual",
    crypto,
    entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
    clock: virtualClock(options.clockErrorSeconds),
    flash: { records, settings },
    records,
    settings,
    pins: mechanics,
    links,
    system,
    update: new FileSlots(folder, () => system.restart(), options.trialMs),
  };
}

/** Monotonic since the process began; the wall clock is the machine's, as wrong as asked. */
function virtualClock(errorSeconds: number | undefined): Clock {
  let offset = errorSeconds ?? 0;
  let isKnown = errorSeconds !== undefined;
  const machineSeconds = () => Math.floor(Date.now() / 1000);
  return {
    nowMs: () => Math.floor(performance.now()),
    nowSeconds: () => (isKnown ? machineSeconds() + offset : undefined),
    setSeconds: (seconds) => {
      offset = seconds - machineSeconds();
      isKnown = true;
    },
    after: (delayMs, work) => {
      const timer = setTimeout(work, delayMs);
      return () => clearTimeout(timer);
    },
  };
}

/** The retained memory is a file that says how the last run ended: whoever kills the process deletes it, as a power cut would. */
function virtualSystem(options: VirtualBoardOptions): System {
  const file = join(options.folder, "retained.bin");
  const reasonFile = join(options.folder, "reset-reason");
  const said = existsSync(reasonFile) ? readFileSync(reasonFile, "utf8") : "power";
  const resetReason = RESET_REASONS.find((one) => one === said) ?? "unknown";
  const leave = (reason: ResetReason) => writeFileSync(reasonFile, reason);
  // Whatever ends this process without a word is a loss of power.
  rmSync(reasonFile, { force: true });
  if (resetReason === "power") rmSync(file, { force: true });
  const restart = options.restart ?? (() => process.exit(RESTART_CODE));
  let feeding: ReturnType<typeof setTimeout> | undefined;
  let patienceMs = 0;
  const feed = () => {
    clearTimeout(feeding);
    feeding = setTimeout(() => {
      leave("watchdog");
      restart();
    }, patienceMs);
    feeding.unref();
  };
  return {
    resetReason,
    restart: () => {
      leave("restart");
      restart();
    },
    watchdog: {
      start: (timeoutMs) => {
        patienceMs = timeoutMs;
        feed();
      },
      feed,
    },
    retained: {
      size: RETAINED_BYTES,
      read: () => (existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined),
      write: (bytes) => writeFileSync(file, bytes.subarray(0, RETAINED_BYTES)),
    },
    print: options.print,
    memory: () => {
      const { heapUsed, heapTotal } = process.memoryUsage();
      return { usedBytes: heapUsed, freeBytes: heapTotal - heapUsed };
    },
  };
}

interface SlotState {
  /** Which of the two runs. */
  readonly running: 0 | 1;
  readonly confirmed: boolean;
}

/** Two image files and a note of which runs, as a boot loader keeps them: what was not confirmed is rolled back at the next start. */
class FileSlots implements UpdateSlots {
  readonly trialMs?: number;
  private state: SlotState;
  private written: Uint8Array[] | undefined;
  private room = 0;

  constructor(
    private readonly folder: string,
    private readonly restart: () => void,
    trialMs?: number,
  ) {
    if (trialMs !== undefined) this.trialMs = trialMs;
    const file = this.stateFile;
    this.state = existsSync(file)
      ? (JSON.parse(readFileSync(file, "utf8")) as SlotState)
      : { running: 0, confirmed: true };
    // Tried once: a start without a word of confirmation was its last.
    const tried = join(folder, "slot-tried");
    if (this.state.confirmed) rmSync(tried, { force: true });
    else if (existsSync(tried)) {
      this.keep({ running: this.state.running === 0 ? 1 : 0, confirmed: true });
      rmSync(tried, { force: true });
    } else writeFileSync(tried, "");
  }

  get confirmed(): boolean {
    return this.state.confirmed;
  }

  begin(byteLength: number): void {
    if (byteLength > SLOT_BYTES) {
      throw new Error(`the image has ${byteLength} bytes, the slot ${SLOT_BYTES}`);
    }
    this.room = byteLength;
    this.written = [];
  }

  write(bytes: Uint8Array): void {
    if (!this.written) throw new Error("no update has begun");
    if (bytes.length > this.room) throw new Error("the image is longer than was said");
    this.room -= bytes.length;
    this.written.push(bytes.slice());
  }

  complete(): void {
    if (!this.written || this.room !== 0) throw new Error("the image is not complete");
    const other = this.state.running === 0 ? 1 : 0;
    writeFileSync(join(this.folder, `slot${other}.bin`), Buffer.concat(this.written));
    this.written = undefined;
    this.keep({ running: other, confirmed: false });
  }

  abort(): void {
    this.written = undefined;
  }

  confirm(): void {
    this.keep({ ...this.state, confirmed: true });
    rmSync(join(this.folder, "slot-tried"), { force: true });
  }

  rollBack(): void {
    this.keep({ running: this.state.running === 0 ? 1 : 0, confirmed: true });
    this.restart();
  }

  private get stateFile(): string {
    return join(this.folder, "slots.json");
  }

  private keep(state: SlotState): void {
    this.state = state;
    writeFileSync(this.stateFile, JSON.stringify(state));
  }
}
