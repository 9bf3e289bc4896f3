/** All links of a board at once: what the settings ask for comes up, follows them, and comes again after each loss. */
import { beforeEach, describe, expect, it } from "vitest";
import { SeedSigner } from "../../../core/keys/seed-signer.ts";
import type { PublicKey } from "../../../core/primitives/brands.ts";
import { concatAll, toHex } from "../../../core/primitives/bytes.ts";
import { encodeFrame } from "../../../core/transport/framing.ts";
import { encodeCard } from "../../../core/transport/identity.ts";
import { mqttTopics, topicName } from "../../../core/transport/mqtt-topics.ts";
import { Kind } from "../../../core/transport/packets.ts";
import { IMPROV_STATE } from "../../../firmware/links/improv-ble.ts";
import type { LinkNeeds } from "../../../firmware/links/start-links.ts";
import { LinksBoard } from "../../support/links-board.ts";
import { breath, crypto } from "../../support/node-pair.ts";

const idOf = (byte: number): PublicKey =>
  new SeedSigner(crypto, new Uint8Array(32).fill(byte)).nodeId;
const DEVICE = idOf(1);
const GATEWAY = idOf(2);
const MACHINE = idOf(3);
const BROKER = { host: "broker.example", port: 8883 };
const claimed: LinkNeeds = {
  name: "coffee",
  wifi: { ssid: "shop", password: "12345678" },
  mqtt: BROKER,
  gateway: GATEWAY,
};
const topics = mqttTopics(topicName(toHex(GATEWAY)), topicName(toHex(DEVICE)));
let board: LinksBoard;

beforeEach(() => {
  board = new LinksBoard(DEVICE);
  board.wifi.networks.set("shop", "12345678");
});

async function startClaimed(needs = claimed): Promise<void> {
  board.isClaimed = true;
  board.start(needs);
  await breath();
}

describe("a device without an owner", () => {
  it("has its cable and its name in the air, and asks for no broker", async () => {
    const links = board.start({ name: "picobolt-ab12cd" });
    await breath();
    expect(links.up).toEqual(["serial:uart0"]);
    expect(board.air.advertised).toBe("picobolt-ab12cd");
    expect(board.broker.clients).toEqual([]);
    expect(board.wifi.wishes).toEqual([]);
  });

  it("takes a network by Improv on the cable, while frames go on there", async () => {
    board.start({ name: "new" });
    const heard: Uint8Array[] = [];
    const { link } = board.attached[0] as (typeof board.attached)[0];
    link.onBytes = (bytes) => heard.push(bytes.slice());
    const frame = encodeFrame([Uint8Array.of(Kind.whoAreYou)]);
    const wish = improvPacket([1, 14, 4, ...ascii("shop"), 8, ...ascii("12345678")]);
    for (const byte of concatAll([frame, wish, frame])) board.serial.onBytes(Uint8Array.of(byte));
    await breath();
    expect(Buffer.concat(heard)).toEqual(Buffer.from(concatAll([frame, frame])));
    expect(board.kept).toEqual(["shop"]);
    expect(board.wifi.joined).toBe("shop");
    // And whoever looks over BLE sees it too.
    expect(board.improvValues.get(IMPROV_STATE)).toEqual([4]);
  });

  it("keeps no network that refused it, and goes back to the one before", async () => {
    board.wifi.networks.set("home", "password");
    board.start({ name: "new", wifi: { ssid: "home", password: "password" } });
    await breath();
    const wish = improvPacket([1, 14, 4, ...ascii("shop"), 8, ...ascii("WRONG...")]);
    board.serial.onBytes(wish);
    await breath();
    expect(board.kept).toEqual([]);
    expect(Buffer.concat(board.toHost).toString("latin1")).toContain("IMPROV\x01\x02\x01\x03");
    expect(board.wifi.joined).toBe("home");
  });
});

