/** A gateway's node and a device's, with a channel between them, joined by a real broker instead of a cable. */
import { randomBytes } from "node:crypto";
import type { Link } from "../../core/ports/link.ts";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { topicName } from "../../core/transport/mqtt-topics.ts";
import { MqttUplink } from "../../firmware/links/mqtt-link.ts";
import type { Presence } from "../../gateway/links/device-links.ts";
import { GatewayMqtt, type MqttVersion } from "../../gateway/links/mqtt.ts";
import type { Broker } from "../../host-sim/mqtt/broker.ts";
import { mqttDriver } from "../../host-sim/mqtt/mqtt-driver.ts";
import { Pair, payment, type TestNode } from "./node-pair.ts";
import { PATIENCE_MS } from "./patience.ts";

/** Time in sessions passes faster than ours. */
const STEP_MS = 5;
const TIME_FACTOR = 10;

export interface Account {
  readonly user?: string;
  readonly password?: string;
  /** The gateway's. */
  readonly version?: MqttVersion;
}

export class MqttWorld {
  readonly gatewayName: string;
  readonly deviceName: string;
  readonly problems: string[] = [];
  readonly notes: string[] = [];
  readonly presences: Presence[] = [];
  uplink: MqttUplink | undefined;
  gateway: GatewayMqtt | undefined;
  private nowMs = 10_000;
  private cut: { frames: number; readonly then: () => void } | undefined;

  private constructor(
    /** `a` is the gateway, `b` the device. */
    readonly pair: Pair,
    readonly channel: ChannelId,
    private readonly broker: Broker,
  ) {
    this.gatewayName = topicName(toHex(pair.a.nodeId));
    this.deviceName = topicName(toHex(pair.b.nodeId));
  }

  /** The channel was opened over a cable, which is gone. */
  static async make(broker: Broker): Promise<MqttWorld> {
    const pair = await Pair.make();
    const channel = await pair.open({ pushMsat: 400_000_000 });
    pair.disconnect();
    return new MqttWorld(pair, channel, broker);
  }

  startGateway(account: Account = {}): void {
    const { a } = this.pair;
    this.gateway = new GatewayMqtt({
      url: this.broker.url,
      gateway: this.gatewayName,
      ...(this.broker.ca && { ca: this.broker.ca }),
      ...account,
      attach: (link) => a.node.attach(link),
      onPresence: (_, presence) => this.presences.push(presence),
      onProblem: (text) => this.problems.push(text),
      reconnectMs: 100,
    });
  }

  /** `port`: of something between it and the broker. */
  startDevice({ user, password }: Account = {}, port = this.broker.port): void {
    const { host, ca } = this.broker;
    const { a, b } = this.pair;
    this.uplink = new MqttUplink({
      driver: mqttDriver(),
      clock: hostClock,
      entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
      broker: {
        host,
        port,
        ...(ca && { tls: { ca } }),
        ...(user && { user }),
        ...(password && { password }),
      },
      gateway: this.gatewayName,
      device: this.deviceName,
      attach: (link) => b.node.attach(this.counted(link), a.nodeId),
      backoff: { minMs: 50, maxMs: 200 },
      note: (text) => this.notes.push(text),
    });
    this.uplink.start();
  }

  /** After so many more frames to or from the device the line is dead, and `then` happens. */
  cutAfter(frames: number, then: () => void): void {
    this.cut = { frames, then };
  }

  /** Connected, the channel takes payments again, and both agree on what it holds. */
  get isReady(): boolean {
    const isAgain = (side: TestNode) => side.events("reestablished").length > 0;
    const isBack = this.isConnected && isAgain(this.pair.a) && isAgain(this.pair.b);
    return isBack && this.settledMsat !== undefined;
  }

  get isConnected(): boolean {
    const { a, b } = this.pair;
    return a.node.isConnected(b.nodeId) && b.node.isConnected(a.nodeId);
  }

  /** The device's balance, where both sides agree on it and nothing is under way. */
  get settledMsat(): number | undefined {
    const { a, b } = this.pair;
    const [, byGateway, , byDevice] = this.pair.balances(this.channel);
    return byGateway === byDevice && a.node.isIdle && b.node.isIdle ? byDevice : undefined;
  }

  pushToDevice(amountMsat: number): void {
    this.pair.a.node.command(this.channel, { type: "push", payments: payment(amountMsat) });
  }

  pushToGateway(amountMsat: number): void {
    this.pair.b.node.command(this.channel, { type: "push", payments: payment(amountMsat) });
  }

  /** Lets time pass until it is so; what was not, where it never is. */
  async until(what: string, isSo: () => boolean, ms = PATIENCE_MS): Promise<void> {
    for (const end = Date.now() + ms; !isSo(); ) {
      if (Date.now() > end) {
        throw new Error(
          `not within ${ms} ms: ${what}; ${[...this.problems, ...this.notes].join("; ")}`,
        );
      }
      this.nowMs += STEP_MS * TIME_FACTOR;
      this.pair.a.node.tick(this.nowMs);
      this.pair.b.node.tick(this.nowMs);
      await new Promise((wake) => setTimeout(wake, STEP_MS));
    }
  }

  /** Of the sessions' time. */
  pass(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    return this.until("time passes", () => this.nowMs >= untilMs);
  }

  private counted(link: Link): Link {
    let isDead = false;
    const pass = (work: () => void) => {
      if (isDead) return;
      work();
      const { cut } = this;
      if (!cut || --cut.frames > 0) return;
      this.cut = undefined;
      isDead = true;
      cut.then();
    };
    const shown: Link = {
      name: link.name,
      kind: link.kind,
      send: (bytes) => pass(() => link.send(bytes)),
      close: () => link.close(),
      onBytes: () => {},
      onClosed: () => {},
    };
    link.onBytes = (bytes) => pass(() => shown.onBytes(bytes));
    link.onClosed = (reason) => shown.onClosed(reason);
    return shown;
  }

  async close(): Promise<void> {
    this.uplink?.stop();
    await this.gateway?.close();
    this.pair.a.node.close();
    this.pair.b.node.close();
  }
}

export const hostClock = {
  nowMs: () => performance.now(),
  after: (delayMs: number, work: () => void) => {
    const timer = setTimeout(work, delayMs);
    return () => clearTimeout(timer);
  },
};
