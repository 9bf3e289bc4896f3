/** A serial port that this command has to itself, as a link. */
import type { SerialPort } from "serialport";
import type { Link } from "../../core/ports/link.ts";

export class PortLink implements Link {
  readonly kind = "stream";
  readonly name: string;
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};

  constructor(private readonly port: SerialPort) {
    this.name = `serial:${port.path}`;
    port.on("data", (bytes: Buffer) => this.onBytes(bytes));
    port.once("close", () => this.onClosed("the serial port closed"));
  }

  send(bytes: Uint8Array): void {
    if (this.port.isOpen) this.port.write(Buffer.from(bytes));
  }

  /** What was sent is on the wire: a goodbye that is lost keeps the other side waiting. */
  async drained(): Promise<void> {
    if (this.port.isOpen) await new Promise<void>((done) => this.port.drain(() => done()));
  }

  close(): void {
    if (this.port.isOpen) this.port.close();
  }
}
