/** A device between restarts, reorganisations and clocks that lie: what it believes, what it watches, what it still takes. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { estimateOfflineBlocks } from "../../core/chain/offline-budget.ts";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { milliSatoshi } from "../../core/primitives/brands.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { VendingApp } from "../../firmware/apps/vending.ts";
import type { Cable } from "../support/cable.ts";
import { DeviceLab, type LabDevice } from "../support/device-lab.ts";

const TEA = { id: 1, name: "tea", priceMsat: milliSatoshi(900_000) };
const START = 1_700_000_000;

let lab: DeviceLab;
let payer: LabDevice;
let machine: LabDevice;
let payersGateway: Cable;
let machinesGateway: Cable;
let between: Cable;
let wallSeconds: number | undefined;

beforeEach(async () => {
  wallSeconds = undefined;
  lab = await DeviceLab.make();
  payer = await lab.add("payer", () => new PayerApp());
  const delivery = { deliver: async () => {} };
  const app = () => new VendingApp({ machine: "kiosk", products: [TEA], delivery });
  machine = await lab.add("machine", app, undefined, { nowSeconds: () => wallSeconds });
  payersGateway = lab.connect(payer);
  machinesGateway = lab.connect(machine);
  between = lab.connect(payer, machine);
  await lab.flow();
});
afterEach(() => lab.close());

async function delivered(id: ChannelId): Promise<boolean> {
  const buying = payer.payer.buy(id, TEA.id).then(
    (outcome) => outcome.delivered,
    () => false,
  );
  await lab.flow(20);
  return buying;
}

describe("a funding that was reorganised away while the device was off", () => {
  it("is not believed any more after the next start, and is again when it confirms anew", async () => {
    const id = await lab.open(payer, machine);
    expect(machine.device.node.record(id)?.fundingHeight).toBeDefined();
    lab.pull(machinesGateway);
    lab.pull(between);
    await lab.chain.reorg(4, { only: [], blocks: 6 });
    await machine.start();
    // Without its gateway it goes by what it knew.
    expect(machine.device.node.record(id)?.fundingHeight).toBeDefined();
    machinesGateway = lab.connect(machine);
    await lab.flow(20);
    expect(machine.device.node.record(id)?.fundingHeight).toBeUndefined();
    await lab.mine(3);
    expect(machine.device.node.record(id)?.fundingHeight).toBeDefined();
    between = lab.connect(payer, machine);
    await lab.flow();
    expect(await delivered(id)).toBe(true);
  });
});

describe("what a device watches", () => {
  it("shrinks when its channels have ended", async () => {
    const kept = await lab.open(payer, machine);
    const watched = machine.device.chain.watchedCount;
    for (let i = 0; i < 3; i++) {
      const id = await lab.open(payer, machine);
      expect(machine.device.chain.watchedCount).toBeGreaterThan(watched);
      machine.device.node.command(id, { type: "forceClose" });
      await lab.flow();
      await lab.mine(16);
      expect(machine.device.node.record(id)).toBeUndefined();
      expect(machine.device.chain.watchedCount).toBe(watched);
    }
    expect(await delivered(kept)).toBe(true);
  });
});

describe("the offline budget", () => {
  it("shows its owner what is left of it, and why nothing is taken", async () => {
    const id = await lab.open(payer, machine);
    expect(machine.device.budgetLeft).toMatchObject({ blocks: 5, amountMsat: 1_000_000_000 });
    lab.pull(machinesGateway);
    await lab.flow();
    expect(await delivered(id)).toBe(true);
    const { amountMsat, declineReason } = machine.device.budgetLeft;
    expect(amountMsat).toBe(1_000_000_000 - TEA.priceMsat);
    expect(declineReason).toBeUndefined();
  });

  it("is not made new by a restart without the gateway, nor by HTLCs", async () => {
    const id = await lab.open(payer, machine);
    lab.pull(machinesGateway);
    await lab.flow();
    const buying = payer.payer.buyByHtlc(id, TEA.id);
    await lab.flow(20);
    expect(await buying).toMatchObject({ delivered: true });
    const before = machine.device.budgetLeft.amountMsat;
    expect(before).toBe(1_000_000_000 - TEA.priceMsat);
    lab.pull(between);
    await machine.start();
    expect(machine.device.budgetLeft.amountMsat).toBeLessThanOrEqual(before);
    machinesGateway = lab.connect(machine);
    await lab.mine(1);
    expect(machine.device.budgetLeft.amountMsat).toBe(1_000_000_000);
    await machine.start();
    expect(machine.device.budgetLeft.amountMsat).toBe(1_000_000_000);
  });

  it("is used up by running time where there is no clock, and is whole again with the next block", async () => {
    const id = await lab.open(payer, machine);
    lab.pull(machinesGateway);
    lab.pull(between);
    lab.nowMs += 6 * 600_000;
    await lab.flow();
    between = lab.connect(payer, machine);
    await lab.flow();
    expect(machine.device.budgetLeft.blocks).toBe(0);
    expect(payer.payer.priceList(machine.id)).toMatchObject({ ready: false });
    expect(await delivered(id)).toBe(false);
    machinesGateway = lab.connect(machine);
    await lab.mine(1);
    expect(machine.device.budgetLeft.blocks).toBe(5);
    expect(await delivered(id)).toBe(true);
  });

  it("declines while the wall clock has jumped ahead by years, before anything is paid", async () => {
    const id = await lab.open(payer, machine);
    wallSeconds = 4_000_000_000;
    machine.current.onTip?.();
    await lab.flow();
    expect(machine.device.budgetLeft.declineReason).toContain("has not seen the Bitcoin chain");
    const before = machine.device.node.record(id)?.base.toLocalMsat;
    await expect(payer.payer.buy(id, TEA.id)).rejects.toThrow("has not seen the Bitcoin chain");
    expect(machine.device.node.record(id)?.base.toLocalMsat).toBe(before);
  });

  it.each([
    ["no clock, running for two hours", undefined, undefined, 7_200, 12],
    ["no clock, just started", undefined, undefined, 0, 0],
    ["a good clock", START + 6_000, START, 0, 10],
    ["a clock that was ahead at the verification, and is right now", START + 6_000, 2 ** 31, 0, 10],
    ["a clock before the checkpoint", 1_000, START, 1_200, 2],
    ["a clock that stands still", START, START, 6_000, 10],
  ])("counts with %s", (_, nowSeconds, tipVerifiedAtSeconds, uptimeSeconds, blocks) => {
    const state = { nowSeconds, tipVerifiedAtSeconds, uptimeSeconds, tipTimeSeconds: START };
    expect(estimateOfflineBlocks({ ...state, unsyncedMsat: milliSatoshi(0) })).toBe(blocks);
  });
});

describe("a payer's gateway that is away", () => {
  it("does not keep two devices from paying each other", async () => {
    const id = await lab.open(payer, machine);
    lab.pull(payersGateway);
    lab.pull(machinesGateway);
    await lab.flow();
    expect(await delivered(id)).toBe(true);
  });
});
