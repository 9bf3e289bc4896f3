/** A host's end of a device's MQTT link, by its URL: `mqtt://[user:password@]host:port/<gateway>/<device>` (docs/LINKS.md "MQTT"). */
import { connect } from "mqtt";
import type { Link } from "../../core/ports/link.ts";
import { mqttTopics, OFFLINE, ONLINE, topicName } from "../../core/transport/mqtt-topics.ts";
import { MQTT_QUIET_MS } from "../../core/transport/timing.ts";

const CONNECT_MS = 10_000;
const RECONNECT_MS = 1_000;
const KEEP_ALIVE_SECONDS = 30;
const MAX_WAITING_BYTES = 256 * 1024;
const NODE_ID = /^0[23][0-9a-f]{64}$/;

/** Stays while the broker goes and comes: what is sent meanwhile is lost, and sessions begin anew. */
export function openMqttLink(url: string): Promise<Link> {
  const { protocol, host, username, password, topics, device } = parsed(url);
  const client = connect(`${protocol}//${host}`, {
    clientId: `picobolt-${device}`,
    protocolVersion: 4,
    clean: true,
    keepalive: KEEP_ALIVE_SECONDS,
    connectTimeout: CONNECT_MS,
    reconnectPeriod: RECONNECT_MS,
    queueQoSZero: false,
    resubscribe: false,
    ...(username !== "" && { username, password }),
    will: { topic: topics.state, payload: Buffer.from(OFFLINE), qos: 0, retain: true },
  });
  const link: Link = {
    name: `mqtt:${host}`,
    kind: "datagram",
    quietMs: MQTT_QUIET_MS,
    send: (frame) => {
      if (!client.connected) return;
      if (client.stream.writableLength + frame.length > MAX_WAITING_BYTES) return;
      client.publish(topics.up, Buffer.from(frame), { qos: 0 });
    },
    close: () => {
      if (client.connected) client.publish(topics.state, OFFLINE, { retain: true });
      client.end(!client.connected);
      link.onClosed("closed here");
    },
    onBytes: () => {},
    onClosed: () => {},
  };
  client.on("message", (_, frame) => link.onBytes(new Uint8Array(frame)));
  return new Promise((resolve, reject) => {
    let isUp = false;
    const refuse = (reason: string) => {
      if (isUp) return;
      client.end(true);
      reject(new Error(`cannot reach the MQTT broker ${host}: ${reason}`));
    };
    client.on("error", (error) => refuse(error.message || String(error)));
    client.on("close", () => refuse("it closed the connection"));
    client.on("connect", () => {
      client.publish(topics.state, ONLINE, { retain: true });
      client.subscribe(topics.down, { qos: 0 }, (error) => {
        if (error) return refuse(error.message);
        isUp = true;
        resolve(link);
      });
    });
  });
}

function parsed(url: string) {
  const { protocol, host, username, password, pathname } = new URL(url);
  const [, gateway = "", device = "", more] = pathname.split("/");
  if (host === "" || gateway === "" || device === "" || more !== undefined) {
    throw new Error(
      "an MQTT link is mqtt://host:port/<gateway id>/<device id>, or mqtts:// for TLS",
    );
  }
  return {
    protocol,
    host,
    username: decodeURIComponent(username),
    password: decodeURIComponent(password),
    device: nameOf(device),
    topics: mqttTopics(nameOf(gateway), nameOf(device)),
  };
}

/** Whole node ids are taken too. */
function nameOf(id: string): string {
  return NODE_ID.test(id) ? topicName(id) : id;
}
