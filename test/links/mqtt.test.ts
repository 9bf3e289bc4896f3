/** Sessions and payments through real brokers: aedes, mosquitto, and mosquitto with TLS, passwords and an access list. */
import { createServer, connect as dial, type Socket } from "node:net";
import { connectAsync, type MqttClient } from "mqtt";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { accessList } from "../../gateway/fleet/broker-config.ts";
import type { MqttVersion } from "../../gateway/links/mqtt.ts";
import { startAedes } from "../../host-sim/mqtt/aedes.ts";
import type { Broker } from "../../host-sim/mqtt/broker.ts";
import { startMosquitto } from "../../host-sim/mqtt/mosquitto.ts";
import { type Account, MqttWorld } from "../support/mqtt-world.ts";
import { CableEnd } from "../support/program-lab.ts";

const PUSH_MSAT = 7_000;
const STRANGER = "0123456789abcdef";
const passwordOf = (user: string) => `secret of ${user}`;
const accountOf = (user: string): Account => ({ user, password: passwordOf(user) });

let names: { readonly gateway: string; readonly device: string };
let broker: Broker;
let world: MqttWorld;
const others: { close(): void }[] = [];

beforeAll(async () => {
  const somewhere = { url: "", host: "", port: 0 } as Broker;
  const { gatewayName, deviceName } = await MqttWorld.make(somewhere);
  names = { gateway: gatewayName, device: deviceName };
});

afterEach(async () => {
  for (const other of others.splice(0)) other.close();
  await world.close();
});

type Kind = readonly [string, () => Promise<Broker>, boolean, MqttVersion];
/** aedes speaks no MQTT 5. */
const kinds: readonly Kind[] = [
  ["aedes", () => startAedes(), false, "3.1.1"],
  ["mosquitto", () => startMosquitto(), false, "3.1.1"],
  ["mosquitto with TLS, passwords and an access list", () => startSecured(), true, "3.1.1"],
  ["mosquitto with all of them, by MQTT 5", () => startSecured(), true, "5"],
];

function startSecured(): Promise<Broker> {
  const users = [names.gateway, names.device, STRANGER];
  return startMosquitto({
    tls: true,
    acl: accessList(names.gateway),
    passwords: Object.fromEntries(users.map((user) => [user, passwordOf(user)])),
  });
}

describe.each(kinds)("through %s", (_, start, isSecured, version) => {
  beforeAll(async () => {
    broker = await start();
  });
  afterAll(() => broker.close());

  const account = (user: string) => ({ ...(isSecured && accountOf(user)), version });

  async function connected(): Promise<void> {
    world = await MqttWorld.make(broker);
    world.startGateway(account(names.gateway));
    world.startDevice(account(names.device));
    await world.until("connected", () => world.isReady);
  }

  it("a device calls its gateway, is paid and pays", async () => {
    await connected();
    const before = world.settledMsat as number;
    world.pushToDevice(PUSH_MSAT);
    await world.until("paid", () => world.settledMsat === before + PUSH_MSAT);
    world.pushToGateway(2 * PUSH_MSAT);
    await world.until("pays", () => world.settledMsat === before - PUSH_MSAT);
    // Its own topic: nothing keeps it in order with the frames.
    await world.until(
      "it is said to be there",
      () => world.gateway?.presence(names.device) === "online",
    );
    world.pair.expectPeace();
  });

  it.each([1, 2, 3])(
    "a payment whose broker dies after frame %i of it settles when the broker is back",
    async (frames) => {
      await connected();
      const before = world.settledMsat as number;
      let isDead = false;
      world.cutAfter(frames, () => {
        void broker.kill().then(() => {
          isDead = true;
        });
      });
      world.pushToDevice(PUSH_MSAT);
      await world.until("the broker is dead", () => isDead);
      await world.until("it was noticed", () => !world.isConnected);
      if (frames < 3) expect(world.settledMsat).not.toBe(before + PUSH_MSAT);
      await broker.restart();
      await world.until("settled", () => world.settledMsat === before + PUSH_MSAT);
      world.pair.expectPeace();
    },
  );

  it("the last will tells the gateway that a device's line broke, and a goodbye that it stopped", async () => {
    world = await MqttWorld.make(broker);
    world.startGateway(account(names.gateway));
    const line = await proxyTo(broker.port);
    world.startDevice(account(names.device), line.port);
    await world.until("connected", () => world.isConnected);
    line.close();
    await world.until("gone", () => world.presences.at(-1) === "offline");
    await world.until("the session ended", () => !world.isConnected);
    world.uplink?.stop();
    world.startDevice(account(names.device));
    await world.until("back", () => world.presences.at(-1) === "online");
    await world.until("connected again", () => world.isConnected);
    world.uplink?.stop();
    await world.until("stopped", () => world.presences.at(-1) === "offline");
  });
});

