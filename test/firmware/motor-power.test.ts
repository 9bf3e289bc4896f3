/** A machine with a real motor and sensor on its pins that loses power at any step of its flash: whoever paid has the product or the money. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { makeApp } from "../../firmware/apps/catalog.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { NorFlash, PowerCut } from "../../host-sim/flash/nor-flash.ts";
import { BenchClock, BenchPins } from "../support/bench-board.ts";
import type { Cable } from "../support/cable.ts";
import { DeviceLab, type LabDevice } from "../support/device-lab.ts";

const TEA = { id: 1, name: "tea", priceMsat: 900_000 };
const FLASH_BYTES = 512 * 1024;
const FALLS_AFTER_MS = 300;
const config = {
  machine: "kiosk",
  products: [TEA],
  motor: { pulseMs: 500, windowMs: 800, retries: 0 },
};

let lab: DeviceLab;
let payer: LabDevice;
let machine: LabDevice;
let id: ChannelId;
let cables: { payers: Cable; machines: Cable; between: Cable };
let clock: BenchClock;
let pins: BenchPins;
let flash: NorFlash;
let fallen: number;
let isJammed: boolean;

const balance = () => machine.device.node.record(id)?.base.toLocalMsat ?? 0;
const calm = (cause: unknown) => {
  if (!(cause instanceof PowerCut)) throw cause;
};

beforeEach(async () => {
  fallen = 0;
  isJammed = false;
  clock = new BenchClock();
  pins = new BenchPins(["motor1", "sensor", "led"]);
  flash = new NorFlash({ size: FLASH_BYTES });
  wire();
  lab = await DeviceLab.make();
  payer = await lab.add("payer", () => new PayerApp());
  const app = () => makeApp("vending", config);
  machine = await lab.add("machine", app, new FlashLogStore(flash), { clock, pins });
  cables = {
    payers: lab.connect(payer),
    machines: lab.connect(machine),
    between: lab.connect(payer, machine),
  };
  await lab.flow();
  id = await lab.open(payer, machine);
});
afterEach(() => lab.close());

/** The spiral turns while its pin is high; what falls passes the sensor. */
function wire(): void {
  pins.onWrite = (name, on) => {
    if (name !== "motor1" || !on || isJammed) return;
    clock.after(FALLS_AFTER_MS, () => {
      if (!pins.read("motor1")) return;
      fallen++;
      pins.set("sensor", true);
    });
    clock.after(FALLS_AFTER_MS + 40, () => pins.set("sensor", false));
  };
}

async function turn(rounds = 12): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    await lab.flow(3).catch(calm);
    await clock.pass(100).catch(calm);
  }
}

/** Everything in memory is gone, the pins are low; the flash holds what was written. */
async function restart(): Promise<void> {
  flash = new NorFlash({ size: FLASH_BYTES, image: flash.image() });
  machine.store = new FlashLogStore(flash);
  clock.forget();
  pins.forget();
  await lab.crash(machine, [reversed(cables.between), reversed(cables.machines)]);
  cables.machines = lab.connect(machine);
  cables.between = lab.connect(payer, machine);
  await lab.flow(20);
}

async function stepsOfOne(): Promise<number> {
  const before = flash.steps;
  payer.payer.buy(id, TEA.id).catch(() => {});
  await turn();
  return flash.steps - before;
}

/** One purchase with power cut at `step` steps from now; what the payer was told in the end. */
async function cutAt(step: number): Promise<string> {
  const told = payer.app.length;
  flash.failAt(flash.steps + step, step);
  payer.payer.buy(id, TEA.id).catch(() => {});
  await turn();
  await restart();
  await turn();
  await lab.flow(20);
  // The owner looks at what is jammed, and frees it.
  await machine.current.clear?.();
  await lab.flow();
  expect(pins.read("motor1"), `step ${step}`).toBe(false);
  const ends = payer.app.slice(told);
  expect(ends.length, `step ${step}: ${JSON.stringify(ends)}`).toBe(1);
  return ends[0]?.type ?? "";
}

describe("a motor whose machine loses power at any step of its flash", () => {
  it("has let out what stays paid, or the money is back", async () => {
    const steps = await stepsOfOne();
    expect(steps).toBeGreaterThan(3);
    expect(fallen).toBe(1);
    const outcomes = new Set<string>();
    for (let step = 0; step < steps; step++) {
      const before = { balance: balance(), fallen };
      const outcome = await cutAt(step);
      outcomes.add(outcome);
      const isBought = outcome === "bought";
      expect(balance() - before.balance, `step ${step}`).toBe(isBought ? TEA.priceMsat : 0);
      // Paid, and nothing happened: never. A product too many is what a power cut may cost the machine.
      if (isBought) expect(fallen - before.fallen, `step ${step}`).toBe(1);
      else expect(fallen - before.fallen, `step ${step}`).toBeLessThanOrEqual(1);
      expect(machine.current.status?.(), `step ${step}`).toMatchObject({ owedMsat: 0 });
    }
    expect(outcomes.has("bought")).toBe(true);
    once();
  });

  it("that is jammed gives the money back, once", async () => {
    isJammed = true;
    const before = balance();
    const steps = await stepsOfOne();
    await machine.current.clear?.();
    await lab.flow();
    expect(balance()).toBe(before);
    expect(steps).toBeGreaterThan(5);
    for (let step = 0; step < steps; step++) {
      expect(await cutAt(step), `step ${step}`).not.toBe("bought");
      expect(balance(), `step ${step}`).toBe(before);
      expect(machine.current.status?.(), `step ${step}`).toMatchObject({ owedMsat: 0 });
    }
    expect(fallen).toBe(0);
    once();
  });

  it("whose refund cannot go now keeps it over the power cut, and pays it when the payer is back", async () => {
    isJammed = true;
    const before = balance();
    const steps = await stepsOfOne();
    await machine.current.clear?.();
    await lab.flow();
    let kept = 0;
    for (let step = 0; step < steps; step++) {
      payer.payer.buy(id, TEA.id).catch(() => {});
      // Paid, and gone while the motor turns.
      await lab.flow(6);
      const isPaid = balance() > before;
      lab.pull(cables.between);
      flash.failAt(flash.steps + step, step);
      await turn();
      flash = new NorFlash({ size: FLASH_BYTES, image: flash.image() });
      machine.store = new FlashLogStore(flash);
      clock.forget();
      pins.forget();
      await lab.crash(machine, [reversed(cables.machines)]);
      cables.machines = lab.connect(machine);
      await turn();
      if (isPaid) {
        expect(machine.current.status?.(), `step ${step}`).toMatchObject({
          owedMsat: TEA.priceMsat,
          owedPayments: 1,
        });
        kept++;
      }
      cables.between = lab.connect(payer, machine);
      await lab.flow(20);
      await machine.current.clear?.();
      await lab.flow();
      expect(balance(), `step ${step}`).toBe(before);
      expect(machine.current.status?.(), `step ${step}`).toMatchObject({ owedMsat: 0 });
    }
    expect(kept).toBe(steps);
    once();
  });
});

/** No payment came to two ends. */
function once(): void {
  const ends = [...machine.appEvents("delivered"), ...machine.appEvents("refunded")];
  const each = ends.map((end) => toHex(end.reference));
  expect(new Set(each).size).toBe(each.length);
}

/** The same cable, whose first end is the one that goes. */
function reversed(one: Cable): Cable {
  const ends = [one.ends[1], one.ends[0]] as const;
  return Object.assign(Object.create(one), { ends }) as Cable;
}
