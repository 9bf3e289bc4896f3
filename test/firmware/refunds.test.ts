/** Money that cannot go back now: it is kept, told, and paid later; where it never can be, the owner sees what he owes. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { packPayments } from "../../core/payments/push.ts";
import { type ChannelId, milliSatoshi } from "../../core/primitives/brands.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { VendingApp } from "../../firmware/apps/vending.ts";
import type { Cable } from "../support/cable.ts";
import { DeviceLab, type LabDevice } from "../support/device-lab.ts";

const TEA = { id: 1, name: "tea", priceMsat: milliSatoshi(900_000) };

let lab: DeviceLab;
let payer: LabDevice;
let machine: LabDevice;
let id: ChannelId;
let cable: Cable;
let gatewayCable: Cable;
let jam: () => void;

beforeEach(async () => {
  lab = await DeviceLab.make();
  payer = await lab.add("payer", () => new PayerApp());
  // It turns until the test says that nothing came out.
  const deliver = () =>
    new Promise<void>((_, reject) => {
      jam = () => reject(new Error("it did not come out"));
    });
  const app = () => new VendingApp({ machine: "kiosk", products: [TEA], delivery: { deliver } });
  machine = await lab.add("machine", app, new MemoryStore());
  lab.connect(payer);
  gatewayCable = lab.connect(machine);
  cable = lab.connect(payer, machine);
  await lab.flow();
  id = await lab.open(payer, machine);
});
afterEach(() => lab.close());

const balance = () => machine.device.node.record(id)?.base.toLocalMsat ?? 0;

/** Paid, the payer gone, and then the motor jams. */
async function paidAndJammed(): Promise<number> {
  const before = balance();
  payer.payer.buy(id, TEA.id).catch(() => {});
  await lab.flow();
  lab.pull(cable);
  jam();
  await lab.flow();
  return before;
}

describe("a refund that cannot be sent", () => {
  it("is shown to the owner, and paid when the payer is back", async () => {
    const before = await paidAndJammed();
    expect(machine.current.status?.()).toMatchObject({ owedMsat: TEA.priceMsat, owedPayments: 1 });
    cable = lab.connect(payer, machine);
    await lab.flow(20);
    expect(balance()).toBe(before);
    expect(machine.current.status?.()).toMatchObject({ owedMsat: 0, owedPayments: 0 });
    expect(payer.appEvents("notDelivered")).toHaveLength(1);
  });

  it("is paid once after restarts, and its product is not let out though the fault was cleared", async () => {
    const before = await paidAndJammed();
    await machine.current.clear?.();
    for (let i = 0; i < 3; i++) {
      await lab.crash(machine, [reversed(gatewayCable)]);
      gatewayCable = lab.connect(machine);
      await lab.flow();
      expect(machine.current.status?.()).toMatchObject({ owedMsat: TEA.priceMsat });
    }
    cable = lab.connect(payer, machine);
    await lab.flow(20);
    expect(balance()).toBe(before);
    expect(machine.appEvents("refunded")).toHaveLength(1);
    expect(machine.appEvents("delivered")).toHaveLength(0);
  });

  it("goes by another channel with the same payer where its own has ended", async () => {
    const other = await lab.open(payer, machine);
    await paidAndJammed();
    const before = machine.device.node.record(other)?.base.toLocalMsat ?? 0;
    machine.device.node.command(id, { type: "forceClose" });
    await lab.flow();
    await lab.mine(3);
    cable = lab.connect(payer, machine);
    await lab.flow(20);
    await lab.mine(2);
    expect(machine.device.node.record(other)?.base.toLocalMsat).toBe(before - TEA.priceMsat);
    expect(machine.appEvents("refunded")).toHaveLength(1);
    expect(machine.current.status?.()).toMatchObject({ owedMsat: 0 });
  });

  it("whose channel is gone for good stays with the owner, who sees it over restarts", async () => {
    await paidAndJammed();
    machine.device.node.command(id, { type: "forceClose" });
    await lab.flow();
    await lab.mine(16);
    expect(machine.device.node.record(id)).toBeUndefined();
    expect(machine.appEvents("owed")).toMatchObject([{ amountMsat: TEA.priceMsat }]);
    await machine.start();
    expect(machine.current.status?.()).toMatchObject({ owedMsat: TEA.priceMsat, owedPayments: 1 });
    expect(machine.appEvents("owed")).toHaveLength(1);
  });
});

describe("the same reference twice", () => {
  it("is delivered once, and the second payment goes back", async () => {
    const before = balance();
    const reference = new Uint8Array(16).fill(5);
    reference[0] = 0;
    reference[1] = TEA.id;
    const payments = packPayments([{ reference, amountMsat: TEA.priceMsat }]);
    payer.device.node.command(id, { type: "push", payments });
    await lab.flow();
    jam();
    await lab.flow();
    expect(balance()).toBe(before);
    const { store } = payer;
    store.isDebited = () => false;
    store.isAnyDebited = () => false;
    payer.device.node.command(id, { type: "push", payments });
    await lab.flow();
    expect(balance()).toBe(before);
    expect(machine.appEvents("refunded")).toHaveLength(2);
  });
});

/** The same cable, whose first end is the one that goes. */
function reversed(one: Cable): Cable {
  const ends = [one.ends[1], one.ends[0]] as const;
  return Object.assign(Object.create(one), { ends }) as Cable;
}
