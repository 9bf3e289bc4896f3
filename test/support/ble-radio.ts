/** Two nodes with a channel on a real BLE link: bleno and noble over BlueZ's virtual controller, in real time. */
import { randomBytes } from "node:crypto";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { BleCentral, type BleCentralState, isNamed } from "../../firmware/links/ble-central.ts";
import { BlePeripheral } from "../../firmware/links/ble-peripheral.ts";
import type {
  BleCentralDriver,
  BleConnection,
  BlePeripheralDriver,
} from "../../firmware/links/drivers.ts";
import { type BlenoPeripheral, blePeripheralDriver } from "../../host-sim/ble/bleno-peripheral.ts";
import { bleCentralDriver, type NobleCentral } from "../../host-sim/ble/noble-central.ts";
import { realClock } from "../../host-sim/ble/real-clock.ts";
import { VirtualRadio } from "../../host-sim/ble/virtual-radio.ts";
import { Pair, payment, type TestNode } from "./node-pair.ts";
import { PATIENCE_MS } from "./patience.ts";

const TICK_MS = 20;
/** The pair's nodes lived before, in its own time. */
const LATER_MS = 10_000_000;
export const MACHINE_NAME = "vend-7";

/** One write or notification, as it passes the driver. */
export interface Passed {
  readonly direction: "up" | "down";
  readonly bytes: number;
}

export class BleRadioLab {
  readonly passed: Passed[] = [];
  /** Called as it passes, before it arrives. */
  onPassed: (one: Passed) => void = () => {};
  readonly states: BleCentralState[] = [];
  readonly maxWrites: number[] = [];
  readonly buyer: TestNode;
  readonly machine: TestNode;
  readonly peripheral: BlePeripheral;
  readonly central: BleCentral;
  private readonly ticking: ReturnType<typeof setInterval>;

  private constructor(
    readonly pair: Pair,
    readonly channel: ChannelId,
    readonly radio: VirtualRadio,
    readonly bleno: BlenoPeripheral,
    readonly noble: NobleCentral,
  ) {
    this.buyer = pair.a;
    this.machine = pair.b;
    this.peripheral = new BlePeripheral({
      driver: this.counted(bleno),
      clock: realClock,
      name: MACHINE_NAME,
      attach: (link) => this.machine.node.attach(link),
    });
    this.central = new BleCentral({
      driver: this.countedCentral(noble),
      clock: realClock,
      entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
      isWanted: isNamed(MACHINE_NAME),
      attach: (link) => this.buyer.node.attach(link, this.machine.nodeId),
      onState: (state) => this.states.push(state),
    });
    this.ticking = setInterval(() => this.tick(), TICK_MS);
  }

  static async start(options: { readonly mtu?: number } = {}): Promise<BleRadioLab> {
    const pair = await Pair.make();
    const channel = await pair.open();
    pair.disconnect();
    const radio = await VirtualRadio.start();
    try {
      const bleno = await blePeripheralDriver(radio.controller());
      const noble = await bleCentralDriver(radio.controller(), options);
      const lab = new BleRadioLab(pair, channel, radio, bleno, noble);
      lab.peripheral.start();
      lab.central.start();
      return lab;
    } catch (cause) {
      await radio.stop();
      throw cause;
    }
  }

  get isConnected(): boolean {
    const { buyer, machine } = this;
    return buyer.node.isConnected(machine.nodeId) && machine.node.isConnected(buyer.nodeId);
  }

  /** A session stands, and the channel goes on in it. */
  async resumed(times = 1): Promise<void> {
    const sides = [this.buyer, this.machine];
    const count = (side: TestNode) => side.events("reestablished").length;
    await this.until(() => this.isConnected && sides.every((side) => count(side) >= times));
  }

  /** Resolves when it is so. */
  async until(done: () => boolean, ms = PATIENCE_MS): Promise<void> {
    for (const untilMs = Date.now() + ms; !done(); ) {
      if (Date.now() > untilMs) {
        throw new Error(`not within ${ms} ms: ${JSON.stringify(this.states)}`);
      }
      await new Promise((wake) => setTimeout(wake, 1));
    }
  }

  /** Does `work` once, when the machine's next notification is on its way. */
  atNextAnswer(work: () => void): void {
    this.onPassed = ({ direction }) => {
      if (direction !== "down") return;
      this.onPassed = () => {};
      work();
    };
  }

  /** A push, and both have settled it. */
  async pay(amountMsat: number): Promise<void> {
    const receipts = this.buyer.events("receipt").length;
    this.buyer.node.command(this.channel, { type: "push", payments: payment(amountMsat) });
    await this.until(() => this.buyer.events("receipt").length > receipts);
  }

  get paid(): number {
    return this.pair.balances(this.channel)[3] as number;
  }

  async stop(): Promise<void> {
    clearInterval(this.ticking);
    this.central.stop();
    this.peripheral.stop();
    this.noble.close();
    this.bleno.close();
    await this.radio.stop();
  }

  private tick(): void {
    const nowMs = LATER_MS + realClock.nowMs();
    this.buyer.node.tick(nowMs);
    this.machine.node.tick(nowMs);
  }

  private counted(driver: BlePeripheralDriver): BlePeripheralDriver {
    const counted: BlePeripheralDriver = {
      advertise: (name) => driver.advertise(name),
      stopAdvertising: () => driver.stopAdvertising(),
      onConnected: () => {},
    };
    driver.onConnected = (connection) => {
      this.count(connection, "down");
      counted.onConnected(connection);
    };
    return counted;
  }

  private countedCentral(driver: BleCentralDriver): BleCentralDriver {
    return {
      scan: (onFound) => driver.scan(onFound),
      connect: async (address) => {
        const connection = await driver.connect(address);
        this.count(connection, "up");
        return connection;
      },
    };
  }

  private count(connection: BleConnection, direction: Passed["direction"]): void {
    this.maxWrites.push(connection.maxWrite);
    const send = connection.send.bind(connection);
    connection.send = (bytes) => {
      const isSent = send(bytes);
      if (!isSent) return false;
      const one = { direction, bytes: bytes.length };
      this.passed.push(one);
      this.onPassed(one);
      return true;
    };
  }
}
