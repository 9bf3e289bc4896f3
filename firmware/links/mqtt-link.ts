/** A device's way to its gateway through a broker that may lose, repeat, invent and replay: datagram links (docs/LINKS.md "MQTT"). */
import type { Entropy } from "../../core/ports/crypto.ts";
import type { Link } from "../../core/ports/link.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import {
  MAX_DATAGRAM_BYTES,
  type MqttTopics,
  mqttTopics,
  OFFLINE,
  ONLINE,
} from "../../core/transport/mqtt-topics.ts";
import { MQTT_QUIET_MS } from "../../core/transport/timing.ts";
import type { Clock } from "../board.ts";
import { Backoff, type BackoffRange } from "./backoff.ts";
import type { MqttConnection, MqttDriver, MqttOptions } from "./drivers.ts";

export type MqttBroker = Pick<MqttOptions, "host" | "port" | "tls" | "user" | "password">;

export interface MqttUplinkOptions {
  readonly driver: MqttDriver;
  readonly clock: Pick<Clock, "nowMs" | "after">;
  readonly entropy: Entropy;
  readonly broker: MqttBroker;
  /** Names in topics (`topicName`). */
  readonly gateway: string;
  readonly device: string;
  /** A new link at each connection to the broker; it closes with it. */
  readonly attach: (link: Link) => void;
  readonly backoff?: BackoffRange;
  readonly note?: (text: string) => void;
}

export const MQTT_BACKOFF: BackoffRange = { minMs: 1_000, maxMs: 120_000 };
export const KEEP_ALIVE_SECONDS = 30;
/** The broker has this long to accept us. */
const CONNECT_MS = 20_000;
/** A connection that lasted so long was a good one. */
const GOOD_MS = 30_000;
/** Datagrams that wait until the socket has room. */
export const MAX_WAITING_FRAMES = 16;
const RETRY_MS = 50;
/** Datagrams that are looked at: so many at once, and so many each second; a device sends and gets a few. */
export const MAX_BURST = 200;
const PER_SECOND = 50;

export class MqttUplink {
  private readonly backoff: Backoff;
  private readonly topics: MqttTopics;
  private connection: MqttConnection | undefined;
  private link: Datagrams | undefined;
  private isRunning = false;
  private cancel = () => {};

  constructor(private readonly options: MqttUplinkOptions) {
    const { gateway, device, backoff = MQTT_BACKOFF, entropy } = options;
    this.topics = mqttTopics(gateway, device);
    this.backoff = new Backoff(backoff, entropy);
  }

  /** The link, while the broker has us. */
  get linkName(): string | undefined {
    return this.link?.name;
  }

  start(): void {
    if (this.isRunning) return;
    this.isRunning = true;
    this.connect();
  }

  /** The broker is told that we are gone: it knows a last will only where a line breaks. */
  stop(): void {
    if (!this.isRunning) return;
    this.isRunning = false;
    this.cancel();
    const { connection } = this;
    this.endLink("the device is stopping");
    connection?.publish(this.topics.state, ascii(OFFLINE), true);
    this.connection = undefined;
    connection?.close();
  }

  private connect(): void {
    const { driver, clock, broker, device } = this.options;
    const sinceMs = clock.nowMs();
    let isOver = false;
    const close = (reason: string) => {
      if (isOver) return;
      isOver = true;
      this.cancel();
      if (this.connection === made) this.connection = undefined;
      this.endLink(reason);
      if (clock.nowMs() - sinceMs >= GOOD_MS) this.backoff.reset();
      this.again(reason);
    };
    this.cancel = clock.after(CONNECT_MS, () => {
      made?.close();
      close("the broker did not answer");
    });
    let made: MqttConnection | undefined;
    // What the driver tells before it returns waits until there is something to answer with.
    let isEarly = false;
    const connected = () => {
      if (isOver || !this.isRunning) return;
      if (made) this.connected(made);
      else isEarly = true;
    };
    try {
      made = driver.connect(
        {
          ...broker,
          clientId: `picobolt-${device}`,
          keepAliveSeconds: KEEP_ALIVE_SECONDS,
          will: { topic: this.topics.state, payload: ascii(OFFLINE), retain: true },
        },
        {
          onConnected: connected,
          onMessage: (topic, payload) => {
            if (!isOver && topic === this.topics.down) this.link?.receive(payload);
          },
          onClosed: close,
        },
      );
    } catch (cause) {
      close(cause instanceof Error ? cause.message : String(cause));
      return;
    }
    if (isOver) return;
    this.connection = made;
    if (isEarly) this.connected(made);
  }

  private connected(connection: MqttConnection): void {
    // A broker that says so twice changes nothing.
    if (this.link || !this.isRunning) return;
    this.cancel();
    const { clock, attach, broker } = this.options;
    connection.subscribe(this.topics.down);
    connection.publish(this.topics.state, ascii(ONLINE), true);
    const name = `mqtt:${broker.host}:${broker.port}`;
    const link = new Datagrams(name, clock, (frame) =>
      connection.publish(this.topics.up, frame, false),
    );
    this.link = link;
    attach(link);
  }

  private again(reason: string): void {
    if (!this.isRunning) return;
    const pauseMs = this.backoff.next();
    this.options.note?.(`mqtt: ${reason}; again in ${Math.ceil(pauseMs / 1000)} s`);
    this.cancel = this.options.clock.after(pauseMs, () => this.connect());
  }

  private endLink(reason: string): void {
    const { link } = this;
    this.link = undefined;
    link?.end(reason);
  }
}

/** One connection's datagrams: few wait to leave, and more than a device can use are not looked at. */
class Datagrams implements Link {
  readonly kind = "datagram";
  readonly quietMs = MQTT_QUIET_MS;
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  private readonly waiting: Uint8Array[] = [];
  private isOpen = true;
  private allowance = MAX_BURST;
  private countedMs: number;
  private cancel: (() => void) | undefined;

  constructor(
    readonly name: string,
    private readonly clock: Pick<Clock, "nowMs" | "after">,
    private readonly publish: (frame: Uint8Array) => boolean,
  ) {
    this.countedMs = clock.nowMs();
  }

  send(frame: Uint8Array): void {
    if (!this.isOpen || this.waiting.length >= MAX_WAITING_FRAMES) return;
    if (this.waiting.length === 0 && this.publish(frame)) return;
    this.waiting.push(frame);
    this.flushLater();
  }

  /** The session's end of it: the broker stays ours. */
  close(): void {
    this.end("closed here");
  }

  end(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.cancel?.();
    this.waiting.length = 0;
    this.onClosed(reason);
  }

  receive(frame: Uint8Array): void {
    if (this.isOpen && frame.length <= MAX_DATAGRAM_BYTES && this.isAllowed()) this.onBytes(frame);
  }

  private isAllowed(): boolean {
    const nowMs = this.clock.nowMs();
    const earned = ((nowMs - this.countedMs) * PER_SECOND) / 1000;
    this.allowance = Math.min(MAX_BURST, this.allowance + earned);
    this.countedMs = nowMs;
    if (this.allowance < 1) return false;
    this.allowance--;
    return true;
  }

  private flushLater(): void {
    this.cancel ??= this.clock.after(RETRY_MS, () => {
      this.cancel = undefined;
      while (this.waiting.length > 0 && this.publish(this.waiting[0] as Uint8Array)) {
        this.waiting.shift();
      }
      if (this.waiting.length > 0) this.flushLater();
    });
  }
}
