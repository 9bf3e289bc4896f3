/** The broker inside: what arrives together, kept or not, reaches whoever listens. */
import { connectAsync } from "mqtt";
import { afterEach, expect, it } from "vitest";
import { EmbeddedBroker } from "../../gateway/links/embedded-broker.ts";
import { until } from "../support/program-lab.ts";

const PAIRS = 20;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

it("a message that is kept is heard too, where the next one arrives in the same packet", async () => {
  const broker = await EmbeddedBroker.start();
  ends.push(() => broker.close());
  const client = async () => {
    const made = await connectAsync(broker.url, { reconnectPeriod: 0 });
    ends.push(() => made.endAsync(true));
    return made;
  };
  const listener = await client();
  const heard: string[] = [];
  listener.on("message", (topic, payload) => heard.push(`${topic} ${payload}`));
  await listener.subscribeAsync(["gate/+/state", "gate/+/up"]);
  const device = await client();
  const all: string[] = [];
  for (let i = 0; i < PAIRS; i++) {
    // In one turn: mqtt.js writes both at once.
    device.publish("gate/a/state", `${i}`, { retain: true });
    device.publish("gate/a/up", `${i}`);
    all.push(`gate/a/state ${i}`, `gate/a/up ${i}`);
  }
  await until(() => heard.length === all.length);
  expect(heard.sort()).toEqual(all.sort());
});
