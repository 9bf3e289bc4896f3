/** Payments over a bad BLE link: a customer who vanishes at every point, an air that damages, a phone that replays what it sniffed. */
import { describe, expect, it } from "vitest";
import { BleWorld } from "../../support/ble-world.ts";
import { payment } from "../../support/node-pair.ts";
import { Random } from "../../support/random.ts";

const AMOUNT_MSAT = 5_000;

/** How many notifications and writes one payment takes, from a session that stands. */
async function deliveriesOfAPush(): Promise<number> {
  const world = await BleWorld.make();
  world.shopper("buyer", world.buyer);
  await world.until(() => world.isConnected);
  await world.pass(500);
  world.pay(AMOUNT_MSAT);
  let count = 0;
  for (let i = 0; i < 50; i++) {
    count += world.air.pump();
    await world.pair.flow();
  }
  return count;
}

describe("a customer who vanishes after each write and notification", () => {
  it("comes back, and the payment is credited once", async () => {
    const last = await deliveriesOfAPush();
    expect(last).toBeGreaterThan(3);
    for (let point = 0; point <= last; point++) {
      const world = await BleWorld.make();
      world.shopper("buyer", world.buyer);
      await world.until(() => world.isConnected);
      await world.pass(500);
      const payments = payment(AMOUNT_MSAT);
      const pay = () => world.buyer.node.command(world.channel, { type: "push", payments });
      pay();
      for (let delivered = 0; delivered < point; ) {
        const moved = world.air.pump(1);
        delivered += moved;
        await world.pair.flow();
        if (moved === 0) break;
      }
      // Both stacks lose the connection; what was under way is lost.
      world.air.lose();
      world.air.connections.at(-1)?.close();
      await world.until(() => world.isConnected, 60_000);
      await world.pass(2_000);
      // What was never bound is asked for again under the same reference: that is no second payment.
      if (world.paid[0] === 0) pay();
      await world.until(() => world.paid[1] === AMOUNT_MSAT);
      await world.pass(2_000);
      expect({ point, paid: world.paid }).toEqual({ point, paid: [AMOUNT_MSAT, AMOUNT_MSAT] });
      world.pair.expectPeace();
    }
  });
});

describe("an air that damages", () => {
  const kinds = ["drop", "repeat", "flip", "swap"] as const;
  it.each(kinds)("%s: payments arrive, each once, and nobody loses the channel", async (kind) => {
    const world = await BleWorld.make();
    const random = new Random(7 + kinds.indexOf(kind));
    let kept: Uint8Array | undefined;
    let isBad = true;
    let damaged = 0;
    world.air.damage = (bytes) => {
      if (!isBad || random.below(6) > 0) {
        const late = kept;
        kept = undefined;
        return late ? [bytes, late] : [bytes];
      }
      damaged++;
      if (kind === "drop") return [];
      if (kind === "repeat") return [bytes, bytes];
      if (kind === "swap") {
        kept = bytes;
        return [];
      }
      const changed = bytes.slice();
      changed[random.below(bytes.length)] = random.below(256);
      return [changed];
    };
    world.shopper("buyer", world.buyer);
    const payments = Array.from({ length: 6 }, () => payment(AMOUNT_MSAT));
    for (const one of payments) {
      const before = world.paid[1] as number;
      for (let tries = 0; (world.paid[1] as number) === before; tries++) {
        expect(tries).toBeLessThan(200);
        world.buyer.node.command(world.channel, { type: "push", payments: one });
        await world.pass(5_000);
      }
    }
    isBad = false;
    await world.pass(60_000);
    await world.until(() => world.isConnected);
    await world.pass(5_000);
    expect(damaged).toBeGreaterThan(5);
    const all = AMOUNT_MSAT * payments.length;
    expect(world.paid).toEqual([all, all]);
    for (const side of [world.buyer, world.machine]) {
      expect(side.events("forceClosing")).toEqual([]);
      expect(side.checking.faults).toEqual([]);
    }
  });
});

describe("a hostile phone", () => {
  it("replays a sniffed purchase: nothing is credited, and it is sent away", async () => {
    const world = await BleWorld.make();
    const honest = world.shopper("buyer", world.buyer);
    await world.until(() => world.isConnected);
    world.pay(AMOUNT_MSAT);
    await world.until(() => world.paid[1] === AMOUNT_MSAT);
    const sniffed = [...world.air.tape];
    expect(sniffed.length).toBeGreaterThan(5);
    honest.central.stop();
    await world.pass(1_000);

    const phone = world.air.connect("phone");
    phone.onClosed = () => {};
    await world.pass(100);
    for (let round = 0; round < 3; round++) {
      for (const bytes of sniffed) {
        phone.send(bytes);
        await world.pass(100);
      }
    }
    await world.until(() => !phone.isOpen, 12_000);
    expect(world.notes.at(-1)).toContain("it began no session");
    expect(world.paid).toEqual([AMOUNT_MSAT, AMOUNT_MSAT]);
    expect(world.machine.events("pushReceived")).toHaveLength(1);
    world.pair.expectPeace();
  });

  it("talks into the session of another, and changes nothing", async () => {
    const world = await BleWorld.make();
    world.shopper("buyer", world.buyer);
    await world.until(() => world.isConnected);
    world.pay(AMOUNT_MSAT);
    await world.until(() => world.paid[1] === AMOUNT_MSAT);
    const sniffed = [...world.air.tape];
    const machine = world.air.connections[0]?.other;
    // As if its radio could speak in the customer's name.
    for (const bytes of sniffed) machine?.onBytes(bytes);
    await world.pass(1_000);
    expect(world.isConnected).toBe(true);
    world.pay(AMOUNT_MSAT);
    await world.until(() => world.paid[1] === 2 * AMOUNT_MSAT);
    expect(world.machine.events("pushReceived")).toHaveLength(2);
  });
});
