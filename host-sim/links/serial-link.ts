/** A serial port as a link: what a board's UART or USB CDC is to its host (serialport). */
import { SerialPort } from "serialport";
import type { Link } from "../../core/ports/link.ts";
import { MAX_WAITING_BYTES } from "./socket-link.ts";

export const BAUD_RATE = 115_200;

export class SerialLink implements Link {
  readonly kind = "stream";
  readonly name: string;
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  private waiting = 0;

  private constructor(private readonly port: SerialPort) {
    this.name = `serial:${port.path}`;
    port.on("data", (bytes: Buffer) => this.onBytes(bytes));
    port.on("error", () => {});
    port.on("close", () => this.onClosed("the serial port closed"));
  }

  /** Opens a port by its path; the error names the path and what to do. */
  static open(path: string, baudRate = BAUD_RATE): Promise<SerialLink> {
    return new Promise((resolve, reject) => {
      const port = new SerialPort({ path, baudRate, autoOpen: false, lock: false });
      port.open((error) => {
        if (!error) resolve(new SerialLink(port));
        else reject(new Error(`cannot open the serial port ${path}: ${error.message}`));
      });
    });
  }

  send(bytes: Uint8Array): void {
    if (!this.port.isOpen || this.waiting > MAX_WAITING_BYTES) return;
    this.waiting += bytes.length;
    this.port.write(Buffer.from(bytes), () => {
      this.waiting -= bytes.length;
    });
  }

  close(): void {
    if (this.port.isOpen) this.port.close();
  }
}
