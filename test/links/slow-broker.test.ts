/** A broker that does not read, and a crowd of devices that is told something at once: bounded memory, one waiter, and no trace of it later. */
import { createServer, connect as dial, type Socket } from "node:net";
import { connectAsync } from "mqtt";
import { afterEach, expect, it } from "vitest";
import type { Link } from "../../core/ports/link.ts";
import { mqttTopics } from "../../core/transport/mqtt-topics.ts";
import { GatewayMqtt } from "../../gateway/links/mqtt.ts";
import { startAedes } from "../../host-sim/mqtt/aedes.ts";
import { until } from "../support/program-lab.ts";

const GATEWAY = "0123456789abcdef";
const DEVICE = "fedcba9876543210";
const CROWD = 10_000;
const FRAME_BYTES = 4_096;
/** Of the gateway (gateway/links/mqtt.ts), and what MQTT writes around a frame. */
const MOST_BYTES = 16 * 1024 * 1024 + 1_024;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A line to the broker; what comes from the near side is held back on demand. */
async function slowLine(to: number) {
  const near: Socket[] = [];
  const server = createServer((socket) => {
    const far = dial(to, "127.0.0.1");
    near.push(socket);
    for (const one of [socket, far]) one.on("error", () => {});
    socket.pipe(far);
    far.pipe(socket);
    far.on("close", () => socket.destroy());
    socket.on("close", () => far.destroy());
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  ends.push(() => {
    for (const socket of near) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as { port: number }).port,
    hold: () => near.at(-1)?.unpipe().pause(),
    cut: () => near.at(-1)?.destroy(),
  };
}

it("frames to a crowd wait within a limit for a broker that reads nothing, and flow once it is back", async () => {
  const warnings: string[] = [];
  const warned = ({ message }: Error) => void warnings.push(message);
  process.on("warning", warned);
  ends.push(() => process.off("warning", warned));
  const broker = await startAedes();
  ends.push(() => broker.close());
  const line = await slowLine(broker.port);
  const links: Link[] = [];
  const gateway = new GatewayMqtt({
    url: `mqtt://127.0.0.1:${line.port}`,
    gateway: GATEWAY,
    reconnectMs: 20,
    attach: (link) => void links.push(link),
  });
  ends.push(() => gateway.close());
  const { up, down } = mqttTopics(GATEWAY, DEVICE);
  const device = await connectAsync(broker.url, { reconnectPeriod: 0 });
  ends.push(() => device.endAsync(true));
  let heard = 0;
  device.on("message", () => heard++);
  await device.subscribeAsync(down);
  const meet = async () => {
    const before = links.length;
    await until(() => {
      device.publish(up, Buffer.from([1]));
      return links.length > before;
    });
  };
  await meet();

  const { client } = gateway as unknown as { client: { stream: Socket } };
  line.hold();
  for (let i = 0; i < CROWD; i++) gateway.announce(`${i}`);
  for (let i = 0; i < CROWD; i++) links[0]?.send(new Uint8Array(FRAME_BYTES));
  const waiting = client.stream.writableLength;
  expect(waiting).toBeGreaterThan(MOST_BYTES / 2);
  expect(waiting).toBeLessThanOrEqual(MOST_BYTES);
  expect(client.stream.listenerCount("drain")).toBeLessThan(5);

  line.cut();
  await until(() => !gateway.isConnected);
  await until(() => gateway.isConnected && client.stream.writableLength === 0);
  await meet();
  heard = 0;
  links.at(-1)?.send(new Uint8Array(FRAME_BYTES));
  await until(() => heard > 0);
  expect(warnings).toEqual([]);
});
