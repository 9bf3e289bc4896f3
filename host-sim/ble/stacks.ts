/** noble and bleno, the BLE host stacks in JavaScript, on an HCI transport of ours: H4 over a unix socket. */
import { EventEmitter } from "node:events";
import { createRequire } from "node:module";
import { connect, type Socket } from "node:net";
import type { Transform } from "node:stream";
import type { Controller } from "./virtual-radio.ts";

/** What we use of noble; its own typings lack the low half. */
export interface Noble extends EventEmitter {
  waitForPoweredOnAsync(timeoutMs: number): Promise<void>;
  startScanningAsync(services: readonly string[], allowDuplicates: boolean): Promise<void>;
  stopScanningAsync(): Promise<void>;
  stop(): void;
}

export interface NoblePeripheral extends EventEmitter {
  readonly address: string;
  readonly mtu: number | null;
  readonly advertisement: { readonly localName?: string };
  connectAsync(options: { readonly mtu: number }): Promise<void>;
  disconnectAsync(): Promise<void>;
  discoverSomeServicesAndCharacteristicsAsync(
    services: readonly string[],
    characteristics: readonly string[],
  ): Promise<{ readonly characteristics: readonly NobleCharacteristic[] }>;
}

export interface NobleCharacteristic extends EventEmitter {
  readonly uuid: string;
  writeAsync(data: Buffer, withoutResponse: boolean): Promise<void>;
  readAsync(): Promise<Buffer>;
  subscribeAsync(): Promise<void>;
}

export interface Bleno extends EventEmitter {
  waitForPoweredOnAsync(timeoutMs: number): Promise<void>;
  readonly address: string;
  startAdvertisingAsync(name: string, services: readonly string[]): Promise<void>;
  stopAdvertising(): void;
  setServices(services: readonly object[]): void;
  disconnect(handle: number): void;
  stop(): void;
  readonly Characteristic: new (options: BlenoCharacteristicOptions) => object;
  readonly PrimaryService: new (options: { uuid: string; characteristics: object[] }) => object;
  /** What no event tells: each connection's MTU, and how much waits to leave. */
  readonly _bindings: {
    readonly _gatt: {
      maxMtu: number;
      readonly _connections: ReadonlyMap<number, { readonly mtu: number }>;
    };
    readonly _hci: {
      readonly _aclOutQueue: readonly unknown[];
      /** Each second, for good: who stops the stack replaces it, or the process never ends. */
      pollIsDevUp: () => void;
    };
  };
}

export interface BlenoCharacteristicOptions {
  readonly uuid: string;
  readonly properties: readonly string[];
  readonly onReadRequest?: (
    handle: number,
    offset: number,
    answer: (result: number, data: Buffer) => void,
  ) => void;
  readonly onWriteRequest?: (
    handle: number,
    data: Buffer,
    offset: number,
    withoutResponse: boolean,
    answer: (result: number) => void,
  ) => void;
  readonly onSubscribe?: (handle: number, maxBytes: number, notify: Notify) => void;
  readonly onUnsubscribe?: (handle: number) => void;
}

export type Notify = (data: Buffer) => void;

type WithBindings<T> = (kind: "hci" | "default", options: object) => T;
interface HciPackage {
  loadDriver(kind: string): unknown;
}

const POWERED_ON_MS = 10_000;
const DRIVER = "picobolt-socket";
const HCI_RESET = Buffer.from("01030c00", "hex");
const require = createRequire(import.meta.url);

/** "host": this machine's own adapter, by whatever bindings noble has for it. */
export async function startNoble(controller: Controller | "host"): Promise<Noble> {
  const withBindings = load<WithBindings<Noble>>("@stoprocent/noble/lib/resolve-bindings");
  try {
    const isHost = controller === "host";
    const noble = isHost ? withBindings("default", {}) : withBindings("hci", optionsOf(controller));
    await Promise.race([noble.waitForPoweredOnAsync(POWERED_ON_MS), whenHopeless(noble)]);
    return noble;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    throw new Error(
      `no BLE adapter can be used: ${why}; is it plugged in and on? See docs/LINKS.md, "BLE"`,
      { cause },
    );
  }
}

/** Rejects at once where waiting would not help. */
function whenHopeless(noble: Noble): Promise<never> {
  return new Promise((_, reject) => {
    noble.on("stateChange", (state: string) => {
      if (state === "unsupported") reject(new Error("this machine has none"));
      if (state === "unauthorized") reject(new Error("you may not use it"));
    });
  });
}

export async function startBleno(controller: Controller): Promise<Bleno> {
  const withBindings = load<WithBindings<Bleno>>("@stoprocent/bleno/lib/resolve-bindings");
  const bleno = withBindings("hci", optionsOf(controller));
  await bleno.waitForPoweredOnAsync(POWERED_ON_MS);
  return bleno;
}

function optionsOf({ path }: Controller): object {
  return { hciDriver: DRIVER, bindParams: { socketPath: path } };
}

/** The stacks take `loadDriver` when they are loaded: ours has to be there before. */
function load<T>(name: string): T {
  try {
    return withoutAddon(() => {
      const hci = require("@stoprocent/bluetooth-hci-socket") as HciPackage;
      const { loadDriver } = hci;
      const file = "@stoprocent/bluetooth-hci-socket/lib/uart/hci-serial-parser";
      const found = require(file) as new (options: object) => Transform;
      if (!loadDriver.name.startsWith("withSockets")) {
        hci.loadDriver = function withSockets(kind: string) {
          return kind === DRIVER ? socketDriver(found) : loadDriver(kind);
        };
      }
      return require(name) as T;
    });
  } catch (cause) {
    throw new Error(`the optional npm package behind ${name} does not load: npm ci installs it`, {
      cause,
    });
  }
}

/** The package makes its default driver at once; the serial one needs no addon. */
function withoutAddon<T>(work: () => T): T {
  const name = "BLUETOOTH_HCI_SOCKET_FORCE_UART";
  const before = process.env[name];
  process.env[name] = "1";
  try {
    return work();
  } finally {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  }
}

function socketDriver(Parser: new (options: object) => Transform) {
  return class SocketDriver extends EventEmitter {
    private path: string | undefined;
    private socket: Socket | undefined;
    private isUp = false;

    bindRaw(_device: unknown, { socketPath }: { readonly socketPath: string }): void {
      this.path = socketPath;
    }

    bindUser(device: unknown, options: { readonly socketPath: string }): void {
      this.bindRaw(device, options);
    }

    bindControl(): void {}
    setFilter(): void {}

    isDevUp(): boolean {
      return this.isUp;
    }

    start(): void {
      // A management socket is bound to nothing.
      if (this.socket || this.path === undefined) return;
      const socket = connect(this.path);
      this.socket = socket;
      const packets = socket.pipe(new Parser({ readableObjectMode: true }));
      packets.on("data", (packet: Buffer) => this.emit("data", packet));
      socket.on("connect", () => this.setUp(true));
      socket.on("error", (cause) => this.emit("error", cause));
      socket.on("close", () => this.setUp(false));
    }

    stop(): void {
      const { socket } = this;
      // What was written last, a disconnection for one, still leaves.
      socket?.end(() => socket.destroy());
    }

    write(packet: Buffer): void {
      this.socket?.write(packet);
    }

    reset(): void {
      this.write(HCI_RESET);
    }

    private setUp(isUp: boolean): void {
      this.isUp = isUp;
      this.emit("state", isUp);
    }
  };
}
