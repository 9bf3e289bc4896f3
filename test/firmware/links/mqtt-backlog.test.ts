/** A broker that is away for a day in the middle of a payment, and back with ten thousand frames: old ones, another device's, invented ones. */
import { expect, it } from "vitest";
import type { ChannelId } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { mqttTopics, ONLINE, topicName } from "../../../core/transport/mqtt-topics.ts";
import type { MqttDriver, MqttEvents, MqttOptions } from "../../../firmware/links/drivers.ts";
import { MAX_BURST, MqttUplink } from "../../../firmware/links/mqtt-link.ts";
import {
  DeviceLinks,
  MAX_BURST as MAX_GATEWAY_BURST,
} from "../../../gateway/links/device-links.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { Pair, payment } from "../../support/node-pair.ts";
import { Random } from "../../support/random.ts";

const DAY_MS = 24 * 3_600_000;
const BACKLOG = 10_000;
const PUSH_MSAT = 7_000;

/** What one broker carried to a device, and to its gateway. */
interface Carried {
  readonly down: Uint8Array[];
  readonly up: Uint8Array[];
}

/** A device and its gateway with a channel, and a broker between them that can go away; it remembers all it ever carried. */
class World implements MqttDriver {
  readonly carried: Carried = { down: [], up: [] };
  /** Frames that the sessions were given. */
  readonly seen = { down: 0, up: 0 };
  isAway = false;
  /** Frames that still pass before the line breaks. */
  cutAfter = Number.POSITIVE_INFINITY;
  private readonly queue: (() => void)[] = [];
  private events: MqttEvents | undefined;
  private readonly topics: ReturnType<typeof mqttTopics>;
  private readonly links: DeviceLinks;

  private constructor(
    readonly pair: Pair,
    readonly channel: ChannelId,
    readonly clock: FakeClock,
  ) {
    const { a, b } = pair;
    const gateway = topicName(toHex(a.nodeId));
    const device = topicName(toHex(b.nodeId));
    this.topics = mqttTopics(gateway, device);
    this.links = new DeviceLinks({
      name: "mqtt:broker",
      gateway,
      nowMs: () => clock.nowMs(),
      publish: (_, frame) => this.carry("down", frame),
      attach: (link) => {
        a.node.attach(link);
        const { onBytes } = link;
        link.onBytes = (bytes) => {
          this.seen.up++;
          onBytes(bytes);
        };
      },
    });
    const uplink = new MqttUplink({
      driver: this,
      clock,
      entropy: { random: (length) => new Uint8Array(length) },
      broker: { host: "broker", port: 1883 },
      gateway,
      device,
      attach: (link) => {
        b.node.attach(link, a.nodeId);
        const { onBytes } = link;
        link.onBytes = (bytes) => {
          this.seen.down++;
          onBytes(bytes);
        };
      },
    });
    uplink.start();
  }

  static async make(clock: FakeClock): Promise<World> {
    const pair = await Pair.make();
    const channel = await pair.open({ pushMsat: 100_000_000 });
    pair.disconnect();
    const world = new World(pair, channel, clock);
    await world.pass(5_000);
    return world;
  }

  connect(_: MqttOptions, events: MqttEvents) {
    if (this.isAway) throw new Error("no route to the broker");
    this.events = events;
    events.onConnected();
    return {
      subscribe: () => {},
      publish: (topic: string, payload: Uint8Array) => {
        if (topic === this.topics.up) this.carry("up", payload);
        return true;
      },
      close: () => {},
    };
  }

  goAway(): void {
    this.isAway = true;
    this.queue.length = 0;
    this.links.closeAll("the broker is away");
    this.events?.onClosed("the broker is away");
  }

  /** All that waited comes at once; sessions work on it, and time passes as slowly as it may. */
  async flood(frames: Carried): Promise<void> {
    this.isAway = false;
    this.cutAfter = Number.POSITIVE_INFINITY;
    this.links.receive(this.topics.state, Buffer.from(ONLINE), false);
    await this.until(() => this.events !== undefined && !this.isAway && this.clock.waiting === 0);
    for (let i = 0; i < BACKLOG; i++) {
      this.deliver("down", frames.down[i] as Uint8Array);
      this.deliver("up", frames.up[i] as Uint8Array);
      if (i % 1_000 === 0) await this.pass(100);
    }
  }

