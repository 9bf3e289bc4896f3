/** A device that buys: never beyond its budget, whatever its clock says, never above the listed price, once for each press. */
import { afterEach, describe, expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { type ChannelId, milliSatoshi } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { Budget } from "../../firmware/apps/budget.ts";
import { makeApp } from "../../firmware/apps/catalog.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import type { PayerSettings } from "../../firmware/apps/payer-settings.ts";
import { VendingApp } from "../../firmware/apps/vending.ts";
import { BenchClock, BenchPins } from "../support/bench-board.ts";
import { DeviceLab, type LabDevice } from "../support/device-lab.ts";

const TEA = { id: 1, name: "tea", priceMsat: milliSatoshi(900_000) };
const DAY_MS = 86_400_000;
const SELLER = "02".repeat(33);
const OTHER = "03".repeat(33);

describe("a budget", () => {
  let clock: BenchClock;
  let height: number;
  let store: MemoryStore;
  const load = () =>
    Budget.load({ dayMsat: 1_000, peerDayMsat: 700 }, { store, clock, height: () => height });
  const begin = async (wallSeconds?: number) => {
    clock = new BenchClock();
    clock.wallSeconds = wallSeconds;
    height = 100;
    store = new MemoryStore();
    return load();
  };

  it("ends to the millisatoshi, for one seller and for all", async () => {
    const budget = await begin();
    await budget.reserve(SELLER, 700);
    await expect(budget.reserve(SELLER, 1)).rejects.toThrow("for this seller has 0 msat left");
    await expect(budget.reserve(OTHER, 301)).rejects.toThrow("budget has 300 msat left");
    await budget.reserve(OTHER, 300);
    expect(budget.spentMsat).toBe(1_000);
    await budget.release(OTHER, 100);
    await budget.reserve(OTHER, 100);
  });

  it("that two purchases want at once is given once", async () => {
    const budget = await begin();
    const both = await Promise.allSettled([
      budget.reserve(SELLER, 600),
      budget.reserve(OTHER, 600),
    ]);
    expect(both.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });

  it.each([
    ["forward by years", 1_900_000_000],
    ["back", 1_000],
    ["away", undefined],
  ])("is not made new by a wall clock that jumps %s", async (_, seconds) => {
    const budget = await begin(1_700_000_000);
    await budget.reserve(SELLER, 700);
    clock.wallSeconds = seconds;
    expect(budget.spentMsat).toBe(700);
    await clock.pass(DAY_MS);
    expect(budget.spentMsat).toBe(0);
  });

  it.each([
    ["the wall clock is a day further", 1_700_000_000 + 86_400, 100, 0, 0],
    ["not quite a day further", 1_700_000_000 + 86_399, 100, 0, 700],
    ["a day of blocks has passed", undefined, 244, 0, 0],
    ["there is no clock", undefined, 243, DAY_MS - 1, 700],
    ["there is no clock, and this run lasts a day", undefined, 100, DAY_MS, 0],
    ["the wall clock has gone back", 1_000, 100, DAY_MS - 1, 700],
  ])("after a restart is new where %s", async (_, seconds, blocks, ranMs, spent) => {
    await (await begin(1_700_000_000)).reserve(SELLER, 700);
    clock = new BenchClock();
    clock.wallSeconds = seconds;
    height = blocks;
    const budget = await load();
    await clock.pass(ranMs);
    expect(budget.spentMsat).toBe(spent);
  });
});

describe("a payer", () => {
  let lab: DeviceLab;
  let payer: LabDevice;
  let machine: LabDevice;
  let id: ChannelId;
  let clock: BenchClock;
  let pins: BenchPins;
  let fallen: number;
  let fault: string | undefined;

  async function setUp(settings: (seller: Uint8Array) => PayerSettings): Promise<void> {
    clock = new BenchClock();
    pins = new BenchPins(["button"]);
    fallen = 0;
    fault = undefined;
    lab = await DeviceLab.make();
    const delivery = {
      deliver: async () => {
        fallen++;
      },
      fault: () => fault,
    };
    const app = () => new VendingApp({ machine: "kiosk", products: [TEA], delivery });
    machine = await lab.add("machine", app);
    const buyer = () => new PayerApp(settings(machine.id));
    payer = await lab.add("payer", buyer, new MemoryStore(), { clock, pins });
    lab.connect(payer);
    lab.connect(machine);
    lab.connect(payer, machine);
    await lab.flow();
    id = await lab.open(payer, machine);
  }
  afterEach(() => lab.close());
  const paid = () => payer.device.node.record(id)?.base.toRemoteMsat ?? 0;

  it("buys within its budget, by push and by HTLC, also over a restart; then not any more", async () => {
    await setUp(() => ({ dayMsat: 2 * TEA.priceMsat }));
    const before = paid();
    const first = payer.payer.buy(id, TEA.id);
    await lab.flow();
    expect(await first).toMatchObject({ delivered: true });
    await payer.start();
    lab.connect(payer);
    lab.connect(payer, machine);
    await lab.flow();
    const second = payer.payer.buyByHtlc(id, TEA.id);
    await lab.flow();
    expect(await second).toMatchObject({ delivered: true });
    const third = payer.payer.buy(id, TEA.id);
    await expect(third).rejects.toThrow("the day's budget has 0 msat left");
    expect(paid() - before).toBe(2 * TEA.priceMsat);
    expect(payer.payer.spentMsat).toBe(2 * TEA.priceMsat);
  });

  it("gets back to its budget what was never signed", async () => {
    await setUp(() => ({ dayMsat: 2 * TEA.priceMsat }));
    const { node } = payer.device;
    const command = node.command.bind(node);
    node.command = () => false;
    expect(await payer.payer.buy(id, TEA.id)).toMatchObject({ delivered: false });
    node.command = command;
    await lab.flow();
    expect(payer.payer.spentMsat).toBe(0);
  });

  it("does not pay a machine that says it cannot deliver", async () => {
    await setUp(() => ({}));
    const before = paid();
    fault = "something is before the delivery sensor";
    machine.current.onTip?.();
    await lab.flow();
    await expect(payer.payer.buy(id, TEA.id)).rejects.toThrow("before the delivery sensor");
    await expect(payer.payer.buyByHtlc(id, TEA.id)).rejects.toThrow("nothing was paid");
    fault = undefined;
    machine.current.onTip?.();
    await lab.flow();
    const buying = payer.payer.buy(id, TEA.id);
    await lab.flow();
    expect(await buying).toMatchObject({ delivered: true });
    expect(paid() - before).toBe(TEA.priceMsat);
  });

  it("buys once for one press of its button, however it bounces, and not above its limit", async () => {
    const autobuy = { product: TEA.id, button: "button", pressed: true };
    await setUp((peer) => ({ autobuy: { ...autobuy, peer, maxMsat: TEA.priceMsat } }));
    for (let i = 0; i < 5; i++) pins.pulse("button");
    await lab.flow();
    expect(fallen).toBe(1);
    await clock.pass(1_000);
    pins.pulse("button");
    await lab.flow();
    expect(fallen).toBe(2);
    await lab.close();
    await setUp((peer) => ({ autobuy: { ...autobuy, peer, maxMsat: TEA.priceMsat - 1 } }));
    pins.pulse("button");
    await lab.flow();
    expect(fallen).toBe(0);
    expect(payer.appEvents("failed")).toMatchObject([
      { reason: "tea costs 900000 msat, more than 899999: nothing was paid" },
    ]);
  });
});

describe("the catalog of apps", () => {
  const key = toHex(new Uint8Array(33).fill(2));

  it("makes each app from its owner's settings, as an object or as a map", () => {
    expect(makeApp("vending", { machine: "kiosk", products: [{ ...TEA }] }).name).toBe("vending");
    expect(makeApp("meter", new Map([["priceMsat", 100]])).takesPayments).toBe(true);
    expect(makeApp("payer", { autobuy: { peer: key, maxMsat: 5 } }).name).toBe("payer");
    expect(makeApp("payer").takesPayments).toBe(false);
  });

  it.each([
    ["vendig", {}, 'there is no app "vendig"; this firmware has vending, meter, payer'],
    ["meter", {}, "meter.priceMsat must be a whole number from 1 to 1000000000 (it is missing)"],
    ["meter", { priceMsat: 1, unit: "hours" }, "meter.unit must be seconds or wattHours"],
    ["meter", { priceMsat: 1, unit: "wattHours", pulsesPerKwh: 1 }, "must be whole pulses"],
    ["payer", { autobuy: { peer: "02", maxMsat: 1 } }, "payer.autobuy.peer must be 33 bytes"],
    ["payer", { dayMsats: 1 }, 'payer has no setting "dayMsats"'],
    ["payer", [], "payer must be a map of settings"],
    ["vending", { products: [{ ...TEA }, { ...TEA }] }, "must have a number of its own each"],
    ["vending", { products: [{ id: 1, name: "tea" }] }, "vending.products[0].priceMsat must be"],
  ])("refuses %s %j in words", (name, config, message) => {
    expect(() => makeApp(name, config)).toThrow(message);
  });
});
