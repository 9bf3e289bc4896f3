/** A UART (`embedded:io/serial`): bytes wait here until it has room, for its `write` takes all or throws. */
import Serial from "embedded:io/serial";
import type { SerialDriver } from "../links/drivers.ts";
import { ByteQueue } from "./byte-queue.ts";

export interface UartConfig {
  readonly port: number;
  readonly receive: number;
  readonly transmit: number;
  readonly baud: number;
}

/** More than the largest frame twice: whoever sends faster than the line loses frames, as on any UART. */
export const MAX_WAITING_BYTES = 16_384;

/** A chip's UART, by its pins. */
export function openUart(name: string, config: UartConfig): SerialDriver {
  return open(name, config);
}

/** A terminal of the host, by its path. */
export function openTty(name: string, device: string, baud: number): SerialDriver {
  return open(name, { device, baud } as unknown as UartConfig);
}

function open(name: string, config: UartConfig): SerialDriver {
  const waiting = new ByteQueue(MAX_WAITING_BYTES);
  let room = 0;
  // One write for each `onWritable`: Linux refuses a second one before that, and a chip's FIFO calls again soon.
  const flush = () => {
    if (room === 0 || waiting.length === 0) return;
    const bytes = waiting.take(room);
    room = 0;
    // A buffer of exactly its length: not every port takes views.
    serial.write(bytes.buffer as ArrayBuffer);
  };
  const driver: SerialDriver = {
    name,
    onBytes: () => {},
    write(bytes) {
      waiting.put(bytes);
      flush();
    },
  };
  const serial = new Serial({
    ...config,
    format: "buffer",
    onReadable() {
      const bytes = this.read();
      if (bytes instanceof ArrayBuffer) driver.onBytes(new Uint8Array(bytes));
    },
    onWritable(count) {
      room = count;
      flush();
    },
  });
  return driver;
}
