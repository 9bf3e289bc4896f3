/** The MQTT driver of virtual devices: one connection of mqtt.js, as narrow as a board's. */
import { connect } from "mqtt";
import type {
  MqttConnection,
  MqttDriver,
  MqttEvents,
  MqttOptions,
} from "../../firmware/links/drivers.ts";
import { pemOf } from "./pem.ts";

/** A board's socket holds no more. */
const MAX_WAITING_BYTES = 16_384;

export function mqttDriver(): MqttDriver {
  return { connect: open };
}

function open(options: MqttOptions, events: MqttEvents): MqttConnection {
  const { host, port, tls, user, password, will } = options;
  const client = connect({
    protocol: tls ? "mqtts" : "mqtt",
    host,
    port,
    protocolVersion: 4,
    clean: true,
    clientId: options.clientId,
    keepalive: options.keepAliveSeconds,
    reconnectPeriod: 0,
    queueQoSZero: false,
    ...(tls && { ca: pemOf(tls.ca) }),
    ...(user !== undefined && { username: user }),
    ...(password !== undefined && { password }),
    will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 0, retain: will.retain },
  });
  let isOver = false;
  let waiting = 0;
  const end = (reason: string) => {
    if (isOver) return;
    isOver = true;
    client.end(true);
    events.onClosed(reason);
  };
  client.on("connect", () => {
    if (!isOver) events.onConnected();
  });
  client.on("message", (topic, payload) => {
    if (!isOver) events.onMessage(topic, new Uint8Array(payload));
  });
  client.on("error", (error) => end(`the connection to ${host}:${port} failed: ${error.message}`));
  client.on("close", () => end(`the connection to ${host}:${port} closed`));
  return {
    subscribe: (topic) => {
      client.subscribe(topic, { qos: 0 }, (error) => {
        if (error) end(`it could not subscribe: ${error.message}`);
      });
    },
    publish: (topic, payload, retain) => {
      if (isOver || waiting + payload.length > MAX_WAITING_BYTES) return false;
      waiting += payload.length;
      client.publish(topic, Buffer.from(payload), { qos: 0, retain }, () => {
        waiting -= payload.length;
      });
      return true;
    },
    close: () => {
      isOver = true;
      // What was published last leaves first.
      client.end(false);
    },
  };
}
