/** The emulated microcontroller as a Board: partitions on its NOR flash, its UART, a clock that the platform's tick drives, looped pins. */
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Board, Clock, Pins, ResetReason, System } from "../../firmware/board.ts";
import { nativeEntropy } from "../../firmware/crypto/native.ts";
import type { SerialDriver } from "../../firmware/links/drivers.ts";
import type { Flash } from "../../firmware/store/flash.ts";
import "./natives.ts";

const KB = 1024;
const SECTOR_BYTES = 4 * KB;
const RECORDS_BYTES = 512 * KB;
const SETTINGS_BYTES = 128 * KB;
/** As in platform/start.c. */
const RETAINED_BYTES = KB;
const RAM_BYTES = 320 * KB;
/** From the motor's pulse until the product passes the sensor, and for how long it does. */
const FALL_MS = 30;
const PASS_MS = 20;
/** By the platform's numbers. */
const resetReasons: readonly ResetReason[] = ["power", "restart", "crash", "watchdog"];

/** With what the platform's loop drives. */
export interface McuBoard extends Board {
  readonly uart: SerialDriver;
  readonly clock: TickClock;
  /** Whether there may be more to do. */
  idle(): boolean;
}

/** What holds no state of its own lies in flash, as a driver's functions do: made here, not at each start. */
const board = picoboltBoard;
const entropy = nativeEntropy(picoboltNative);
const flash = {
  records: partition(0, RECORDS_BYTES),
  settings: partition(RECORDS_BYTES, SETTINGS_BYTES),
} as const;
const system: System = {
  get resetReason() {
    return resetReasons[board.resetReason()] ?? "unknown";
  },
  restart: () => board.restart(),
  retained: {
    size: RETAINED_BYTES,
    read() {
      const bytes = new Uint8Array(board.retainedRead());
      return bytes.length > 0 ? bytes : undefined;
    },
    write: (bytes) => board.retainedWrite(bytes),
  },
  print: (line) => board.print(line),
  memory() {
    const usedBytes = board.heapBytes();
    return { usedBytes, freeBytes: Math.max(0, RAM_BYTES - usedBytes) };
  },
};

export function openBoard(crypto: Crypto): McuBoard {
  const clock = new TickClock();
  const uart: SerialDriver = {
    name: "uart",
    write: (bytes) => board.uartWrite(bytes),
    onBytes: () => {},
  };
  let whenIdle = () => false;
  return {
    model: "mcu",
    crypto,
    entropy,
    clock,
    flash,
    pins: loopback(clock),
    links: { serial: [uart] },
    system,
    whenIdle: (work) => {
      whenIdle = work;
    },
    uart,
    idle: () => whenIdle(),
  };
}

/** A part of the one flash, that no offset leads out of. */
function partition(start: number, size: number): Flash {
  const within = (offset: number, length: number): number => {
    if (offset >= 0 && length >= 0 && offset + length <= size) return start + offset;
    throw new RangeError(`${length} bytes at ${offset} are outside a partition of ${size}`);
  };
  return {
    size,
    sectorSize: SECTOR_BYTES,
    read: (offset, length) => new Uint8Array(board.flashRead(within(offset, length), length)),
    program: (offset, bytes) => board.flashProgram(within(offset, bytes.length), bytes),
    erase: (sector) => board.flashErase(within(sector * SECTOR_BYTES, SECTOR_BYTES) / SECTOR_BYTES),
    isErased: (offset, length) => board.flashIsErased(within(offset, length), length),
    holds: (offset, bytes) => board.flashHolds(within(offset, bytes.length), bytes),
    crc32: (bytes, previous) => board.crc32(bytes, previous),
  };
}

interface Timer {
  readonly atMs: number;
  readonly work: () => void;
}

/** Timers that the platform's tick fires; no wall clock. */
export class TickClock implements Clock {
  /** Few: they are looked through at each tick. */
  private due: readonly Timer[] = [];

  nowMs(): number {
    return board.nowMs();
  }

  nowSeconds(): undefined {
    return undefined;
  }

  after(delayMs: number, work: () => void): () => void {
    const timer = { atMs: this.nowMs() + delayMs, work };
    this.due = [...this.due, timer];
    return () => this.forget(timer);
  }

  tick(nowMs: number): void {
    const { due } = this;
    for (let i = 0; i < due.length; i++) {
      const timer = due[i] as Timer;
      // One that ran before it may have cancelled it.
      if (timer.atMs > nowMs || !this.due.includes(timer)) continue;
      this.forget(timer);
      timer.work();
    }
  }

  private forget(timer: Timer): void {
    this.due = this.due.filter((one) => one !== timer);
  }
}

/** The machine has no pins of its own: each motor lets something fall past the sensor. */
function loopback(clock: Clock): Pins {
  let isSeen = false;
  let onEdge: (on: boolean) => void = () => {};
  const see = (on: boolean) => {
    isSeen = on;
    onEdge(on);
  };
  return {
    names: ["button", "led", "sensor", "motor1", "motor2"],
    write: (name, on) => {
      if (!name.startsWith("motor") || !on) return;
      clock.after(FALL_MS, () => {
        see(true);
        clock.after(PASS_MS, () => see(false));
      });
    },
    read: (name) => name === "sensor" && isSeen,
    watch: (name, listener) => {
      if (name === "sensor") onEdge = listener;
    },
  };
}