describe("mosquitto's access list", () => {
  beforeAll(async () => {
    broker = await startSecured();
  });
  afterAll(() => broker.close());

  it("lets no device speak for another one, nor hear it", async () => {
    world = await MqttWorld.make(broker);
    world.startGateway(accountOf(names.gateway));
    await world.until("the gateway is there", () => world.gateway?.isConnected === true);
    const stranger = await clientAs(STRANGER);
    const base = `picobolt/v1/${names.gateway}`;
    const heard: string[] = [];
    stranger.on("message", (topic) => heard.push(topic));
    // mosquitto 2.0 grants any subscription, and delivers what the list allows.
    await stranger.subscribeAsync([
      `${base}/${names.device}/down`,
      `${base}/${STRANGER}/down`,
      "#",
    ]);
    const gateway = await clientAs(names.gateway);
    gateway.publish(`${base}/${names.device}/down`, "not for you");
    gateway.publish(`${base}/${STRANGER}/down`, "for you");
    stranger.publish(`${base}/${names.device}/state`, "online", { retain: true });
    stranger.publish(`${base}/${names.device}/up`, Buffer.of(1, 2, 3));
    stranger.publish(`${base}/${STRANGER}/up`, Buffer.of(1, 2, 3));
    stranger.publish(`${base}/${STRANGER}/state`, "online", { retain: true });
    await world.until("its own are heard", () => world.gateway?.presence(STRANGER) === "online");
    await world.until("so is what it is sent", () => heard.includes(`${base}/${STRANGER}/down`));
    expect(heard.filter((topic) => topic.includes(names.device))).toEqual([]);
    expect(world.gateway?.devices).toEqual([STRANGER]);
    expect(world.gateway?.presence(names.device)).toBeUndefined();
  });

  it("refuses a wrong password, and both sides say so without telling it", async () => {
    world = await MqttWorld.make(broker);
    world.startGateway({ user: names.gateway, password: "guessed" });
    world.startDevice({ user: names.device, password: "guessed" });
    await world.until("told", () => world.problems.length > 0 && world.notes.length > 0);
    expect(world.problems[0]).toMatch(/Not authorized/);
    expect(world.notes[0]).toMatch(/Not authorized.*again in 1 s/);
    expect(`${world.problems} ${world.notes}`).not.toContain("guessed");
  });

  it("a device does not talk to a broker of another authority", async () => {
    const other = await startMosquitto({ tls: true });
    try {
      world = await MqttWorld.make({
        ...other,
        url: broker.url,
        host: broker.host,
        port: broker.port,
      });
      world.startDevice(accountOf(names.device));
      await world.until("told", () => world.notes.length > 0);
      expect(world.notes[0]).toMatch(/certificate/);
    } finally {
      await other.close();
    }
  });
});

describe("two links to one peer", () => {
  beforeAll(async () => {
    broker = await startAedes();
  });
  afterAll(() => broker.close());

  it("the broker dies in the middle of a payment: it settles over the cable", async () => {
    world = await MqttWorld.make(broker);
    plugIn();
    await world.until("on the cable", () => linkName() === "uart");
    await world.until("ready", () => world.isReady);
    // Of two calls at the same time the lower node id's counts; a later one is another wish.
    await world.pass(6_000);
    world.startGateway();
    world.startDevice();
    await world.until("on MQTT", () => linkName()?.startsWith("mqtt:") === true && world.isReady);
    const before = world.settledMsat as number;
    await world.pass(1_000);
    world.cutAfter(2, () => void broker.kill());
    world.pushToDevice(PUSH_MSAT);
    const isSettled = () => world.settledMsat === before + PUSH_MSAT;
    await world.until("settled, on the cable", () => isSettled() && linkName() === "uart");
    world.pair.expectPeace();
    await broker.restart();
  });

  it("the cable is pulled in the middle of a payment: it settles through the broker", async () => {
    world = await MqttWorld.make(broker);
    world.startGateway();
    world.startDevice();
    await world.until("on MQTT", () => world.isReady);
    const cable = plugIn();
    await world.until("on the cable", () => linkName() === "uart" && world.isReady);
    const before = world.settledMsat as number;
    await world.pass(1_000);
    cable.pullAfter(2);
    world.pushToDevice(PUSH_MSAT);
    const isSettled = () => world.settledMsat === before + PUSH_MSAT;
    const isOnMqtt = () => linkName()?.startsWith("mqtt:") === true;
    await world.until("settled, on MQTT", () => isSettled() && isOnMqtt());
    world.pair.expectPeace();
  });
});

/** The device's link, once both sides are on it. */
function linkName(): string | undefined {
  const { a, b } = world.pair;
  const device = b.node.linkOf(a.nodeId);
  return device?.kind === a.node.linkOf(b.nodeId)?.kind ? device?.name : undefined;
}

/** A cable on which the gateway calls; pulled, it swallows everything, and nobody is told. */
function plugIn(): { pullAfter(chunks: number): void } {
  const { a, b } = world.pair;
  const end = new CableEnd("uart");
  let left = Number.POSITIVE_INFINITY;
  const device = {
    name: "uart",
    kind: "stream" as const,
    send: (bytes: Uint8Array) => {
      if (left-- > 0) end.driver.write(bytes);
    },
    close: () => {},
    onBytes: (_: Uint8Array) => {},
    onClosed: () => {},
  };
  end.driver.onBytes = (bytes) => {
    if (left-- > 0) device.onBytes(bytes);
  };
  b.node.attach(device);
  a.node.attach(end.link, b.nodeId);
  return {
    pullAfter: (chunks) => {
      left = chunks;
    },
  };
}

async function clientAs(user: string): Promise<MqttClient> {
  const client = await connectAsync(broker.url, {
    username: user,
    password: passwordOf(user),
    ca: Buffer.from(broker.ca as Uint8Array),
    reconnectPeriod: 0,
  });
  others.push({ close: () => client.end(true) });
  return client;
}

/** A line to the broker that can break without a word. */
async function proxyTo(port: number): Promise<{ readonly port: number; close(): void }> {
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = dial(port, "127.0.0.1");
    sockets.push(near, far);
    for (const socket of [near, far]) socket.on("error", () => {});
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const proxy = {
    port: address && typeof address === "object" ? address.port : 0,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
  others.push(proxy);
  return proxy;
}
