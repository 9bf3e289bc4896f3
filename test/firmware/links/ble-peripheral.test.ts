/** A machine on BLE: one customer at a time, the next one told to wait, and nobody who can keep it from the others. */
import { describe, expect, it } from "vitest";
import { BleStream, busyNotice } from "../../../firmware/links/ble-stream.ts";
import { Air, type AirConnection } from "../../support/ble-air.ts";
import { BleWorld } from "../../support/ble-world.ts";

/** Who connects by hand and says what the test says. */
async function connectRaw(world: BleWorld, address: string): Promise<AirConnection> {
  const connection = world.air.connect(address);
  connection.onClosed = () => {};
  await world.pass(100);
  return connection;
}

describe("two customers at once", () => {
  it("the second is told to wait, comes again, and is served when the first has left", async () => {
    const world = await BleWorld.make();
    const first = world.shopper("first");
    await world.until(() => world.peripheral.linkName !== undefined);
    const second = world.shopper("second", world.buyer);
    await world.until(() => second.states.some(({ type }) => type === "busy"));
    expect(first.central.linkName).toBeDefined();
    first.central.stop();
    await world.until(() => world.isConnected);
    world.pay(5_000);
    await world.until(() => world.paid[1] === 5_000);
    expect(world.paid).toEqual([5_000, 5_000]);
  });

  it("hears exactly the notice, and is cut off when it stays", async () => {
    const world = await BleWorld.make();
    await connectRaw(world, "first");
    const heard: Uint8Array[] = [];
    const second = world.air.connect("second");
    second.onBytes = (bytes) => heard.push(bytes);
    await world.pass(200);
    expect(heard).toEqual([busyNotice()]);
    expect(second.isOpen).toBe(true);
    await world.pass(1_600);
    expect(second.isOpen).toBe(false);
  });

  it("of a crowd a few are told, the rest cut off at once", async () => {
    const world = await BleWorld.make();
    await connectRaw(world, "first");
    const crowd = Array.from({ length: 5 }, (_, i) => world.air.connect(`crowd-${i}`));
    await world.pass(100);
    expect(crowd.map(({ isOpen }) => isOpen)).toEqual([true, true, false, false, false]);
  });
});

describe("who blocks the machine", () => {
  it("begins no session: it is sent away after 8 s, and not served again for 10", async () => {
    const world = await BleWorld.make();
    const silent = await connectRaw(world, "silent");
    const other = world.shopper("other", world.buyer);
    await world.pass(7_500);
    expect(silent.isOpen).toBe(true);
    await world.pass(1_000);
    expect(silent.isOpen).toBe(false);
    expect(world.notes.join()).toContain("silent is sent away: it began no session");
    const again = await connectRaw(world, "silent");
    expect(world.peripheral.linkName).not.toBe("ble:silent");
    await world.until(() => world.isConnected);
    expect(world.peripheral.linkName).toBe("ble:other");
    expect(again.isOpen).toBe(false);
    expect(other.states.at(-1)?.type).toBe("connected");
  });

  it("is sent away and comes at once: nobody else is there, and still it waits its 10 seconds", async () => {
    const world = await BleWorld.make();
    await connectRaw(world, "silent");
    await world.until(() => world.peripheral.linkName === undefined);
    await connectRaw(world, "silent");
    expect(world.peripheral.linkName).toBeUndefined();
    await world.pass(10_000);
    await connectRaw(world, "silent");
    expect(world.peripheral.linkName).toBe("ble:silent");
  });

  it("floods: 32 KB without an answer are enough", async () => {
    const world = await BleWorld.make();
    const flood = await connectRaw(world, "flood");
    const garbage = new Uint8Array(244).map((_, i) => (i * 31) & 0xff);
    let sent = 0;
    for (; flood.isOpen && sent < 1_000; sent++) {
      flood.send(garbage);
      world.air.pump();
    }
    expect(sent * garbage.length).toBeLessThan(34_000);
    world.shopper("other", world.buyer);
    await world.until(() => world.isConnected, 5_000);
  });

  it("vanishes without a word: its place is free when its session has died", async () => {
    const world = await BleWorld.make();
    const buyer = world.shopper("buyer", world.buyer);
    await world.until(() => world.isConnected);
    // Out of reach, and the machine's stack does not notice.
    world.air.connections[0]?.end("out of reach");
    buyer.central.stop();
    await world.pass(10_000);
    expect(world.peripheral.linkName).toBe("ble:buyer");
    await world.until(() => world.peripheral.linkName === undefined, 40_000);
    expect(world.notes.join()).toContain("its session has ended");
  });

  it("only stands there: it may, until somebody else has waited for a minute", async () => {
    const world = await BleWorld.make();
    world.shopper("buyer", world.buyer);
    await world.until(() => world.isConnected);
    await world.pass(120_000);
    expect(world.peripheral.linkName).toBe("ble:buyer");
    expect(world.notes).toEqual([]);
    const waiting = world.shopper("waiting");
    await world.until(() => world.notes.join().includes("others wait"), 3_000);
    await world.until(() => world.peripheral.linkName === "ble:waiting");
    expect(waiting.central.linkName).toBeDefined();
  });

  it("pays all the time: others wait, and it is not sent away", async () => {
    const world = await BleWorld.make();
    world.shopper("buyer", world.buyer);
    await world.until(() => world.isConnected);
    const waiting = world.shopper("waiting");
    for (let i = 1; i <= 10; i++) {
      world.pay(1_000);
      await world.pass(10_000);
    }
    expect(world.peripheral.linkName).toBe("ble:buyer");
    expect(world.paid).toEqual([10_000, 10_000]);
    expect(waiting.states.filter(({ type }) => type === "busy").length).toBeGreaterThan(2);
  });
});

