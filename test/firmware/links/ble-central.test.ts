/** A device that buys over BLE: it finds its machine, and tries again without end, and never in a rush. */
import { describe, expect, it } from "vitest";
import type { Link } from "../../../core/ports/link.ts";
import { BleCentral, type BleCentralState, isNamed } from "../../../firmware/links/ble-central.ts";
import type { BleCentralDriver } from "../../../firmware/links/drivers.ts";
import { Air } from "../../support/ble-air.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { breath } from "../../support/node-pair.ts";

class Buyer {
  readonly clock = new FakeClock();
  readonly links: Link[] = [];
  readonly states: BleCentralState[] = [];
  readonly central: BleCentral;

  constructor(driver: BleCentralDriver, wanted = "vend-7") {
    this.central = new BleCentral({
      driver,
      clock: this.clock,
      entropy: { random: (length) => new Uint8Array(length) },
      isWanted: isNamed(wanted),
      attach: (link) => this.links.push(link),
      onState: (state) => this.states.push(state),
    });
    this.central.start();
  }

  get pauses(): readonly number[] {
    return this.states.flatMap((state) => (state.type === "pausing" ? [state.pauseMs] : []));
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      this.clock.advance(100);
      await breath();
    }
  }
}

function airWith(name: string): Air {
  const air = new Air();
  air.peripheral.advertise(name);
  return air;
}

describe("which machine", () => {
  it.each([
    ["VEND-7", 1],
    ["aa:bb:cc:00:00:01", 1],
    ["AA:BB:CC:00:00:01", 1],
    ["vend-70", 0],
    ["vend", 0],
    ["", 0],
  ])("%j connects to %i", async (wanted, count) => {
    const buyer = new Buyer(airWith("vend-7").central("b"), wanted);
    await buyer.pass(200);
    expect(buyer.links).toHaveLength(count);
  });

  it("is found when it comes into reach, and one search ends before the next begins", async () => {
    let scans = 0;
    const air = new Air();
    const inner = air.central("b");
    const buyer = new Buyer({
      connect: (address) => inner.connect(address),
      scan: (onFound) => {
        scans++;
        const stop = inner.scan(onFound);
        return () => {
          scans--;
          stop();
        };
      },
    });
    await buyer.pass(40_000);
    expect(scans).toBeLessThanOrEqual(1);
    expect(buyer.states.at(-2)).toMatchObject({ reason: "it is not in reach" });
    air.peripheral.advertise("vend-7");
    await buyer.pass(40_000);
    expect(buyer.links).toHaveLength(1);
    expect(scans).toBe(0);
  });
});

describe("when it does not work", () => {
  it("pauses longer each time, half a minute at most and a quarter more", async () => {
    const air = airWith("vend-7");
    const buyer = new Buyer({
      scan: (onFound) => air.central("b").scan(onFound),
      connect: () => Promise.reject(new Error("the radio is noisy")),
    });
    await buyer.pass(300_000);
    expect(buyer.pauses.slice(0, 4)).toEqual([500, 1_000, 2_000, 4_000]);
    expect(Math.max(...buyer.pauses)).toBeLessThanOrEqual(37_500);
    expect(buyer.pauses.length).toBeLessThan(20);
    expect(buyer.states).toContainEqual(
      expect.objectContaining({ type: "pausing", reason: "the radio is noisy" }),
    );
  });

  it("after a connection that lasted it comes back soon, after ones that break at once it does not", async () => {
    const air = airWith("vend-7");
    const buyer = new Buyer(air.central("b"));
    for (let i = 0; i < 4; i++) {
      await buyer.pass(10_000);
      air.connections.at(-1)?.close();
    }
    expect(buyer.pauses.at(-1)).toBeGreaterThan(1_000);
    await buyer.pass(60_000);
    air.connections.at(-1)?.close();
    expect(buyer.pauses.at(-1)).toBe(500);
    expect(buyer.links.length).toBe(5);
  });

  it("stopped and started while it connects, it has one link", async () => {
    const air = airWith("vend-7");
    const inner = air.central("b");
    const answers: (() => void)[] = [];
    const buyer = new Buyer({
      scan: (onFound) => inner.scan(onFound),
      connect: (address) =>
        new Promise((resolve) => answers.push(() => resolve(inner.connect(address)))),
    });
    await breath();
    buyer.central.stop();
    buyer.central.start();
    await breath();
    expect(answers).toHaveLength(2);
    for (const answer of answers) answer();
    await buyer.pass(200);
    expect(buyer.links).toHaveLength(1);
    expect(air.connections.filter(({ isOpen }) => isOpen)).toHaveLength(1);
  });

  it("stopped, it leaves the machine and looks no more", async () => {
    const air = airWith("vend-7");
    const buyer = new Buyer(air.central("b"));
    await buyer.pass(200);
    let closed = "";
    (buyer.links[0] as Link).onClosed = (reason) => {
      closed = reason;
    };
    buyer.central.stop();
    await buyer.pass(60_000);
    expect(closed).toBe("no longer wanted");
    expect(air.connections.every(({ isOpen }) => !isOpen)).toBe(true);
    expect(buyer.links).toHaveLength(1);
    expect(buyer.clock.waiting).toBe(0);
  });
});
