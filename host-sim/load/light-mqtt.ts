/** MQTT 3.1.1 as a board speaks it (QoS 0, clean session), a socket and a few hundred bytes a device: thousands fit into one process. */
import { connect, type Socket } from "node:net";
import type {
  MqttConnection,
  MqttDriver,
  MqttEvents,
  MqttOptions,
} from "../../firmware/links/drivers.ts";

const Packet = {
  connect: 0x10,
  connack: 0x20,
  publish: 0x30,
  subscribe: 0x82,
  pingreq: 0xc0,
  disconnect: 0xe0,
} as const;
const RETAIN = 1;
/** MQTT 3.1.1's level, then: clean session, a will of QoS 0. */
const PROTOCOL = Buffer.from("\0\u0004MQTT\u0004", "latin1");
const CLEAN_WITH_WILL = 0x06;
const WILL_RETAIN = 0x20;
/** A board's socket holds no more. */
const MAX_WAITING_BYTES = 16_384;
const NOTHING = Buffer.alloc(0);

export function lightMqtt(): MqttDriver {
  return { connect: (options, events) => new LightConnection(options, events) };
}

class LightConnection implements MqttConnection {
  private readonly socket: Socket;
  private received: Buffer = NOTHING;
  private isOver = false;
  private packetId = 0;
  private readonly pings: ReturnType<typeof setInterval>;

  constructor(
    { host, port, clientId, keepAliveSeconds, will }: MqttOptions,
    private readonly events: MqttEvents,
  ) {
    this.socket = connect({ host, port, noDelay: true });
    this.socket.on("connect", () => {
      const flags = CLEAN_WITH_WILL | (will.retain ? WILL_RETAIN : 0);
      const keepAlive = Buffer.of(flags, keepAliveSeconds >> 8, keepAliveSeconds & 0xff);
      const words = [text(clientId), text(will.topic), counted(Buffer.from(will.payload))];
      this.write(Packet.connect, PROTOCOL, keepAlive, ...words);
    });
    this.socket.on("data", (bytes) => this.receive(bytes));
    this.socket.on("error", ({ message }) => this.end(message));
    this.socket.on("close", () => this.end("the broker closed the connection"));
    this.pings = setInterval(() => this.write(Packet.pingreq), (keepAliveSeconds * 1_000) / 2);
  }

  subscribe(topic: string): void {
    this.packetId++;
    this.write(Packet.subscribe, Buffer.of(0, this.packetId), text(topic), Buffer.of(0));
  }

  publish(topic: string, payload: Uint8Array, retain: boolean): boolean {
    const { socket } = this;
    if (this.isOver || socket.writableLength + payload.length > MAX_WAITING_BYTES) return false;
    this.write(Packet.publish | (retain ? RETAIN : 0), text(topic), Buffer.from(payload));
    return true;
  }

  close(): void {
    if (this.isOver) return;
    this.isOver = true;
    clearInterval(this.pings);
    this.write(Packet.disconnect);
    this.socket.end();
  }

  private write(type: number, ...parts: readonly Buffer[]): void {
    if (this.socket.destroyed) return;
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    this.socket.write(Buffer.concat([Buffer.of(type), remainingLength(length), ...parts]));
  }

  private receive(bytes: Buffer): void {
    this.received = this.received.length === 0 ? bytes : Buffer.concat([this.received, bytes]);
    for (let packet = this.next(); packet && !this.isOver; packet = this.next()) {
      this.take(packet.type, packet.body);
    }
  }

  /** The next whole packet, which leaves the buffer. */
  private next(): { readonly type: number; readonly body: Buffer } | undefined {
    let length = 0;
    for (let at = 1, scale = 1; at < this.received.length; at++, scale *= 128) {
      const byte = this.received[at] as number;
      length += (byte & 127) * scale;
      if (byte >= 128) continue;
      const end = at + 1 + length;
      if (this.received.length < end) return undefined;
      const packet = {
        type: this.received[0] as number,
        body: this.received.subarray(at + 1, end),
      };
      this.received = end === this.received.length ? NOTHING : this.received.subarray(end);
      return packet;
    }
    return undefined;
  }

  private take(type: number, body: Buffer): void {
    if (type === Packet.connack) {
      if (body[1] === 0) this.events.onConnected();
      else this.end(`the broker refused us (${body[1]})`);
    } else if ((type & 0xf0) === Packet.publish) {
      const length = body.readUInt16BE(0);
      const topic = body.toString("latin1", 2, 2 + length);
      this.events.onMessage(topic, new Uint8Array(body.subarray(2 + length)));
    }
  }

  private end(reason: string): void {
    clearInterval(this.pings);
    if (this.isOver) return;
    this.isOver = true;
    this.socket.destroy();
    this.events.onClosed(reason);
  }
}

function text(value: string): Buffer {
  return counted(Buffer.from(value));
}

function counted(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes]);
}

function remainingLength(length: number): Buffer {
  const out: number[] = [];
  let left = length;
  do {
    const byte = left % 128;
    left = Math.floor(left / 128);
    out.push(left > 0 ? byte | 128 : byte);
  } while (left > 0);
  return Buffer.from(out);
}
