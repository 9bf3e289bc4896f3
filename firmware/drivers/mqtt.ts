/** MQTT 3.1.1 (`embedded:network/mqtt/client`) over TCP or TLS; a publish that does not fit the socket's buffer now is dropped. */
import TCP from "embedded:io/socket/tcp";
import TLSSocket from "embedded:io/socket/tcp/tls";
import UDP from "embedded:io/socket/udp";
import Resolver from "embedded:network/dns/resolver/udp";
import MQTTClient from "embedded:network/mqtt/client";
import type { MqttConnection, MqttDriver, MqttEvents, MqttOptions } from "../links/drivers.ts";
import { derOf } from "./certificate.ts";

/** A frame is at most the largest message and its wrapping; anything longer is not for us. */
const MAX_PAYLOAD_BYTES = 8_192;

interface ControlMessage {
  readonly operation: number;
  readonly returnCode?: number;
}

/** `subscribe` as the client's source has it; the SDK's typings lack it. */
interface Control {
  write(data: null, options: { operation: number; items: readonly { topic: string }[] }): number;
}

export function mqttDriver(nameServers: readonly string[]): MqttDriver {
  return { connect: (options, events) => open(options, events, nameServers) };
}

function open(
  options: MqttOptions,
  events: MqttEvents,
  nameServers: readonly string[],
): MqttConnection {
  const incoming = new Incoming(events);
  let isOpen = true;
  const end = (reason: string) => {
    if (!isOpen) return;
    isOpen = false;
    client.close();
    events.onClosed(reason);
  };
  const { host, port, user, password, will } = options;
  const control = (message: ControlMessage) => {
    if (message.operation !== MQTTClient.CONNACK) return;
    if ((message.returnCode ?? 0) !== 0) end(refusal(message.returnCode));
    else events.onConnected();
  };
  const client = new MQTTClient({
    host,
    port,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    id: options.clientId,
    clean: true,
    keepAlive: options.keepAliveSeconds * 1000,
    will: { topic: will.topic, message: exact(will.payload), QoS: 0, retain: will.retain },
    // The client passes one object; the SDK's typings have two arguments.
    onControl: control as never,
    onReadable: (count, { more, topic }) => {
      incoming.take(client.read(count), more, topic);
    },
    onError: () => end(`the connection to ${host}:${port} failed`),
    dns: { io: Resolver, servers: nameServers, socket: { io: UDP } },
    socket: socketOf(options),
  });
  return {
    subscribe(topic) {
      const { write } = client as unknown as Control;
      const control = { operation: MQTTClient.SUBSCRIBE, items: [{ topic }] };
      if (isOpen && !fits(() => write.call(client, null, control))) end("it could not subscribe");
    },
    publish(topic, payload, retain) {
      return isOpen && fits(() => client.write(payload, { topic, QoS: 0, retain }));
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      client.close();
    },
  };
}

function socketOf({ tls }: MqttOptions): Record<string, unknown> {
  if (!tls) return { io: TCP };
  return { io: TLSSocket, TCP: { io: TCP }, secure: { certificate: exact(derOf(tls.ca)) } };
}

/** Puts the pieces of a publish together again. */
class Incoming {
  private topic = "";
  private pieces: Uint8Array[] = [];
  private length = 0;

  constructor(private readonly events: MqttEvents) {}

  take(piece: ArrayBuffer, more: boolean, topic: string | undefined): void {
    if (topic !== undefined) {
      this.topic = topic;
      this.clear();
    }
    this.length += piece.byteLength;
    if (this.length <= MAX_PAYLOAD_BYTES) this.pieces.push(new Uint8Array(piece));
    if (more) return;
    const isWhole = this.length <= MAX_PAYLOAD_BYTES;
    const payload = isWhole ? this.join() : undefined;
    this.clear();
    if (payload) this.events.onMessage(this.topic, payload);
  }

  private join(): Uint8Array {
    const payload = new Uint8Array(this.length);
    let at = 0;
    for (const piece of this.pieces) {
      payload.set(piece, at);
      at += piece.length;
    }
    return payload;
  }

  private clear(): void {
    this.pieces = [];
    this.length = 0;
  }
}

/** The client throws before it writes anything where the socket's buffer has no room for all of it. */
function fits(write: () => void): boolean {
  try {
    write();
    return true;
  } catch {
    return false;
  }
}

function refusal(code: number | undefined): string {
  if (code === 4 || code === 5) return "the broker refused user and password";
  return `the broker refused the connection (code ${code})`;
}

function exact(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer;
}
