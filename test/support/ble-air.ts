/** BLE in memory for fault injection: one peripheral, any number of centrals, an air that tests jam, tap and damage. */
import type {
  BleCentralDriver,
  BleConnection,
  BlePeripheralDriver,
} from "../../firmware/links/drivers.ts";

/** Towards the machine, or towards the customer. */
export type Direction = "up" | "down";

export class AirConnection implements BleConnection {
  onBytes: (bytes: Uint8Array) => void = () => {};
  onWritable: () => void = () => {};
  onClosed: (reason: string) => void = () => {};
  other!: AirConnection;
  isOpen = true;
  wantsRoom = false;
  /** Sizes of what was sent. */
  readonly sizes: number[] = [];

  constructor(
    private readonly air: Air,
    /** Of the other side, as a stack tells it. */
    readonly address: string,
    readonly direction: Direction,
  ) {}

  get maxWrite(): number {
    return this.air.mtu - 3;
  }

  send(bytes: Uint8Array): boolean {
    if (!this.isOpen) return false;
    if (bytes.length > this.maxWrite) throw new Error(`${bytes.length} bytes do not fit the MTU`);
    if (this.air.isJammed(this.direction)) {
      this.wantsRoom = true;
      return false;
    }
    this.sizes.push(bytes.length);
    this.air.carry(this, bytes.slice());
    return true;
  }

  close(): void {
    for (const end of [this, this.other]) end.end("the connection was closed");
  }

  /** Out of reach: this end learns it, the other one does not yet. */
  end(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.onClosed(reason);
  }
}

export class Air {
  mtu = 247;
  jammed: readonly Direction[] = [];
  /** What becomes of a write or a notification: none, one or several, changed or not. */
  damage: (bytes: Uint8Array, direction: Direction) => readonly Uint8Array[] = (bytes) => [bytes];
  /** Writes of customers, as a sniffer has them. */
  readonly tape: Uint8Array[] = [];
  readonly connections: AirConnection[] = [];
  advertised: string | undefined;
  readonly peripheral: BlePeripheralDriver = {
    advertise: (name) => {
      this.advertised = name;
    },
    stopAdvertising: () => {
      this.advertised = undefined;
    },
    onConnected: () => {},
  };
  private readonly queue: (() => void)[] = [];

  central(address: string): BleCentralDriver {
    return {
      scan: (onFound) => {
        const { advertised } = this;
        if (advertised !== undefined) onFound({ address: MACHINE, name: advertised });
        return () => {};
      },
      connect: async () => this.connect(address),
    };
  }

  /** The customer's end. */
  connect(address: string): AirConnection {
    if (this.advertised === undefined) throw new Error("nobody advertises");
    const customer = new AirConnection(this, MACHINE, "up");
    const machine = new AirConnection(this, address, "down");
    customer.other = machine;
    machine.other = customer;
    this.connections.push(customer);
    this.queue.push(() => this.peripheral.onConnected(machine));
    return customer;
  }

  isJammed(direction: Direction): boolean {
    return this.jammed.includes(direction);
  }

  carry(from: AirConnection, bytes: Uint8Array): void {
    if (from.direction === "up") this.tape.push(bytes);
    for (const piece of this.damage(bytes, from.direction)) {
      this.queue.push(() => {
        if (from.other.isOpen) from.other.onBytes(piece);
      });
    }
  }

  /** Delivers until nothing moves, at most `most`; how many there were. */
  pump(most = Number.POSITIVE_INFINITY): number {
    let count = 0;
    for (; count < most; count++) {
      const next = this.queue.shift();
      if (!next) break;
      next();
    }
    return count;
  }

  /** There is room again. */
  clear(): void {
    this.jammed = [];
    for (const end of this.connections.flatMap((one) => [one, one.other])) {
      if (!end.wantsRoom) continue;
      end.wantsRoom = false;
      end.onWritable();
    }
  }

  /** What is under way is lost. */
  lose(): void {
    this.queue.length = 0;
  }
}

const MACHINE = "aa:bb:cc:00:00:01";
