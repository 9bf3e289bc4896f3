/** The Nordic UART service (`embedded:io/bluetoothle/peripheral`): each central that subscribes to TX is a connection; Improv's service beside it. */
import { GATTServer } from "embedded:io/bluetoothle/peripheral";
import {
  type BleConnection,
  type BleImprovDriver,
  type BlePeripheralDriver,
  NUS_RX,
  NUS_SERVICE,
  NUS_TX,
} from "../links/drivers.ts";
import { BleAdvertiser } from "./ble-advertiser.ts";
import { type BleRadio, exact } from "./ble-radio.ts";
import { ImprovService } from "./improv-service.ts";

export const PREFERRED_MTU = 247;
/** Until the central negotiates: ATT's least MTU, less 3. */
export const LEAST_WRITE_BYTES = 20;
/** Notifications that NimBLE holds for one connection: its buffers are few, and all connections share them. */
export const MAX_NOTIFICATIONS = 4;

type ServerOptions = ConstructorParameters<typeof GATTServer>[0];
type CharacteristicOptions = NonNullable<
  ServerOptions["services"][number]["characteristics"]
>[number];
export type Characteristic = ThisParameterType<NonNullable<CharacteristicOptions["onSubscribe"]>>;
export type Central = Parameters<NonNullable<CharacteristicOptions["onSubscribe"]>>[0];

export function blePeripheral(radio: BleRadio): BlePeripheralDriver & { improv: BleImprovDriver } {
  const connections = new Map<Central, Connection>();
  let counter = 0;

  const advertiser = new BleAdvertiser();
  const improv = new ImprovService(radio, (state, capabilities) =>
    advertiser.setImprov(state, capabilities),
  );
  const driver = {
    onConnected: (_: BleConnection) => {},
    advertise: (localName: string) => advertiser.start(localName),
    stopAdvertising: () => advertiser.stop(),
    improv,
  };
  const end = (central: Central, reason: string) => {
    const connection = connections.get(central);
    connections.delete(central);
    connection?.ended(reason);
  };
  const rx: CharacteristicOptions = {
    uuid: NUS_RX,
    properties: GATTServer.properties.write | GATTServer.properties.writeWithOutResponse,
    onWrite(value, central) {
      connections.get(central)?.received(new Uint8Array(value));
    },
  };
  const tx: CharacteristicOptions = {
    uuid: NUS_TX,
    properties: GATTServer.properties.notify,
    onSubscribe(central) {
      if (connections.has(central)) return;
      counter += 1;
      const connection = new Connection(`central-${counter}`, { radio, central, tx: this });
      connections.set(central, connection);
      driver.onConnected(connection);
    },
    // Asked for by the SDK wherever there are notifications; its typings name another first argument than its C gives.
    onUnsubscribe: (central: unknown) => end(central as Central, "the central unsubscribed"),
  };
  const server = new GATTServer({
    mtu: PREFERRED_MTU,
    services: [{ uuid: NUS_SERVICE, characteristics: [rx, tx] }, improv.service],
    onReady: () => advertiser.ready(server),
    // The stack ends advertising with each connection; the next customer must hear that it has to wait.
    onConnect: () => advertiser.again(),
    onDisconnect(central) {
      improv.forget(central);
      end(central, "the central disconnected");
      advertiser.again();
    },
  });
  return driver;
}

interface Ends {
  readonly radio: BleRadio;
  readonly central: Central;
  readonly tx: Characteristic;
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
    private readonly ends: Ends,
  ) {}

  get maxWrite(): number {
    if (!this.isOpen) return LEAST_WRITE_BYTES;
    // In the SDK's sources `maximumWrite`; its typings spell it otherwise.
    const { maximumWrite } = this.ends.central as unknown as { readonly maximumWrite?: number };
    return Math.max(LEAST_WRITE_BYTES, maximumWrite ?? LEAST_WRITE_BYTES);
  }

  send(bytes: Uint8Array): boolean {
    if (!this.isOpen) return false;
    if (this.waiting >= MAX_NOTIFICATIONS) {
      this.isFull = true;
      return false;
    }
    const { radio, central, tx } = this.ends;
    this.waiting += 1;
    try {
      radio.bleNotify.call(central, tx, exact(bytes), (error) => this.sent(error));
    } catch {
      // Another central's unsubscribing turns notifications off for all of them (SDK 8.2): this one comes again.
      this.fail("notifications are off");
    }
    return this.isOpen;
  }

  /** From the radio; what still arrives of a closed one is dropped. */
  received(bytes: Uint8Array): void {
    if (this.isOpen) this.onBytes(bytes);
  }

  close(): void {
    this.fail("closed here");
  }

  ended(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.onClosed(reason);
  }

  private fail(reason: string): void {
    if (!this.isOpen) return;
    this.ends.radio.bleTerminate(this.ends.central);
    this.ended(reason);
  }

  private sent(error: number): void {
    this.waiting -= 1;
    // A notification that was lost leaves a hole in the stream: the session could not go on.
    if (error) {
      this.fail(`a notification failed: ${error}`);
      return;
    }
    if (!this.isFull || !this.isOpen) return;
    this.isFull = false;
    this.onWritable();
  }
}
