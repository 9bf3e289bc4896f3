/** A meter and who feeds it: it flows while money is ahead, stops within a unit of its end, and gives back what was not used. */
import { afterEach, describe, expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { packPayments } from "../../core/payments/push.ts";
import type { Store } from "../../core/ports/store.ts";
import { type ChannelId, milliSatoshi } from "../../core/primitives/brands.ts";
import { Config } from "../../firmware/apps/config.ts";
import type { Feed, FeedOptions } from "../../firmware/apps/feed.ts";
import { MeterApp, meterSettings } from "../../firmware/apps/meter.ts";
import { meterReference } from "../../firmware/apps/meter-session.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { NorFlash } from "../../host-sim/flash/nor-flash.ts";
import { BenchClock, BenchPins } from "../support/bench-board.ts";
import type { Cable } from "../support/cable.ts";
import { DeviceLab, type LabDevice, say } from "../support/device-lab.ts";

const PRICE = 1_000;

let lab: DeviceLab;
let payer: LabDevice;
let meter: LabDevice;
let id: ChannelId;
let cable: Cable;
let clock: BenchClock;
let pins: BenchPins;

async function setUp(config: Record<string, unknown> = {}, store: Store = new MemoryStore()) {
  clock = new BenchClock();
  pins = new BenchPins(["relay", "meter"]);
  lab = await DeviceLab.make();
  payer = await lab.add("payer", () => new PayerApp(), new MemoryStore(), { clock });
  const settings = { machine: "charger", priceMsat: PRICE, ...config };
  const app = () => new MeterApp(meterSettings(new Config(settings, "meter")));
  meter = await lab.add("meter", app, store, { pins, clock });
  lab.connect(payer);
  lab.connect(meter);
  cable = lab.connect(payer, meter);
  await lab.flow();
  id = await lab.open(payer, meter);
}

afterEach(() => lab.close());

const balance = () => meter.device.node.record(id)?.base.toLocalMsat ?? 0;
const flows = () => pins.read("relay");
const feed = (options: FeedOptions): Promise<Feed> => payer.payer.feed(id, options);

/** Time passes in small steps, and messages flow in between. */
async function pass(seconds: number, step = 500): Promise<void> {
  for (let ms = 0; ms < seconds * 1_000; ms += step) {
    await clock.pass(step);
    await lab.flow(4);
  }
}

async function outcomeOf(one: Feed) {
  let outcome: Awaited<Feed["done"]> | undefined;
  void one.done.then((end) => {
    outcome = end;
  });
  await lab.flow();
  return outcome;
}

/** A push by hand under a session's reference. */
function push(session: Uint8Array, count: number, amountMsat: number): void {
  const reference = meterReference(session, count, new Uint8Array(2));
  const payments = packPayments([{ reference, amountMsat: milliSatoshi(amountMsat) }]);
  payer.device.node.command(id, { type: "push", payments });
}

/** A session whose payer is the test itself. */
async function session(fill = 1): Promise<Uint8Array> {
  const bytes = new Uint8Array(8).fill(fill);
  const terms = { priceMsat: milliSatoshi(PRICE), unitKind: 0, unitSize: 1, lowUnits: 2 };
  say(meter, payer.id, { type: "meter_start", session: bytes, ...terms });
  await lab.flow();
  return bytes;
}

describe("a meter that sells seconds", () => {
  it("says what it takes, flows for what is paid, and stops when the money does", async () => {
    await setUp();
    const before = balance();
    expect(payer.payer.meterQuote(meter.id)).toMatchObject({ ready: true, priceMsat: PRICE });
    expect(flows()).toBe(false);
    const feeding = await feed({ maxMsat: 20 * PRICE, pushUnits: 4 });
    await lab.flow();
    expect(flows()).toBe(true);
    await pass(19);
    expect(flows()).toBe(true);
    await pass(2);
    expect(flows()).toBe(false);
    const outcome = await outcomeOf(feeding);
    expect(outcome).toMatchObject({ usedUnits: 20, paidMsat: 20 * PRICE, restMsat: 0 });
    expect(balance() - before).toBe(20 * PRICE);
    expect(meter.appEvents("metered")).toMatchObject([{ usedUnits: 20, paidMsat: 20 * PRICE }]);
  });

  it("is stopped by its payer, and gives the rest back to the millisatoshi", async () => {
    await setUp();
    const before = balance();
    const feeding = await feed({ maxMsat: 100 * PRICE, pushUnits: 10 });
    await lab.flow();
    await pass(3.5);
    feeding.stop();
    await lab.flow();
    expect(flows()).toBe(false);
    const outcome = await outcomeOf(feeding);
    expect(outcome?.usedUnits).toBe(4);
    expect((outcome?.paidMsat ?? 0) - (outcome?.restMsat ?? 0)).toBe(4 * PRICE);
    expect(balance() - before).toBe(4 * PRICE);
  });

  it("stops within a unit when its link dies, and goes on with what is left after it is back", async () => {
    await setUp();
    const before = balance();
    const feeding = await feed({ maxMsat: 30 * PRICE, pushUnits: 6, lowUnits: 3 });
    await lab.flow();
    await pass(2);
    lab.pull(cable);
    const paid = balance() - before;
    await pass(paid / PRICE - 2.5);
    expect(flows()).toBe(true);
    await pass(1.5);
    expect(flows()).toBe(false);
    await pass(20);
    expect(flows()).toBe(false);
    cable = lab.connect(payer, meter);
    await lab.flow();
    expect(flows()).toBe(true);
    await pass(40);
    expect(await outcomeOf(feeding)).toMatchObject({ usedUnits: 30, paidMsat: 30 * PRICE });
    expect(balance() - before).toBe(30 * PRICE);
  });

  it("takes nothing and gives nothing when the wall clock jumps; a late timer is its own loss", async () => {
    await setUp();
    const before = balance();
    const bytes = await session();
    push(bytes, 1, 10 * PRICE);
    await lab.flow();
    for (const seconds of [4_000_000_000, 5, 1_700_000_000, undefined]) {
      clock.wallSeconds = seconds;
      await pass(1);
    }
    expect(flows()).toBe(true);
    clock.stall(60_000);
    await pass(1);
    expect(flows()).toBe(false);
    say(meter, payer.id, { type: "meter_stop", session: bytes });
    await lab.flow();
    expect(balance() - before).toBe(10 * PRICE);
    expect(meter.appEvents("metered")).toMatchObject([{ usedUnits: 10 }]);
  });

  it("one millisatoshi too little does not flow; it and one too much come back", async () => {
    await setUp();
    const before = balance();
    const bytes = await session();
    push(bytes, 1, PRICE - 1);
    await lab.flow();
    expect(flows()).toBe(false);
    push(bytes, 2, 2);
    await lab.flow();
    expect(flows()).toBe(true);
    await pass(2);
    expect(flows()).toBe(false);
    say(meter, payer.id, { type: "meter_stop", session: bytes });
    await lab.flow();
    expect(balance() - before).toBe(PRICE);
  });

  it.each([
    ["without a session", 9, 5 * PRICE],
    ["too far ahead", 1, 121 * PRICE],
  ])("gives back what is paid %s", async (_, fill, amountMsat) => {
    await setUp();
    const before = balance();
    await session(1);
    push(new Uint8Array(8).fill(fill), 1, amountMsat);
    await lab.flow();
    expect(flows()).toBe(false);
    expect(balance()).toBe(before);
    expect(meter.appEvents("refunded")).toHaveLength(1);
  });

  it("does not take a session at another price, nor from somebody else while it is in use", async () => {
    await setUp();
    const states: unknown[] = [];
    const listen = payer.payer.onMessage.bind(payer.payer);
    payer.payer.onMessage = (peer, message) => {
      if (message.type === "meter_state") states.push({ ...message });
      return listen(peer, message);
    };
    const terms = { unitKind: 0, unitSize: 1, lowUnits: 2, session: new Uint8Array(8) };
    say(meter, payer.id, { type: "meter_start", ...terms, priceMsat: milliSatoshi(1) });
    await lab.flow();
    expect(states).toMatchObject([{ state: 0, note: "the price has changed" }]);
    const stranger = new Uint8Array(33).fill(2) as never;
    say(meter, stranger, { type: "meter_start", ...terms, priceMsat: milliSatoshi(PRICE) });
    await lab.flow();
    expect(payer.payer.meterQuote(meter.id)).toMatchObject({ ready: false });
    await expect(feed({ maxMsat: 10 * PRICE })).rejects.toThrow("somebody else uses it");
    await pass(31);
    expect(payer.payer.meterQuote(meter.id)).toMatchObject({ ready: true });
  });
});

describe("a meter that loses power", () => {
  it.each([
    ["gives its payer at most the units since it last wrote", 3],
    ["at every second", 1],
  ])("goes on with what is paid and unused (%s)", async (_, checkpointUnits) => {
    const flash = new NorFlash({ size: 512 * 1024 });
    await setUp({ checkpointUnits }, new FlashLogStore(flash));
    const before = balance();
    const bytes = await session();
    push(bytes, 1, 20 * PRICE);
    await lab.flow();
    await pass(8);
    meter.store = new FlashLogStore(new NorFlash({ size: 512 * 1024, image: flash.image() }));
    clock.forget();
    pins.forget();
    const reversed = Object.assign(Object.create(cable), { ends: [cable.ends[1], cable.ends[0]] });
    await lab.crash(meter, [reversed as Cable]);
    expect(flows()).toBe(true);
    let seconds = 0;
    for (; flows() && seconds < 40; seconds++) await pass(1);
    const used = 8 + seconds;
    expect(used).toBeGreaterThanOrEqual(20);
    expect(used).toBeLessThanOrEqual(20 + checkpointUnits + 1);
    lab.connect(meter);
    cable = lab.connect(payer, meter);
    await lab.flow();
    say(meter, payer.id, { type: "meter_stop", session: bytes });
    await lab.flow();
    expect(balance() - before).toBe(20 * PRICE);
  });

  it("writes its flash once in checkpointUnits, not once a second", async () => {
    await setUp({ checkpointUnits: 10 });
    const bytes = await session();
    push(bytes, 1, 100 * PRICE);
    await lab.flow();
    let writes = 0;
    const setValue = meter.store.setValue.bind(meter.store);
    meter.store.setValue = (key, value) => {
      writes++;
      return setValue(key, value);
    };
    await pass(60);
    expect(writes).toBe(6);
  });
});

describe("a payer that feeds a meter", () => {
  it("that lost power has the rest given back when it is there again", async () => {
    await setUp();
    const before = balance();
    await feed({ maxMsat: 50 * PRICE, pushUnits: 10 });
    await lab.flow();
    await pass(2);
    await lab.crash(payer, [cable]);
    lab.connect(payer);
    cable = lab.connect(payer, meter);
    await lab.flow(30);
    expect(flows()).toBe(false);
    const [metered] = meter.appEvents("metered");
    expect(balance() - before).toBe((metered?.usedUnits ?? 0) * PRICE);
    expect(metered?.usedUnits).toBeLessThanOrEqual(3);
  });

  it("stops when the meter counts faster than time passes, and loses no more than it had ahead", async () => {
    await setUp();
    const feeding = await feed({ maxMsat: 100 * PRICE, pushUnits: 4, lowUnits: 2 });
    await lab.flow();
    const state = { session: feeding.session, state: 2, usedUnits: 4, note: undefined };
    const sums = { paidMsat: milliSatoshi(4 * PRICE), leftMsat: milliSatoshi(0) };
    payer.payer.onMessage(meter.id, { type: "meter_state", ...state, ...sums });
    const outcome = await outcomeOf(feeding);
    expect(outcome?.note).toBe("the meter counts faster than time passes");
    expect(outcome?.paidMsat).toBe(4 * PRICE);
  });

  it("vanishes at any message: what was used is paid, all else comes back, nothing flows unpaid", async () => {
    await setUp({ idleSeconds: 10 });
    const before = balance();
    let used = 0;
    for (let messages = 1; messages <= 12; messages++) {
      const feeding = await feed({ maxMsat: 6 * PRICE, pushUnits: 3, lowUnits: 2 });
      for (let i = 0; i < messages; i++) {
        await lab.flow(0);
        cable.pump(1);
      }
      lab.pull(cable);
      await pass(25);
      expect(flows(), `after ${messages} messages`).toBe(false);
      cable = lab.connect(payer, meter);
      await lab.flow();
      await pass(15);
      feeding.stop();
      await lab.flow();
      await pass(25);
      expect(await outcomeOf(feeding), `after ${messages} messages`).toBeDefined();
      used = meter.appEvents("metered").reduce((sum, one) => sum + one.usedUnits, 0);
      expect(balance() - before, `after ${messages} messages`).toBe(used * PRICE);
    }
    expect(used).toBeGreaterThan(10);
  });
});

describe("a meter that sells watt-hours", () => {
  const energy = { unit: "wattHours", unitSize: 2, pulsesPerKwh: 1_000, minPulseMs: 10 };
  const terms = { priceMsat: milliSatoshi(PRICE), unitKind: 1, unitSize: 2, lowUnits: 1 };

  async function started(): Promise<Uint8Array> {
    const bytes = new Uint8Array(8).fill(3);
    say(meter, payer.id, { type: "meter_start", session: bytes, ...terms });
    await lab.flow();
    return bytes;
  }
  async function pulses(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      pins.pulse("meter");
      await clock.pass(100);
    }
    await lab.flow();
  }

  it("counts pulses, opens its relay with the last one that is paid, and charges nothing unused", async () => {
    await setUp(energy);
    const before = balance();
    const bytes = await started();
    push(bytes, 1, 3 * PRICE);
    await lab.flow();
    expect(flows()).toBe(true);
    await pulses(5);
    expect(flows()).toBe(true);
    await pulses(1);
    expect(flows()).toBe(false);
    push(bytes, 2, 2 * PRICE);
    await lab.flow();
    expect(flows()).toBe(true);
    say(meter, payer.id, { type: "meter_stop", session: bytes });
    await lab.flow();
    expect(balance() - before).toBe(3 * PRICE);
  });

  it("ignores noise between pulses", async () => {
    await setUp(energy);
    const bytes = await started();
    push(bytes, 1, 2 * PRICE);
    await lab.flow();
    for (let i = 0; i < 50; i++) pins.pulse("meter");
    expect(flows()).toBe(true);
    await clock.pass(100);
    await pulses(2);
    expect(flows()).toBe(true);
  });

  it("that counts while its relay is open is out of order until its owner has looked", async () => {
    await setUp(energy);
    await pulses(5);
    expect(meter.appEvents("fault")).toMatchObject([{ cleared: false }]);
    expect(payer.payer.meterQuote(meter.id)).toMatchObject({ ready: false });
    const before = balance();
    push(new Uint8Array(8).fill(3), 1, PRICE);
    await lab.flow();
    expect(balance()).toBe(before);
    await meter.current.clear?.();
    await lab.flow();
    expect(payer.payer.meterQuote(meter.id)).toMatchObject({ ready: true });
  });
});
