/** The Nordic UART service (`embedded:io/bluetoothle/peripheral`): each central that subscribes to TX is a connection. */
import { GATTServer } from "embedded:io/bluetoothle/peripheral";
import {
  type BleConnection,
  type BlePeripheralDriver,
  NUS_RX,
  NUS_SERVICE,
  NUS_TX,
} from "../links/drivers.ts";

export const PREFERRED_MTU = 247;
/** Until the central negotiates: ATT's least MTU, less 3. */
export const LEAST_WRITE_BYTES = 20;
/** Notifications that NimBLE holds for one connection: its buffers are few, and all connections share them. */
export const MAX_NOTIFICATIONS = 4;
/** Complete local name in a scan response: 31 bytes less its two. */
const MAX_NAME_BYTES = 29;
const FLAGS_GENERAL_NO_CLASSIC = 6;

type Characteristic = ThisParameterType<NonNullable<CharacteristicOptions["onSubscribe"]>>;
type ServerOptions = ConstructorParameters<typeof GATTServer>[0];
type CharacteristicOptions = NonNullable<
  ServerOptions["services"][number]["characteristics"]
>[number];
type Central = Parameters<NonNullable<CharacteristicOptions["onSubscribe"]>>[0];

export function blePeripheral(): BlePeripheralDriver {
  const connections = new Map<Central, Connection>();
  let wantedName: string | undefined;
  let isReady = false;
  let counter = 0;

  const driver: BlePeripheralDriver = {
    onConnected: () => {},
    advertise(localName) {
      wantedName = localName;
      if (isReady) advertise(localName);
    },
    stopAdvertising() {
      wantedName = undefined;
      if (isReady) server.stopAdvertising();
    },
  };
  const rx: CharacteristicOptions = {
    uuid: NUS_RX,
    properties: GATTServer.properties.write | GATTServer.properties.writeWithOutResponse,
    onWrite(value, central) {
      connections.get(central)?.onBytes(new Uint8Array(value));
    },
  };
  const tx: CharacteristicOptions = {
    uuid: NUS_TX,
    properties: GATTServer.properties.notify,
    onSubscribe(central) {
      if (connections.has(central)) return;
      counter += 1;
      const connection = new Connection(`central-${counter}`, central, this);
      connections.set(central, connection);
      driver.onConnected(connection);
    },
  };
  const server = new GATTServer({
    mtu: PREFERRED_MTU,
    services: [{ uuid: NUS_SERVICE, characteristics: [rx, tx] }],
    onReady() {
      isReady = true;
      if (wantedName !== undefined) advertise(wantedName);
    },
    // The stack ends advertising with each connection; the next customer must hear that it has to wait.
    onConnect() {
      if (wantedName !== undefined) advertise(wantedName);
    },
    onDisconnect(central) {
      const connection = connections.get(central);
      connections.delete(central);
      connection?.ended("the central disconnected");
      if (wantedName !== undefined) advertise(wantedName);
    },
  });

  function advertise(localName: string): void {
    server.stopAdvertising();
    server.startAdvertising(
      { flags: FLAGS_GENERAL_NO_CLASSIC, services: [NUS_SERVICE] },
      { name: localName.slice(0, MAX_NAME_BYTES) },
    );
  }
  return driver;
}

class Connection implements BleConnection {
  onBytes: (bytes: Uint8Array) => void = () => {};
  onWritable: () => void = () => {};
  onClosed: (reason: string) => void = () => {};
  private waiting = 0;
  private isFull = false;
  private isOpen = true;

  constructor(
    readonly address: string,
    private readonly central: Central,
    private readonly tx: Characteristic,
  ) {}

  get maxWrite(): number {
    // In the SDK's sources `maximumWrite`; its typings spell it otherwise.
    const { maximumWrite } = this.central as unknown as { readonly maximumWrite?: number };
    return Math.max(LEAST_WRITE_BYTES, maximumWrite ?? LEAST_WRITE_BYTES);
  }

  send(bytes: Uint8Array): boolean {
    if (!this.isOpen) return false;
    if (this.waiting >= MAX_NOTIFICATIONS) {
      this.isFull = true;
      return false;
    }
    this.waiting += 1;
    this.central.notify(this.tx, bytes.slice().buffer as ArrayBuffer, (error) => this.sent(error));
    return true;
  }

  close(): void {
    if (this.isOpen) this.central.close();
  }

  ended(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.onClosed(reason);
  }

  private sent(error: Error | undefined | null): void {
    this.waiting -= 1;
    // A notification that was lost leaves a hole in the stream: the session could not go on.
    if (error) {
      this.central.close();
      this.ended(`a notification failed: ${error.message}`);
      return;
    }
    if (!this.isFull) return;
    this.isFull = false;
    this.onWritable();
  }
}
