/** System of an ESP32: reset reason, watchdog, memory that a reset keeps, and how much RAM is left (esp32/esp32.c). */
import { esp32 } from "picobolt/esp32";
import type { System } from "../board.ts";

export function esp32System(): System {
  return {
    resetReason: esp32.resetReason(),
    restart: () => esp32.restart(),
    watchdog: {
      start: (timeoutMs) => esp32.watchdogStart(timeoutMs),
      feed: () => esp32.watchdogFeed(),
    },
    retained: {
      size: esp32.retainedSize(),
      read() {
        const bytes = esp32.retainedRead();
        return bytes && new Uint8Array(bytes);
      },
      write: (bytes) => esp32.retainedWrite(bytes),
    },
    print: (line) => esp32.print(line),
    memory() {
      const freeBytes = esp32.freeBytes();
      return { usedBytes: esp32.totalBytes() - freeBytes, freeBytes };
    },
  };
}
