/** What the links need of a board's radios and ports: the thinnest that hides whose stack it is. */

/** All are optional: a board has what it has. */
export interface LinkDrivers {
  readonly serial?: readonly SerialDriver[];
  readonly blePeripheral?: BlePeripheralDriver;
  readonly bleCentral?: BleCentralDriver;
  readonly mqtt?: MqttDriver;
  readonly wifi?: WifiDriver;
}

/** A UART or USB CDC, open from the start (`embedded:io/serial`). */
export interface SerialDriver {
  readonly name: string;
  write(bytes: Uint8Array): void;
  /** Set by whoever uses it. */
  onBytes: (bytes: Uint8Array) => void;
}

/** Nordic UART service: the phone writes to RX, the device notifies on TX. */
export const NUS_SERVICE = "6e400001-b5a3-f393-e0a9-e50e24dcca9e";
export const NUS_RX = "6e400002-b5a3-f393-e0a9-e50e24dcca9e";
export const NUS_TX = "6e400003-b5a3-f393-e0a9-e50e24dcca9e";

/** The peripheral side (`embedded:io/bluetoothle/peripheral`): one service, any number of centrals. */
export interface BlePeripheralDriver {
  /** Begins, or goes on under a new name. */
  advertise(localName: string): void;
  stopAdvertising(): void;
  /** A central has connected and subscribed to TX. */
  onConnected: (connection: BleConnection) => void;
  /** Improv's service beside it, where the stack offers a second one (improv-ble.ts). */
  readonly improv?: BleImprovDriver;
}

/** The service by which any Improv client gives the device its Wi-Fi. */
export interface BleImprovDriver {
  /** What the characteristic holds from now on: who reads it gets this, who subscribed is told. */
  setValue(characteristic: string, value: Uint8Array): void;
  /** A write to the characteristic of commands; may be a part of one. */
  onCommand: (bytes: Uint8Array) => void;
}

/** The central side (`embedded:io/bluetoothle/central`). */
export interface BleCentralDriver {
  /** Peripherals that offer the Nordic UART service; the function returned ends the scan. */
  scan(onFound: (found: { readonly address: string; readonly name: string }) => void): () => void;
  connect(address: string): Promise<BleConnection>;
}

/** Seen from either side. */
export interface BleConnection {
  readonly address: string;
  /** Bytes that one write or notification carries: the negotiated MTU less 3. May rise while it lasts. */
  readonly maxWrite: number;
  /** At most `maxWrite` bytes. False: the stack is full, nothing was sent; `onWritable` follows. */
  send(bytes: Uint8Array): boolean;
  close(): void;
  onBytes: (bytes: Uint8Array) => void;
  onWritable: () => void;
  onClosed: (reason: string) => void;
}

export interface MqttOptions {
  readonly host: string;
  readonly port: number;
  /** With the certificate (PEM or DER as the board takes it) that the broker's must chain to. */
  readonly tls?: { readonly ca: Uint8Array };
  readonly user?: string;
  readonly password?: string;
  readonly clientId: string;
  readonly keepAliveSeconds: number;
  readonly will: { readonly topic: string; readonly payload: Uint8Array; readonly retain: boolean };
}

/** One connection to a broker (`embedded:network/mqtt/client`): MQTT 3.1.1, clean session. */
export interface MqttDriver {
  connect(options: MqttOptions, events: MqttEvents): MqttConnection;
}

export interface MqttEvents {
  onConnected(): void;
  onMessage(topic: string, payload: Uint8Array): void;
  /** Also where it never connected; the connection is dead then. */
  onClosed(reason: string): void;
}

export interface MqttConnection {
  subscribe(topic: string): void;
  /** QoS 0. False: the send buffer is full, it was dropped. */
  publish(topic: string, payload: Uint8Array, retain: boolean): boolean;
  close(): void;
}

export interface WifiDriver {
  /** Joins, and joins again by itself until `leave`. */
  join(ssid: string, password: string): void;
  leave(): void;
  onState: (state: "joined" | "left" | "refused", reason?: string) => void;
  scan?(
    onFound: (found: { ssid: string; rssi: number; isOpen: boolean } | undefined) => void,
  ): void;
}
