/** A serial port of this machine in the shape of the Web Serial API, as far as esptool-js uses it (serialport). */
import type { SerialPort } from "serialport";
import { openSerialPort } from "../../gateway/links/serial-port.ts";

interface OpenOptions {
  readonly baudRate: number;
}
interface Signals {
  readonly dataTerminalReady?: boolean;
  readonly requestToSend?: boolean;
}

export class WebSerialPort {
  readable: ReadableStream<Uint8Array> | null = null;
  writable: WritableStream<Uint8Array> | null = null;
  /** Rejects when the port vanishes while it is open. */
  readonly lost: Promise<never>;
  private port: SerialPort | undefined;
  private lose!: (error: Error) => void;

  constructor(
    private readonly path: string,
    private readonly usb: { readonly vendorId?: number; readonly productId?: number } = {},
  ) {
    this.lost = new Promise((_, reject) => {
      this.lose = reject;
    });
    this.lost.catch(() => {});
  }

  getInfo(): { usbVendorId?: number; usbProductId?: number } {
    const { vendorId, productId } = this.usb;
    return {
      ...(vendorId !== undefined && { usbVendorId: vendorId }),
      ...(productId !== undefined && { usbProductId: productId }),
    };
  }

  async open({ baudRate }: OpenOptions): Promise<void> {
    const port = await openSerialPort({ path: this.path, baudRate, hupcl: false });
    this.port = port;
    this.readable = readableOf(port);
    this.writable = new WritableStream({
      write: (bytes) => this.write(port, bytes),
    });
    port.on("error", () => {});
    port.on("close", (error: Error | null) => {
      if (this.port === port || error) this.lose(new Error(`${this.path} vanished`));
    });
  }

  /** A pty has no such lines, and says so: that is no failure. */
  async setSignals({ dataTerminalReady, requestToSend }: Signals): Promise<void> {
    const set = {
      ...(dataTerminalReady !== undefined && { dtr: dataTerminalReady }),
      ...(requestToSend !== undefined && { rts: requestToSend }),
    };
    await new Promise<void>((done) => {
      if (this.port) this.port.set(set, () => done());
      else done();
    });
  }

  /** In place, so that the chip is not reset by a port that opens. */
  async setBaudRate(baudRate: number): Promise<void> {
    await new Promise<void>((done, fail) => {
      if (!this.port) fail(new Error(`${this.path} is closed`));
      else this.port.update({ baudRate }, (error) => (error ? fail(error) : done()));
    });
  }

  async close(): Promise<void> {
    const { port } = this;
    this.port = undefined;
    this.readable = null;
    this.writable = null;
    if (port?.isOpen) await new Promise<void>((done) => port.close(() => done()));
  }

  private write(port: SerialPort, bytes: Uint8Array): Promise<void> {
    return new Promise((done, fail) => {
      port.write(Buffer.from(bytes), (error) => {
        if (error) fail(error);
        else port.drain(() => done());
      });
    });
  }
}

function readableOf(port: SerialPort): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(stream) {
      const end = () => {
        try {
          stream.close();
        } catch {
          // it was cancelled before
        }
      };
      port.on("data", (bytes: Buffer) => {
        try {
          stream.enqueue(new Uint8Array(bytes));
        } catch {
          // cancelled: nobody reads any more
        }
      });
      port.on("close", end);
    },
  });
}
