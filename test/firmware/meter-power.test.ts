/** A meter on flash that loses power at any step of it: every millisatoshi is used, given back, or still owed, and counted once. */
import { afterEach, expect, it } from "vitest";
import { packPayments } from "../../core/payments/push.ts";
import { type ChannelId, milliSatoshi } from "../../core/primitives/brands.ts";
import { makeApp } from "../../firmware/apps/catalog.ts";
import { meterReference } from "../../firmware/apps/meter-session.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { NorFlash, PowerCut } from "../../host-sim/flash/nor-flash.ts";
import { BenchClock, BenchPins } from "../support/bench-board.ts";
import type { Cable } from "../support/cable.ts";
import { DeviceLab, type LabDevice, say } from "../support/device-lab.ts";

const PRICE = 1_000;
const FLASH_BYTES = 512 * 1024;
const CHECKPOINT = 2;

let lab: DeviceLab;
let payer: LabDevice;
let meter: LabDevice;
let id: ChannelId;
let cable: Cable;
let gatewayCable: Cable;
let clock: BenchClock;
let pins: BenchPins;

afterEach(() => lab.close());

const balance = () => meter.device.node.record(id)?.base.toLocalMsat ?? 0;
const calm = (cause: unknown) => {
  if (!(cause instanceof PowerCut)) throw cause;
};

async function session(fill: number): Promise<number> {
  const bytes = new Uint8Array(8).fill(fill);
  const terms = { priceMsat: milliSatoshi(PRICE), unitKind: 0, unitSize: 1, lowUnits: 0 };
  say(meter, payer.id, { type: "meter_start", session: bytes, ...terms });
  let flowed = 0;
  for (let count = 1; count <= 2; count++) {
    const reference = meterReference(bytes, count, new Uint8Array(2));
    const payments = packPayments([{ reference, amountMsat: milliSatoshi(4 * PRICE) }]);
    payer.device.node.command(id, { type: "push", payments });
    await lab.flow(6).catch(calm);
    for (let second = 0; second < 3; second++) {
      if (pins.read("relay")) flowed++;
      await clock.pass(1_000);
      await lab.flow(1).catch(calm);
    }
  }
  return flowed;
}

it("in a session of two payments, stopped in between", async () => {
  let flash = new NorFlash({ size: FLASH_BYTES });
  clock = new BenchClock();
  pins = new BenchPins(["relay"]);
  lab = await DeviceLab.make();
  payer = await lab.add("payer", () => new PayerApp());
  const app = () => makeApp("meter", { priceMsat: PRICE, checkpointUnits: CHECKPOINT });
  meter = await lab.add("meter", app, new FlashLogStore(flash), { clock, pins });
  lab.connect(payer);
  gatewayCable = lab.connect(meter);
  cable = lab.connect(payer, meter);
  await lab.flow();
  id = await lab.open(payer, meter, 100_000);
  const stop = async (fill: number) => {
    say(meter, payer.id, { type: "meter_stop", session: new Uint8Array(8).fill(fill) });
    await lab.flow(20);
  };
  const started = flash.steps;
  const first = balance();
  expect(await session(1)).toBe(6);
  await stop(1);
  expect(balance() - first).toBeLessThanOrEqual(7 * PRICE);
  const steps = flash.steps - started;
  expect(steps).toBeGreaterThan(10);
  for (let step = 0; step < steps; step++) {
    const fill = 2 + step;
    const before = balance();
    flash.failAt(flash.steps + step, step);
    let flowed = await session(fill);
    flash = new NorFlash({ size: FLASH_BYTES, image: flash.image() });
    meter.store = new FlashLogStore(flash);
    clock.forget();
    pins.forget();
    await lab.crash(meter, [reversed(cable), reversed(gatewayCable)]);
    gatewayCable = lab.connect(meter);
    cable = lab.connect(payer, meter);
    await lab.flow(20);
    // What was paid before the power cut flows on, until its payer says that it is enough.
    for (let second = 0; second < 2; second++) {
      if (pins.read("relay")) flowed++;
      await clock.pass(1_000);
      await lab.flow(2);
    }
    await stop(fill);
    expect(pins.read("relay"), `step ${step}`).toBe(false);
    expect(meter.current.status?.(), `step ${step}`).toMatchObject({ owedMsat: 0 });
    const earned = balance() - before;
    expect(earned % PRICE, `step ${step}`).toBe(0);
    // Nobody pays for what did not flow; a power cut costs the machine a few units at most.
    const units = earned / PRICE;
    expect(units, `step ${step}: flowed ${flowed}`).toBeLessThanOrEqual(flowed + 1);
    expect(units, `step ${step}: flowed ${flowed}`).toBeGreaterThanOrEqual(flowed - CHECKPOINT - 1);
  }
});

/** The same cable, whose first end is the one that goes. */
function reversed(one: Cable): Cable {
  const ends = [one.ends[1], one.ends[0]] as const;
  return Object.assign(Object.create(one), { ends }) as Cable;
}
