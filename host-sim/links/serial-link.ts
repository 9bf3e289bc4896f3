/** A serial port as a link: what a board's UART or USB CDC is to its host (serialport); one that vanishes is opened again. */
import type { SerialPort } from "serialport";
import type { Link } from "../../core/ports/link.ts";
import { openSerialPort } from "../../gateway/links/serial-port.ts";
import { MAX_WAITING_BYTES } from "../../gateway/links/socket-link.ts";

export const BAUD_RATE = 115_200;
/** A board that was reset, or plugged in again, has its port back within about a second. */
const REOPEN_MS = 250;

export class SerialLink implements Link {
  readonly kind = "stream";
  readonly name: string;
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  private waiting = 0;
  private isClosed = false;
  private reopening: ReturnType<typeof setTimeout> | undefined;

  private constructor(private port: SerialPort) {
    this.name = `serial:${port.path}`;
    this.listen(port);
  }

  /** Opens a port by its path; the error names the path and what to do. */
  static async open(path: string, baudRate = BAUD_RATE): Promise<SerialLink> {
    return new SerialLink(await openPort(path, baudRate));
  }

  /** False while the port has vanished: what is sent then is lost, as on a pulled cable. */
  get isOpen(): boolean {
    return this.port.isOpen;
  }

  send(bytes: Uint8Array): void {
    const { port } = this;
    if (!port.isOpen || this.waiting > MAX_WAITING_BYTES) return;
    this.waiting += bytes.length;
    port.write(Buffer.from(bytes), () => {
      if (port === this.port) this.waiting -= bytes.length;
    });
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    clearTimeout(this.reopening);
    if (this.port.isOpen) this.port.close();
    else this.onClosed("the serial port closed");
  }

  private listen(port: SerialPort): void {
    port.on("data", (bytes: Buffer) => this.onBytes(bytes));
    port.on("error", () => {});
    // A write that waited when the line hung up makes it close twice.
    port.once("close", () => {
      if (this.isClosed) this.onClosed("the serial port closed");
      else this.reopenLater();
    });
  }

  private reopenLater(): void {
    this.reopening = setTimeout(() => void this.reopen(), REOPEN_MS);
  }

  private async reopen(): Promise<void> {
    const { path, baudRate } = this.port;
    const port = await openPort(path, baudRate).catch(() => undefined);
    if (this.isClosed) port?.close();
    else if (port) {
      this.waiting = 0;
      this.port = port;
      this.listen(port);
    } else this.reopenLater();
  }
}

async function openPort(path: string, baudRate: number): Promise<SerialPort> {
  try {
    return await openSerialPort({ path, baudRate, lock: false });
  } catch (cause) {
    throw new Error(`cannot open the serial port ${path}: ${(cause as Error).message}`);
  }
}
