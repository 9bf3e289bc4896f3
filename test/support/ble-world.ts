/** A machine and its customers on BLE in memory: real nodes with a channel, a clock that tests turn. */
import type { ChannelId } from "../../core/primitives/brands.ts";
import { BleCentral, type BleCentralState, isNamed } from "../../firmware/links/ble-central.ts";
import { BlePeripheral } from "../../firmware/links/ble-peripheral.ts";
import { Air } from "./ble-air.ts";
import { FakeClock } from "./fake-clock.ts";
import { breath, Pair, payment, type TestNode } from "./node-pair.ts";

const STEP_MS = 100;
export const FIRST_BALANCE_MSAT = 300_000_000;

export interface Shopper {
  readonly central: BleCentral;
  readonly states: BleCentralState[];
}

export class BleWorld {
  readonly clock = new FakeClock();
  readonly air = new Air();
  readonly notes: string[] = [];
  readonly peripheral: BlePeripheral;
  readonly buyer: TestNode;
  readonly machine: TestNode;

  private constructor(
    readonly pair: Pair,
    readonly channel: ChannelId,
  ) {
    this.buyer = pair.a;
    this.machine = pair.b;
    this.peripheral = new BlePeripheral({
      driver: this.air.peripheral,
      clock: this.clock,
      name: "vend-7",
      attach: (link) => this.machine.node.attach(link),
      note: (text) => this.notes.push(text),
    });
    this.peripheral.start();
  }

  /** The buyer and the machine have a channel from before. */
  static async make(): Promise<BleWorld> {
    const pair = await Pair.make();
    const channel = await pair.open();
    pair.disconnect();
    return new BleWorld(pair, channel);
  }

  /** Somebody who wants to be served; `node` absent: it connects and speaks to nobody. */
  shopper(address: string, node?: TestNode): Shopper {
    const states: BleCentralState[] = [];
    const central = new BleCentral({
      driver: this.air.central(address),
      clock: this.clock,
      entropy: { random: (length) => new Uint8Array(length) },
      isWanted: isNamed("VEND-7"),
      attach: (link) => node?.node.attach(link, this.machine.nodeId),
      onState: (state) => states.push(state),
    });
    central.start();
    return { central, states };
  }

  /** Lets `ms` pass, with everything that is said meanwhile. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      this.clock.advance(STEP_MS);
      this.tick();
      await breath();
      this.air.pump();
    }
  }

  /** Until it is so, at most `ms`. */
  async until(done: () => boolean, ms = 60_000): Promise<void> {
    for (let passed = 0; !done(); passed += STEP_MS) {
      if (passed > ms) throw new Error(`not within ${ms} ms; ${this.notes.join("; ")}`);
      await this.pass(STEP_MS);
    }
  }

  get isConnected(): boolean {
    const { buyer, machine } = this;
    return (
      buyer.node.isConnected(machine.nodeId) === true &&
      machine.node.isConnected(buyer.nodeId) === true
    );
  }

  pay(amountMsat: number): void {
    this.buyer.node.command(this.channel, { type: "push", payments: payment(amountMsat) });
  }

  /** What the machine was paid, by both sides' books. */
  get paid(): readonly number[] {
    const [, theirs, , ours] = this.pair.balances(this.channel);
    return [theirs as number, ours as number];
  }

  tick(): void {
    const nowMs = this.clock.nowMs();
    this.buyer.node.tick(nowMs);
    this.machine.node.tick(nowMs);
  }
}