describe("a device with an owner", () => {
  it("joins its network, then its broker, says that it is there, and calls its gateway", async () => {
    await startClaimed();
    expect(board.links.up).toEqual(["serial:uart0", "mqtt:broker.example:8883"]);
    expect(board.links.isOnline).toBe(true);
    expect(board.broker.subscribed).toEqual([topics.down]);
    expect(board.broker.retained.get(topics.state)).toBe("online");
    expect(board.newest("mqtt:")?.remoteNodeId).toEqual(GATEWAY);
    // Whoever comes by cable or BLE calls the device.
    expect(board.newest("serial:")?.remoteNodeId).toBeUndefined();
  });

  it("changes its network for nobody but its owner", async () => {
    await startClaimed();
    board.wifi.networks.set("evil", "12345678");
    board.serial.onBytes(improvPacket([1, 14, 4, ...ascii("evil"), 8, ...ascii("12345678")]));
    await breath();
    expect(board.wifi.wishes).toEqual(["shop"]);
    expect(Buffer.concat(board.toHost).toString("latin1")).toContain("IMPROV\x01\x02\x01\x04");
  });

  it("loses its network: the link ends at once, and comes with the network", async () => {
    await startClaimed();
    board.wifi.fail();
    expect(board.newest("mqtt:")?.closed).toBeDefined();
    expect(board.links.up).toEqual(["serial:uart0"]);
    board.clock.advance(600_000);
    expect(board.broker.clients).toEqual([]);
    board.wifi.onState("joined");
    expect(board.links.isOnline).toBe(true);
    expect(board.attached.filter(({ link }) => link.name.startsWith("mqtt:"))).toHaveLength(2);
  });

  it("loses its broker for a day: tries seldom, and is back within minutes", async () => {
    await startClaimed();
    board.broker.isUp = false;
    board.broker.drop();
    expect(board.broker.retained.get(topics.state)).toBe("offline");
    expect(board.newest("mqtt:")?.closed).toBe("the line broke");
    board.clock.advance(24 * 3_600_000);
    const tries = board.notes.filter((text) => text.startsWith("mqtt:")).length;
    expect(tries).toBeGreaterThan(500);
    expect(tries).toBeLessThan(800);
    board.broker.isUp = true;
    board.clock.advance(160_000);
    expect(board.links.isOnline).toBe(true);
    expect(board.broker.retained.get(topics.state)).toBe("online");
    expect(board.clock.waiting).toBeLessThan(6);
  });

  it("without a Wi-Fi driver uses the network that its board has", async () => {
    board.start(claimed, ["wifi"]);
    expect(board.links.isOnline).toBe(true);
  });

  it("on a board with a cable alone has that, whatever its settings say", () => {
    const links = board.start(claimed, ["wifi", "mqtt", "blePeripheral", "bleCentral"]);
    expect(links.up).toEqual(["serial:uart0"]);
  });
});

