/** Flash, pins and system of the host board (host/host.c): files, lines of text, and this process. */
import { host } from "picobolt/host";
import type { Pins, System } from "../board.ts";
import type { Flash } from "../store/flash.ts";

const SECTOR_BYTES = 4096;
const RETAINED_BYTES = 4096;
/** Of an ESP32, so that what the program reports of its memory means something. */
const NOMINAL_RAM_BYTES = 320 * 1024;

/** 0 is for records, 1 for settings. */
export function hostFlash(partition: 0 | 1): Flash {
  return {
    size: host.flashSize(partition),
    sectorSize: SECTOR_BYTES,
    read(offset, length) {
      const out = new Uint8Array(length);
      host.flashRead(partition, offset, out);
      return out;
    },
    program: (offset, bytes) => host.flashProgram(partition, offset, bytes),
    erase: (sector) => host.flashErase(partition, sector),
  };
}

/** Inputs are lines such as "button 1" on the standard input; outputs are printed as "pin led 1". */
export function hostPins(names: readonly string[]): Pins {
  const levels = new Map<string, boolean>();
  const listeners = new Map<string, (on: boolean) => void>();
  host.onLine((line) => {
    const [name, level] = line.split(" ");
    if (name === undefined || !names.includes(name) || (level !== "0" && level !== "1")) {
      host.print(`pin? ${line}`);
      return;
    }
    const on = level === "1";
    if (levels.get(name) === on) return;
    levels.set(name, on);
    listeners.get(name)?.(on);
  });
  return {
    names,
    write(name, on) {
      if (levels.get(name) === on) return;
      levels.set(name, on);
      host.print(`pin ${name} ${on ? 1 : 0}`);
    },
    read: (name) => levels.get(name) ?? false,
    watch(name, onEdge) {
      listeners.set(name, onEdge);
    },
  };
}

export function hostSystem(): System {
  let feedMs = 0;
  return {
    resetReason: host.resetReason(),
    restart: () => host.restart(),
    watchdog: {
      start(timeoutMs) {
        feedMs = timeoutMs;
        host.watchdog(timeoutMs);
      },
      feed: () => host.watchdog(feedMs),
    },
    retained: {
      size: RETAINED_BYTES,
      read() {
        const bytes = host.retainedRead();
        return bytes && new Uint8Array(bytes);
      },
      write: (bytes) => host.retainedWrite(bytes),
    },
    print: (line) => host.print(line),
    memory() {
      const usedBytes = host.usedBytes();
      return { usedBytes, freeBytes: Math.max(0, NOMINAL_RAM_BYTES - usedBytes) };
    },
  };
}
