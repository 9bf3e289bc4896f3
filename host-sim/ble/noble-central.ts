/** The central side of a virtual device or of a host: scans, connects and speaks the Nordic UART service, on noble. */
import {
  type BleCentralDriver,
  type BleConnection,
  NUS_RX,
  NUS_SERVICE,
  NUS_TX,
} from "../../firmware/links/drivers.ts";
import {
  type Noble,
  type NobleCharacteristic,
  type NoblePeripheral,
  startNoble,
} from "./stacks.ts";
import type { Controller } from "./virtual-radio.ts";

export interface NobleCentral extends BleCentralDriver {
  close(): void;
}

export const PREFERRED_MTU = 247;
const ATT_HEADER_BYTES = 3;
const LEAST_MTU = 23;
/** Writes on their way in the stack. */
const MAX_WAITING = 4;
/** The virtual controller tells of an advertiser once, when a scan begins. */
const SCAN_AGAIN_MS = 700;
const CONNECT_MS = 10_000;

export interface CentralOptions {
  readonly mtu?: number;
}

/** A real stack on this controller, or on the host's own adapter; powered on. */
export async function bleCentralDriver(
  controller: Controller | "host",
  options: CentralOptions = {},
): Promise<NobleCentral> {
  return new Central(await startNoble(controller), options.mtu ?? PREFERRED_MTU);
}

const short = (uuid: string) => uuid.replaceAll("-", "");

class Central implements NobleCentral {
  private readonly known = new Map<string, NoblePeripheral>();
  private scanning: Promise<void> = Promise.resolve();
  private readonly open = new Set<Connection>();

  constructor(
    private readonly noble: Noble,
    private readonly mtu: number,
  ) {
    noble.on("discover", (peripheral: NoblePeripheral) =>
      this.known.set(peripheral.address, peripheral),
    );
  }

  scan(onFound: (found: { readonly address: string; readonly name: string }) => void): () => void {
    let isOver = false;
    const found = ({ address, advertisement }: NoblePeripheral) => {
      if (!isOver) onFound({ address, name: advertisement.localName ?? "" });
    };
    this.noble.on("discover", found);
    const round = async () => {
      while (!isOver) {
        await this.noble.startScanningAsync([short(NUS_SERVICE)], true);
        await sleep(SCAN_AGAIN_MS, () => isOver);
        await this.noble.stopScanningAsync();
      }
    };
    this.scanning = this.scanning.then(round).catch(() => {});
    return () => {
      isOver = true;
      this.noble.off("discover", found);
    };
  }

  async connect(address: string): Promise<BleConnection> {
    await this.scanning;
    const peripheral = this.known.get(address);
    if (!peripheral) throw new Error(`no BLE device ${address} was seen`);
    return inTime(this.connectTo(peripheral), () => void peripheral.disconnectAsync());
  }

  close(): void {
    for (const connection of this.open) connection.ended("the radio is off");
    this.noble.removeAllListeners();
    this.noble.stop();
  }

  private async connectTo(peripheral: NoblePeripheral): Promise<BleConnection> {
    await peripheral.connectAsync({ mtu: this.mtu });
    const { characteristics } = await peripheral.discoverSomeServicesAndCharacteristicsAsync(
      [short(NUS_SERVICE)],
      [short(NUS_RX), short(NUS_TX)],
    );
    const rx = characteristics.find(({ uuid }) => uuid === short(NUS_RX));
    const tx = characteristics.find(({ uuid }) => uuid === short(NUS_TX));
    if (!rx || !tx) {
      await peripheral.disconnectAsync();
      throw new Error(`${peripheral.address} has no Nordic UART service`);
    }
    const connection = new Connection(peripheral, rx);
    this.open.add(connection);
    peripheral.once("disconnect", () => {
      this.open.delete(connection);
      connection.ended("the peripheral disconnected");
    });
    tx.on("data", (bytes: Buffer) => connection.received(new Uint8Array(bytes)));
    await tx.subscribeAsync();
    return connection;
  }
}

class Connection implements BleConnection {
  onWritable: () => void = () => {};
  onClosed: (reason: string) => void = () => {};
  private listener: ((bytes: Uint8Array) => void) | undefined;
  /** What came before somebody listened: a busy machine says so at once. */
  private readonly early: Uint8Array[] = [];
  private waiting = 0;
  private isOpen = true;
  private isFull = false;

  constructor(
    private readonly peripheral: NoblePeripheral,
    private readonly rx: NobleCharacteristic,
  ) {}

  get address(): string {
    return this.peripheral.address;
  }

  get maxWrite(): number {
    return (this.peripheral.mtu ?? LEAST_MTU) - ATT_HEADER_BYTES;
  }

  get onBytes(): (bytes: Uint8Array) => void {
    return this.listener ?? (() => {});
  }

  set onBytes(listener: (bytes: Uint8Array) => void) {
    this.listener = listener;
    // Not inside of the assignment: whoever sets it may set more.
    queueMicrotask(() => {
      for (const bytes of this.early.splice(0)) this.listener?.(bytes);
    });
  }

  received(bytes: Uint8Array): void {
    if (this.listener && this.early.length === 0) this.listener(bytes);
    else this.early.push(bytes);
  }

  send(bytes: Uint8Array): boolean {
    if (!this.isOpen) return false;
    if (this.waiting >= MAX_WAITING) {
      this.isFull = true;
      return false;
    }
    this.waiting++;
    this.rx.writeAsync(Buffer.from(bytes), true).then(
      () => this.written(),
      () => this.close(),
    );
    return true;
  }

  close(): void {
    if (this.isOpen) this.peripheral.disconnectAsync().catch(() => {});
  }

  ended(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.onClosed(reason);
  }

  private written(): void {
    this.waiting--;
    if (!this.isFull) return;
    this.isFull = false;
    this.onWritable();
  }
}

async function sleep(ms: number, isOver: () => boolean): Promise<void> {
  for (const until = Date.now() + ms; Date.now() < until && !isOver(); ) {
    await new Promise((wake) => setTimeout(wake, 10));
  }
}

async function inTime<T>(work: Promise<T>, giveUp: () => void): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      giveUp();
      reject(new Error("it did not answer in time"));
    }, CONNECT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