  async pass(ms: number, stepMs = 100): Promise<void> {
    for (const untilMs = this.clock.nowMs() + ms; this.clock.nowMs() < untilMs; ) {
      this.clock.advance(stepMs);
      this.pair.a.node.tick(this.clock.nowMs());
      this.pair.b.node.tick(this.clock.nowMs());
      await this.carryOn();
    }
  }

  get balances(): { readonly gateway: number; readonly device: number } {
    const [, gateway, , device] = this.pair.balances(this.channel) as [
      number,
      number,
      number,
      number,
    ];
    return { gateway, device };
  }

  private async until(holds: () => boolean): Promise<void> {
    for (let i = 0; i < 3_000 && !holds(); i++) await this.pass(100);
  }

  private async carryOn(): Promise<void> {
    for (let i = 0; i < 50; i++) {
      this.queue.shift()?.();
      const { a, b } = this.pair;
      if (!a.node.isIdle || !b.node.isIdle || this.queue.length > 0) await Promise.resolve();
      else return;
    }
  }

  private carry(way: keyof Carried, frame: Uint8Array): void {
    const copy = frame.slice();
    this.carried[way].push(copy);
    if (this.isAway) return;
    this.queue.push(() => this.deliver(way, copy));
    if (--this.cutAfter <= 0) this.goAway();
  }

  private deliver(way: keyof Carried, frame: Uint8Array): void {
    if (way === "down") this.events?.onMessage(this.topics.down, frame);
    else this.links.receive(this.topics.up, frame, false);
  }
}

/** Replays of this device's frames, both ways; frames of another device's sessions; noise. */
function backlog(own: Carried, others: Carried, random: Random): Carried {
  const some = (way: keyof Carried) =>
    Array.from({ length: BACKLOG }, () => {
      const kind = random.below(5);
      if (kind === 0) return random.oneOf(others[way]);
      if (kind === 1) return random.oneOf(own[way === "up" ? "down" : "up"]);
      if (kind > 2) return random.oneOf(own[way]);
      const noise = random.oneOf(own[way]).slice();
      noise[random.below(noise.length)] = random.below(256);
      return noise;
    });
  return { down: some("down"), up: some("up") };
}

it.each([1, 2, 3, 5, 8])(
  "cut off after frame %i of a payment: it is paid once, and what came is looked at in bounds",
  async (frames) => {
    const clock = new FakeClock();
    const other = await World.make(clock);
    other.pair.a.node.command(other.channel, { type: "push", payments: payment(PUSH_MSAT) });
    await other.pass(3_000);
    const world = await World.make(clock);
    const { pair, channel } = world;
    let paid = world.balances.device;
    for (let i = 0; i < 3; i++) {
      pair.a.node.command(channel, { type: "push", payments: payment(PUSH_MSAT) });
      await world.pass(1_000);
    }
    paid += 3 * PUSH_MSAT;
    expect(world.balances).toMatchObject({ device: paid });
    world.cutAfter = frames;
    pair.a.node.command(channel, { type: "push", payments: payment(PUSH_MSAT) });
    await world.pass(1_000);
    world.goAway();
    await world.pass(DAY_MS, 30_000);

    const before = { ...world.seen, sent: world.carried.up.length + world.carried.down.length };
    await world.flood(backlog(world.carried, other.carried, new Random(frames)));
    // A second of honest work besides, at most.
    expect(world.seen.down - before.down).toBeLessThan(MAX_BURST + 200);
    expect(world.seen.up - before.up).toBeLessThan(MAX_GATEWAY_BURST + 2_000);
    // Nor does it answer each of them.
    expect(world.carried.up.length + world.carried.down.length - before.sent).toBeLessThan(400);
    await world.pass(150_000);
    paid += PUSH_MSAT;
    expect(world.balances.gateway).toBe(world.balances.device);
    expect(world.balances.device).toBe(paid);
    pair.b.node.command(channel, { type: "push", payments: payment(PUSH_MSAT) });
    await world.pass(2_000);
    expect(world.balances.device).toBe(paid - PUSH_MSAT);
    pair.expectPeace();
  },
);
