/** A machine whose tower is reached by way of its gateway: every payment it takes is protected, and it declines what is not (rule `offline-budget`). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { closeLocally } from "../../core/chain/monitor/close-locally.ts";
import { watchedChannel } from "../../core/channel/on-chain.ts";
import { type ChannelId, milliSatoshi } from "../../core/primitives/brands.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { VendingApp } from "../../firmware/apps/vending.ts";
import { DeviceLab, type LabDevice } from "../support/device-lab.ts";
import { TowerLab } from "../support/tower-lab.ts";

const TEA = { id: 1, name: "tea", priceMsat: milliSatoshi(50_000_000) };
const FEERATES = { now: 2_000, soon: 1_000, economy: 500 };

let lab: DeviceLab;
let tower: TowerLab;
let payer: LabDevice;
let machine: LabDevice;
let id: ChannelId;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-tower-"));
  lab = await DeviceLab.make();
  tower = await TowerLab.start(lab.chain, join(folder, "tower.sqlite"));
  await callTower();
  payer = await lab.add("payer", () => new PayerApp());
  const delivery = { deliver: async () => {} };
  const app = () => new VendingApp({ machine: "kiosk", products: [TEA], delivery });
  machine = await lab.add("machine", app, undefined, { towerId: TowerLab.nodeId });
  machine.maxUnsyncedMsat = 75_000_000;
  await machine.start();
  for (const device of [payer, machine]) lab.connect(device);
  lab.connect(payer, machine);
  await flow();
  id = await lab.open(payer, machine);
  await flow();
});
afterEach(async () => {
  await tower.stop();
  await lab.close();
  rmSync(folder, { recursive: true });
});

/** The machine's gateway is a peer of the tower's. */
async function callTower(): Promise<void> {
  tower.connect({ node: lab.gateway, tick: () => lab.nowMs });
  await flow();
}

async function flow(): Promise<void> {
  for (let i = 0; i < 8; i++) {
    await lab.flow(3);
    await tower.flow(2);
  }
}

async function delivered(): Promise<boolean> {
  const buying = payer.payer.buy(id, TEA.id).then(
    (outcome) => outcome.delivered,
    () => false,
  );
  await lab.flow(20);
  return buying;
}

/** What the payer could publish as things stand, signed. */
function commitmentOfPayer(): Uint8Array {
  const { node } = payer.device;
  const context = node.contextOf(id);
  const record = node.record(id);
  if (!context || !record) throw new Error("the payer has no such channel");
  const whole = { ...context, archive: [] };
  const facts = { tipHeight: node.height, confirmed: [] };
  const policy = { feeratesPerKw: FEERATES, irrevocableDepth: 3 };
  const [claim] = closeLocally(whole, watchedChannel(whole, record), facts, policy);
  if (!claim) throw new Error("there is nothing to publish");
  return claim.raw;
}

it("is registered with its tower, and hands over every state that its payer revokes", async () => {
  expect(machine.device.budgetLeft.tower).toMatchObject({ isRegistered: true });
  for (let i = 0; i < 3; i++) {
    expect(await delivered()).toBe(true);
    await flow();
  }

  expect(machine.device.budgetLeft).toMatchObject({
    amountMsat: 75_000_000,
    tower: { waitingStates: 0, lostStates: 0, unseenStates: 0, exposureMsat: 0 },
  });
  expect(tower.gateway.watching.server?.totals()).toMatchObject({ clients: 1 });
  expect(tower.gateway.watching.server?.totals().slots).toBe(
    machine.device.node.record(id)?.remoteNumber,
  );
  expect(machine.alarms).toEqual([]);
});

it("declines payments once too much is unprotected, and takes them again when the tower has answered", async () => {
  tower.disconnect();
  expect(await delivered()).toBe(true);
  expect(machine.device.budgetLeft).toMatchObject({ amountMsat: 25_000_000 });
  await lab.mine(1); // its gateway answers: that alone protects nothing
  expect(machine.device.budgetLeft).toMatchObject({ amountMsat: 25_000_000 });
  expect(await delivered()).toBe(true);
  expect(machine.device.budgetLeft).toMatchObject({ amountMsat: 0 });
  expect(machine.device.budgetLeft.declineReason).toContain("watchtower");
  expect(await delivered()).toBe(false);

  await callTower();
  for (let i = 0; i < 16; i++) {
    lab.nowMs += 4_000; // it asks again after a minute
    await flow();
  }

  expect(machine.device.budgetLeft.tower).toMatchObject({ waitingStates: 0, exposureMsat: 0 });
  expect(await delivered()).toBe(true);
});

it("knows after a power cut what the tower has not acknowledged", async () => {
  tower.disconnect();
  expect(await delivered()).toBe(true);
  const before = machine.device.budgetLeft.tower;
  expect(before).toMatchObject({ exposureMsat: 50_000_000 });

  await machine.start();

  expect(machine.device.budgetLeft.tower).toEqual({ ...before, isRegistered: false });
});

it("is paid out by its tower when it is gone, and its payer cheats", async () => {
  const old = commitmentOfPayer();
  for (let i = 0; i < 4; i++) {
    expect(await delivered()).toBe(true);
    await flow();
  }
  machine.device.stop(); // broken, stolen, without power
  lab.devices.splice(lab.devices.indexOf(machine), 1);

  expect(await lab.gateway.publisher.bumpByAnyone(old, 2_000)).toMatchObject({ ok: true });
  for (let i = 0; i < 9; i++) {
    await lab.chain.mine(1);
    await tower.idle();
  }

  expect(tower.events("penalty")).toMatchObject([{ result: "punished" }]);
  // All that the payer had in that state, less the fee; the machine's own balance is its own anyway.
  expect(await lab.chain.sumOfScripts([machine.payoutScript])).toBeGreaterThan(345_000);
  expect(await lab.chain.sumOfScripts([payer.payoutScript])).toBe(0);
});
