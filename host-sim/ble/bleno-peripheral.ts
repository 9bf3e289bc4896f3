/** The peripheral side of a virtual device: the Nordic UART service, and Improv's beside it, on bleno. */
import {
  type BleConnection,
  type BleImprovDriver,
  type BlePeripheralDriver,
  NUS_RX,
  NUS_SERVICE,
  NUS_TX,
} from "../../firmware/links/drivers.ts";
import {
  IMPROV_CAPABILITIES,
  IMPROV_COMMAND,
  IMPROV_ERROR,
  IMPROV_RESULT,
  IMPROV_SERVICE,
  IMPROV_STATE,
} from "../../firmware/links/improv-ble.ts";
import { type Bleno, type Notify, startBleno } from "./stacks.ts";
import type { Controller } from "./virtual-radio.ts";

export interface BlenoPeripheral extends BlePeripheralDriver {
  readonly improv: BleImprovDriver;
  readonly address: string;
  /** As when all centrals go out of reach. */
  disconnectAll(): void;
  close(): void;
}

/** As a board's stack asks for (firmware/drivers/ble-peripheral.ts). */
export const PREFERRED_MTU = 247;
const ATT_HEADER_BYTES = 3;
const LEAST_MTU = 23;
/** Notifications that wait in the stack. */
const MAX_WAITING = 8;
const RETRY_MS = 2;
/** What fits into a scan response. */
const MAX_NAME_BYTES = 29;
const SUCCESS = 0;

/** A real stack on this controller; ready to advertise. */
export async function blePeripheralDriver(controller: Controller): Promise<BlenoPeripheral> {
  const bleno = await startBleno(controller);
  bleno._bindings._gatt.maxMtu = PREFERRED_MTU;
  return new Peripheral(bleno);
}

class Peripheral implements BlenoPeripheral {
  readonly improv: BleImprovDriver;
  onConnected: (connection: BleConnection) => void = () => {};
  private readonly connections = new Map<number, Connection>();
  private readonly addresses = new Map<number, string>();
  private wantedName: string | undefined;

  constructor(private readonly bleno: Bleno) {
    const improv = new ImprovService(bleno);
    this.improv = improv;
    bleno.setServices([this.uart(), improv.service]);
    bleno.on("accept", (address: string, handle: number) => {
      this.addresses.set(handle, address);
      // btvirt (seen: 5.66) gives the second central of a peripheral the first one's handle, and mixes their bytes: a
      // board goes on advertising, this one is not seen while it is connected.
      bleno.stopAdvertising();
    });
    bleno.on("disconnect", (_address: string, handle: number) => {
      this.addresses.delete(handle);
      this.end(handle, "the central disconnected");
      if (this.wantedName !== undefined) this.advertise(this.wantedName);
    });
  }

  get address(): string {
    return this.bleno.address;
  }

  advertise(localName: string): void {
    this.wantedName = localName;
    if (this.addresses.size > 0) return;
    const name = cut(localName, MAX_NAME_BYTES);
    this.bleno.startAdvertisingAsync(name, [NUS_SERVICE]).catch(() => {});
  }

  stopAdvertising(): void {
    this.wantedName = undefined;
    if (this.addresses.size === 0) this.bleno.stopAdvertising();
  }

  disconnectAll(): void {
    for (const handle of this.addresses.keys()) this.bleno.disconnect(handle);
  }

  close(): void {
    for (const handle of [...this.connections.keys()]) this.end(handle, "the radio is off");
    this.bleno.removeAllListeners();
    this.bleno.stop();
    this.bleno._bindings._hci.pollIsDevUp = () => {};
  }

  private uart(): object {
    const { Characteristic, PrimaryService } = this.bleno;
    const rx = new Characteristic({
      uuid: NUS_RX,
      properties: ["write", "writeWithoutResponse"],
      onWriteRequest: (handle, data, _offset, _withoutResponse, answer) => {
        answer(SUCCESS);
        this.connections.get(handle)?.onBytes(new Uint8Array(data));
      },
    });
    const tx = new Characteristic({
      uuid: NUS_TX,
      properties: ["notify"],
      onSubscribe: (handle, _maxBytes, notify) => this.subscribed(handle, notify),
      onUnsubscribe: (handle) => this.end(handle, "the central unsubscribed"),
    });
    return new PrimaryService({ uuid: NUS_SERVICE, characteristics: [rx, tx] });
  }