describe("the radio's narrow pipe", () => {
  it("at MTU 23 every write has 20 bytes at most, and a payment goes through", async () => {
    const world = await BleWorld.make();
    world.air.mtu = 23;
    world.shopper("buyer", world.buyer);
    await world.until(() => world.isConnected);
    world.pay(7_000);
    await world.until(() => world.paid[1] === 7_000);
    const [customer] = world.air.connections as [AirConnection];
    expect(Math.max(...customer.sizes, ...customer.other.sizes)).toBe(20);
  });

  it("uses the MTU that was negotiated after the first bytes", async () => {
    const world = await BleWorld.make();
    world.air.mtu = 23;
    world.shopper("buyer", world.buyer);
    await world.until(() => world.isConnected);
    world.air.mtu = 247;
    const [customer] = world.air.connections as [AirConnection];
    customer.sizes.length = 0;
    world.pay(7_000);
    await world.until(() => world.paid[1] === 7_000);
    expect(Math.max(...customer.sizes)).toBeGreaterThan(100);
  });

  it("a stack that is full delays what is sent, and loses and mixes nothing", async () => {
    const world = await BleWorld.make();
    world.shopper("buyer", world.buyer);
    await world.until(() => world.isConnected);
    const sessions = world.buyer.events("reestablished").length;
    for (let i = 0; i < 5; i++) {
      world.air.jammed = ["up", "down"];
      world.pay(1_000);
      await world.pass(300);
      world.air.clear();
      await world.until(() => world.paid[1] === 1_000 * (i + 1));
    }
    expect(world.air.connections).toHaveLength(1);
    expect(world.buyer.events("reestablished")).toHaveLength(sessions);
    expect(world.paid).toEqual([5_000, 5_000]);
  });

  it("lets go of a customer that takes nothing", async () => {
    const world = await BleWorld.make();
    world.shopper("buyer", world.buyer);
    await world.until(() => world.isConnected);
    world.air.jammed = ["down"];
    await world.until(() => world.peripheral.linkName === undefined, 60_000);
    world.air.clear();
    await world.until(() => world.isConnected);
  });

  it("a stack that fails ends the link, with its words", () => {
    const air = new Air();
    air.peripheral.advertise("x");
    const customer = air.connect("customer");
    customer.other.send = () => {
      throw new Error("no buffers");
    };
    const stream = new BleStream(customer.other);
    const closed: string[] = [];
    stream.onClosed = (reason) => closed.push(reason);
    stream.send(Uint8Array.of(1));
    stream.send(Uint8Array.of(2));
    expect(closed).toEqual(["the radio failed: no buffers"]);
    expect(customer.isOpen).toBe(false);
  });

  it("holds 16 KB for the radio, in order, and closes beyond", () => {
    const air = new Air();
    air.peripheral.advertise("x");
    const customer = air.connect("customer");
    const stream = new BleStream(customer.other);
    let closed = "";
    stream.onClosed = (reason) => {
      closed = reason;
    };
    const got: number[] = [];
    customer.onBytes = (bytes) => got.push(...bytes);
    air.jammed = ["down"];
    const frames = Array.from({ length: 16 }, (_, i) => new Uint8Array(1_000).fill(i + 1));
    for (const frame of frames) stream.send(frame);
    air.clear();
    air.pump();
    expect(got).toEqual(frames.flatMap((frame) => [...frame]));
    expect(stream.isWaiting).toBe(false);
    air.jammed = ["down"];
    for (const frame of [...frames, ...frames]) stream.send(frame);
    expect(closed).toBe("the other side does not take what is sent");
    expect(customer.isOpen).toBe(false);
  });
});

describe("the machine itself", () => {
  it("advertises under another name from now on, and no more when it stops", async () => {
    const world = await BleWorld.make();
    world.peripheral.rename("coffee");
    expect(world.air.advertised).toBe("coffee");
    const customer = await connectRaw(world, "first");
    world.peripheral.stop();
    expect(world.air.advertised).toBeUndefined();
    expect(customer.isOpen).toBe(false);
    expect(world.clock.waiting).toBe(0);
  });
});