describe("settings that change", () => {
  it("leave alone what they do not touch", async () => {
    await startClaimed();
    const before = board.attached.length;
    board.links.update({ ...claimed, mqtt: { ...BROKER } });
    await breath();
    expect(board.attached).toHaveLength(before);
    expect(board.newest("mqtt:")?.closed).toBeUndefined();
    expect(board.wifi.wishes).toEqual(["shop"]);
  });

  it("rename the device in the air", async () => {
    await startClaimed();
    board.links.update({ ...claimed, name: "tea" });
    expect(board.air.advertised).toBe("tea");
  });

  it.each<readonly [string, Partial<LinkNeeds>]>([
    ["another broker", { mqtt: { host: "other.example", port: 1883 } }],
    ["another password", { mqtt: { ...BROKER, user: "u", password: "p" } }],
    ["a certificate", { mqtt: { ...BROKER, ca: Uint8Array.of(1, 2, 3) } }],
    ["another gateway", { gateway: MACHINE }],
  ])("%s: the old link ends with an orderly goodbye, a new one comes", async (_, change) => {
    await startClaimed();
    const old = board.newest("mqtt:");
    board.links.update({ ...claimed, ...change });
    expect(old?.closed).toBeDefined();
    const now = board.newest("mqtt:");
    expect(now).not.toBe(old);
    expect(now?.closed).toBeUndefined();
    expect(now?.remoteNodeId).toEqual(change.gateway ?? GATEWAY);
    expect(board.broker.clients).toHaveLength(1);
    const { options } = board.broker.clients[0] as (typeof board.broker.clients)[0];
    expect(options.host).toBe((change.mqtt ?? BROKER).host);
    expect(options.tls?.ca).toEqual(change.mqtt?.ca);
  });

  it("no broker any more: the link ends, and nothing tries to come back", async () => {
    await startClaimed();
    board.links.update({ ...claimed, mqtt: undefined });
    board.clock.advance(600_000);
    expect(board.broker.clients).toEqual([]);
    expect(board.broker.retained.get(topics.state)).toBe("offline");
    expect(board.links.isOnline).toBe(false);
  });
});

describe("a device that buys from a machine over BLE", () => {
  it("asks an unknown machine who it is, and calls that key", async () => {
    board.otherAir.peripheral.advertise("vend-9");
    board.otherAir.peripheral.onConnected = (connection) => {
      connection.onBytes = () => connection.send(cardFrame());
    };
    board.start({ ...claimed, buysFrom: { machine: "vend-9" } });
    for (let i = 0; i < 10; i++) await passBle();
    expect(board.newest("ble:")?.remoteNodeId).toEqual(MACHINE);
  });

  it("calls a machine of known key at once, and leaves it when the settings name no machine", async () => {
    board.otherAir.peripheral.advertise("vend-9");
    board.start({ ...claimed, buysFrom: { machine: "vend-9", nodeId: MACHINE } });
    await passBle();
    const link = board.newest("ble:");
    expect(link?.remoteNodeId).toEqual(MACHINE);
    board.links.update(claimed);
    expect(link?.closed).toBe("no longer wanted");
  });

  it("gives up a machine that does not say who it is, and tries again later", async () => {
    board.otherAir.peripheral.advertise("vend-9");
    board.start({ ...claimed, buysFrom: { machine: "vend-9" } });
    for (let i = 0; i < 60; i++) await passBle();
    expect(board.newest("ble:")).toBeUndefined();
    expect(board.otherAir.connections.length).toBeGreaterThan(1);
    expect(board.otherAir.connections.filter(({ isOpen }) => isOpen).length).toBeLessThan(2);
  });
});

it("stopped, everything is closed and nothing waits any more", async () => {
  await startClaimed({ ...claimed, buysFrom: { machine: "vend-9" } });
  board.links.stop();
  board.links.stop();
  expect(board.newest("mqtt:")?.closed).toBeDefined();
  expect(board.broker.retained.get(topics.state)).toBe("offline");
  expect(board.air.advertised).toBeUndefined();
  expect(board.wifi.joined).toBeUndefined();
  expect(board.clock.waiting).toBe(0);
});

async function passBle(): Promise<void> {
  await breath();
  board.otherAir.pump();
  board.clock.advance(250);
}

function cardFrame(): Uint8Array {
  const card = encodeCard({
    protocolVersion: 2,
    nodeId: MACHINE,
    name: "vend-9",
    model: "lab",
    firmwareVersion: "1",
    claimed: true,
  });
  return encodeFrame([Uint8Array.of(Kind.card), card]);
}

function improvPacket(data: readonly number[]): Uint8Array {
  const head = [...ascii("IMPROV"), 1, 3, data.length, ...data];
  return Uint8Array.from([...head, head.reduce((sum, byte) => sum + byte, 0) & 0xff]);
}

function ascii(text: string): number[] {
  return [...Buffer.from(text)];
}
