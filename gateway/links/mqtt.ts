/** A gateway on a broker: hears its devices, and reaches them, through mqtt.js (docs/LINKS.md "MQTT"). */
import { createRequire } from "node:module";
import { connect, type IClientOptions, type MqttClient } from "mqtt";
import { gatewayFilters } from "../../core/transport/mqtt-topics.ts";
import { DeviceLinks, type DeviceLinksOptions, type Presence } from "./device-links.ts";

export interface GatewayMqttOptions
  extends Pick<
    DeviceLinksOptions,
    "gateway" | "attach" | "onPresence" | "onProblem" | "isKnown" | "isOurs" | "maxDevices"
  > {
  /** `mqtt://host:port`, or `mqtts://` for TLS; may carry `user:password@`. */
  readonly url: string;
  readonly user?: string;
  readonly password?: string;
  /** PEM; the system's authorities where absent. */
  readonly ca?: Uint8Array;
  readonly reconnectMs?: number;
  /** Of one process among several of one gateway: a broker has one client of each name. */
  readonly worker?: string | undefined;
  /** Of the protocol: 3.1.1 where absent. */
  readonly version?: MqttVersion;
}

export type MqttVersion = "3.1.1" | "5";
/** What stands in CONNECT (MQTT 3.1.1 §3.1.2.2, MQTT 5 §3.1.2.2). */
const LEVELS = { "3.1.1": 4, "5": 5 } as const;
/** From here on a SUBACK's code is a refusal (128 in 3.1.1, many in 5). */
const FIRST_REFUSAL = 128;

const RECONNECT_MS = 1_000;
const KEEP_ALIVE_SECONDS = 30;
/** Devices that were there before us are called so many at a time: each answers with a handshake. */
const EARLY_AT_ONCE = 50;
const EARLY_EVERY_MS = 100;
/** Of frames that the broker's socket has not taken yet; more are lost, and the sessions notice. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** mqtt.js's own encoder keeps all numbers up to 65,535 in bytes, 6.5 MB of them, to save what takes no time. */
const ofMqtt = createRequire(createRequire(import.meta.url).resolve("mqtt"));
const encoder = ofMqtt("mqtt-packet") as { readonly writeToStream: { cacheNumbers: boolean } };
encoder.writeToStream.cacheNumbers = false;

export class GatewayMqtt {
  private readonly client: MqttClient;
  private readonly devicesOf: DeviceLinks;
  private readonly place: string;
  private lastProblem = "";
  private calling: NodeJS.Timeout | undefined;

  /** Connects, and connects again, until `close`. */
  constructor(private readonly options: GatewayMqttOptions) {
    const { url, gateway, worker, reconnectMs = RECONNECT_MS, version = "3.1.1" } = options;
    const { host, settings } = clientOptions(options);
    this.place = host;
    this.devicesOf = new DeviceLinks({
      ...options,
      name: `mqtt:${host}`,
      nowMs: () => performance.now(),
      publish: (topic, frame) => this.publish(topic, frame),
    });
    this.client = connect(withoutSecrets(url), {
      ...settings,
      clientId: `picobolt-gateway-${gateway}${worker === undefined ? "" : `-${worker}`}`,
      protocolVersion: LEVELS[version],
      clean: true,
      keepalive: KEEP_ALIVE_SECONDS,
      reconnectPeriod: reconnectMs,
      queueQoSZero: false,
      resubscribe: false,
    });
    this.listen();
  }

  get isConnected(): boolean {
    return this.client.connected;
  }

  /** Names of the devices that have a link now. */
  get devices(): readonly string[] {
    return this.devicesOf.devices;
  }

  presence(device: string): Presence | undefined {
    return this.devicesOf.presence(device);
  }

  /** To a device that may not know that its gateway is another process now. */
  announce(device: string): void {
    this.devicesOf.announce(device);
  }

  async close(): Promise<void> {
    clearTimeout(this.calling);
    this.devicesOf.closeAll("the gateway is stopping");
    await this.client.endAsync(!this.client.connected);
  }

  private listen(): void {
    const { client, devicesOf, options } = this;
    client.on("connect", () => {
      this.lastProblem = "";
      client.subscribe([...gatewayFilters(options.gateway)], { qos: 0 }, (error, granted) => {
        const isRefused = granted?.some(({ qos }) => Number(qos) >= FIRST_REFUSAL);
        if (error || isRefused) this.problem("the broker refused the subscription");
      });
    });
    client.on("message", (topic, payload, { retain }) => {
      devicesOf.receive(topic, new Uint8Array(payload), retain);
      if (retain) this.callSoon();
    });
    client.on("close", () => devicesOf.closeAll("the connection to the broker is lost"));
    client.on("error", ({ message }) => this.problem(message));
  }

  private callSoon(): void {
    this.calling ??= setTimeout(async () => {
      const isMore = await this.devicesOf.callEarly(EARLY_AT_ONCE).catch(() => false);
      this.calling = undefined;
      if (isMore && this.isConnected) this.callSoon();
    }, EARLY_EVERY_MS).unref();
  }

  /** Each told once, not at every attempt. */
  private problem(text: string): void {
    if (text === this.lastProblem) return;
    this.lastProblem = text;
    this.options.onProblem?.(`mqtt: ${this.place}: ${text}`);
  }

  private publish(topic: string, frame: Uint8Array): void {
    const { client } = this;
    if (!client.connected) return;
    // What waits is the stream's to count: a callback would be a listener for each frame, and one that a lost connection never calls.
    if (client.stream.writableLength + frame.length > MAX_WAITING_BYTES) return;
    client.publish(topic, Buffer.from(frame), { qos: 0 });
  }
}

/** The host for people, and what mqtt.js needs beside the URL. */
function clientOptions({ url, user, password, ca }: GatewayMqttOptions): {
  readonly host: string;
  readonly settings: IClientOptions;
} {
  const parsed = new URL(url);
  const username = user ?? decodeURIComponent(parsed.username);
  const secret = password ?? decodeURIComponent(parsed.password);
  return {
    host: parsed.host,
    settings: {
      ...(username !== "" && { username }),
      ...(secret !== "" && { password: secret }),
      ...(ca && { ca: Buffer.from(ca) }),
    },
  };
}

function withoutSecrets(url: string): string {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}
