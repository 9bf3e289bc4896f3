/** The port of a virtual device that people plug into: a pty whose far side is the device's UART; laid only while somebody uses it. */

import { MAX_WAITING_BYTES } from "../../gateway/links/socket-link.ts";
import { CableEnd } from "../links/cable.ts";

export class CustomerPort {
  private readonly device: CableEnd;
  private readonly customer: CableEnd;

  private constructor(base: string) {
    this.device = new CableEnd(`${base}.board`, "socket", (bytes) => carry(bytes, this.customer));
    this.customer = new CableEnd(base, "pty", (bytes) => carry(bytes, this.device));
  }

  /** `base`: where the pty appears. */
  static async of(base: string): Promise<CustomerPort> {
    const port = new CustomerPort(base);
    await port.device.open();
    return port;
  }

  /** What the device's process opens; it may come again. */
  get deviceLink(): string {
    return this.device.link;
  }

  /** What a customer opens once it is plugged in. */
  get customerLink(): string {
    return this.customer.link;
  }

  async plugIn(): Promise<void> {
    await this.customer.open();
  }

  /** A goodbye that is lost keeps the device's place for 15 s. */
  async unplug(): Promise<void> {
    await this.customer.drained();
    await this.customer.close();
  }

  async close(): Promise<void> {
    await Promise.all([this.customer.close(), this.device.close()]);
  }
}

/** What nobody reads is lost, as on a wire. */
function carry(bytes: Uint8Array, { socket }: CableEnd): void {
  if (socket?.writable && socket.writableLength <= MAX_WAITING_BYTES) socket.write(bytes);
}
