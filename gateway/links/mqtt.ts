/** A gateway on a broker: hears its devices, and reaches them, through mqtt.js (docs/LINKS.md "MQTT"). */
import { connect, type IClientOptions, type MqttClient } from "mqtt";
import { gatewayFilters } from "../../core/transport/mqtt-topics.ts";
import { DeviceLinks, type DeviceLinksOptions, type Presence } from "./device-links.ts";

export interface GatewayMqttOptions
  extends Pick<
    DeviceLinksOptions,
    "gateway" | "attach" | "onPresence" | "onProblem" | "isKnown" | "maxDevices"
  > {
  /** `mqtt://host:port`, or `mqtts://` for TLS; may carry `user:password@`. */
  readonly url: string;
  readonly user?: string;
  readonly password?: string;
  /** PEM; the system's authorities where absent. */
  readonly ca?: Uint8Array;
  readonly reconnectMs?: number;
}

const RECONNECT_MS = 1_000;
const KEEP_ALIVE_SECONDS = 30;
/** Of frames that the broker's socket has not taken yet; more are lost, and the sessions notice. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

export class GatewayMqtt {
  private readonly client: MqttClient;
  private readonly devicesOf: DeviceLinks;
  private readonly place: string;
  private waiting = 0;
  private lastProblem = "";

  /** Connects, and connects again, until `close`. */
  constructor(private readonly options: GatewayMqttOptions) {
    const { url, gateway, reconnectMs = RECONNECT_MS } = options;
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
      clientId: `picobolt-gateway-${gateway}`,
      protocolVersion: 4,
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

  async close(): Promise<void> {
    this.devicesOf.closeAll("the gateway is stopping");
    await this.client.endAsync(!this.client.connected);
  }

  private listen(): void {
    const { client, devicesOf, options } = this;
    client.on("connect", () => {
      this.lastProblem = "";
      client.subscribe([...gatewayFilters(options.gateway)], { qos: 0 }, (error, granted) => {
        const isRefused = granted?.some(({ qos }) => Number(qos) === 128);
        if (error || isRefused) this.problem("the broker refused the subscription");
      });
    });
    client.on("message", (topic, payload, { retain }) => {
      devicesOf.receive(topic, new Uint8Array(payload), retain);
    });
    client.on("close", () => devicesOf.closeAll("the connection to the broker is lost"));
    client.on("error", ({ message }) => this.problem(message));
  }

  /** Each told once, not at every attempt. */
  private problem(text: string): void {
    if (text === this.lastProblem) return;
    this.lastProblem = text;
    this.options.onProblem?.(`mqtt: ${this.place}: ${text}`);
  }

  private publish(topic: string, frame: Uint8Array): void {
    const { client } = this;
    if (!client.connected || this.waiting + frame.length > MAX_WAITING_BYTES) return;
    this.waiting += frame.length;
    client.publish(topic, Buffer.from(frame), { qos: 0 }, () => {
      this.waiting -= frame.length;
    });
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