  private subscribed(handle: number, notify: Notify): void {
    if (this.connections.has(handle)) return;
    const address = this.addresses.get(handle) ?? `handle-${handle}`;
    const connection = new Connection(this.bleno, { handle, address, notify });
    this.connections.set(handle, connection);
    // The answer to the subscription leaves first.
    setImmediate(() => {
      if (this.connections.get(handle) === connection) this.onConnected(connection);
    });
  }

  private end(handle: number, reason: string): void {
    const connection = this.connections.get(handle);
    this.connections.delete(handle);
    connection?.ended(reason);
  }
}

interface Central {
  readonly handle: number;
  readonly address: string;
  readonly notify: Notify;
}

class Connection implements BleConnection {
  onBytes: (bytes: Uint8Array) => void = () => {};
  onWritable: () => void = () => {};
  onClosed: (reason: string) => void = () => {};
  private isOpen = true;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly bleno: Bleno,
    private readonly central: Central,
  ) {}

  get address(): string {
    return this.central.address;
  }

  get maxWrite(): number {
    const known = this.bleno._bindings._gatt._connections.get(this.central.handle);
    return (known?.mtu ?? LEAST_MTU) - ATT_HEADER_BYTES;
  }

  send(bytes: Uint8Array): boolean {
    if (!this.isOpen) return false;
    if (this.isFull) {
      this.tellWhenWritable();
      return false;
    }
    this.central.notify(Buffer.from(bytes));
    return true;
  }

  close(): void {
    if (this.isOpen) this.bleno.disconnect(this.central.handle);
  }

  ended(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    clearTimeout(this.retry);
    this.onClosed(reason);
  }

  private get isFull(): boolean {
    return this.bleno._bindings._hci._aclOutQueue.length >= MAX_WAITING;
  }

  private tellWhenWritable(): void {
    this.retry ??= setTimeout(() => {
      this.retry = undefined;
      if (this.isFull) this.tellWhenWritable();
      else this.onWritable();
    }, RETRY_MS);
  }
}

/** Improv's characteristics hold what the firmware sets; whoever subscribed is told of each change. */
class ImprovService implements BleImprovDriver {
  readonly service: object;
  onCommand: (bytes: Uint8Array) => void = () => {};
  private readonly values = new Map<string, Buffer>();
  private readonly subscribers = new Map<string, Map<number, Notify>>();

  constructor({ Characteristic, PrimaryService }: Bleno) {
    const told = [IMPROV_STATE, IMPROV_ERROR, IMPROV_RESULT].map(
      (uuid) =>
        new Characteristic({ uuid, properties: ["read", "notify"], ...this.handlersOf(uuid) }),
    );
    const capabilities = new Characteristic({
      uuid: IMPROV_CAPABILITIES,
      properties: ["read"],
      ...this.handlersOf(IMPROV_CAPABILITIES),
    });
    const command = new Characteristic({
      uuid: IMPROV_COMMAND,
      properties: ["write", "writeWithoutResponse"],
      onWriteRequest: (_handle, data, _offset, _withoutResponse, answer) => {
        answer(SUCCESS);
        this.onCommand(new Uint8Array(data));
      },
    });
    const characteristics = [...told, capabilities, command];
    this.service = new PrimaryService({ uuid: IMPROV_SERVICE, characteristics });
  }

  setValue(characteristic: string, value: Uint8Array): void {
    const bytes = Buffer.from(value);
    this.values.set(characteristic, bytes);
    for (const notify of this.subscribers.get(characteristic)?.values() ?? []) notify(bytes);
  }

  private handlersOf(uuid: string) {
    const subscribers = new Map<number, Notify>();
    this.subscribers.set(uuid, subscribers);
    return {
      onReadRequest: (
        _handle: number,
        offset: number,
        answer: (result: number, data: Buffer) => void,
      ) => answer(SUCCESS, (this.values.get(uuid) ?? Buffer.alloc(0)).subarray(offset)),
      onSubscribe: (handle: number, _maxBytes: number, notify: Notify) =>
        void subscribers.set(handle, notify),
      onUnsubscribe: (handle: number) => void subscribers.delete(handle),
    };
  }
}

/** As many whole characters as fit. */
function cut(text: string, maxBytes: number): string {
  let out = text;
  while (Buffer.byteLength(out) > maxBytes) out = [...out].slice(0, -1).join("");
  return out;
}
