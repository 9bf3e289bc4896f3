/** Devices that can hardly be paid get a channel: within sizes, budgets and the reserve, once, also over a crash. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { hostPolicy } from "../../../core/channel/policy.ts";
import { packPayments } from "../../../core/payments/push.ts";
import { milliSatoshi } from "../../../core/primitives/brands.ts";
import { equal, toHex } from "../../../core/primitives/bytes.ts";
import { Inbound, type InboundPolicy } from "../../../gateway/settlement/inbound.ts";
import { SqliteJournal } from "../../../gateway/store/sqlite-settlement.ts";
import { openSqliteStore, type SqliteStore } from "../../../gateway/store/sqlite-store.ts";
import { createLab } from "../../support/chain-lab.ts";
import { PaymentLab } from "../../support/payment-lab.ts";

const policy: InboundPolicy = {
  lowSat: 600_000,
  targetSat: 900_000,
  minSat: 200_000,
  maxSat: 300_000,
  reserveSat: 1_000_000,
  budgetPerDaySat: 500_000,
  budgetTotalSat: 10_000_000,
  maxAtOnce: 2,
  maxFeeratePerKw: 5_000,
};

let lab: PaymentLab;
let store: SqliteStore;
let current: Inbound;
let later = 0;

beforeAll(async () => {
  lab = await PaymentLab.make(await createLab({ chain: "sim" }), "inbound");
  const { told } = lab.gateway;
  const push = told.push.bind(told);
  told.push = (...all) => {
    for (const { id, event } of all) current?.channelEvent(id, event);
    return push(...all);
  };
});
beforeEach(async () => {
  await store?.close();
  store = openSqliteStore(":memory:");
});
afterAll(async () => {
  await lab?.close();
  await store?.close();
});

function inbound(change: Partial<InboundPolicy> = {}, balance?: number): Inbound {
  current = new Inbound({
    node: () => lab.gateway.node,
    journal: new SqliteJournal(store),
    wallet: { balance: async () => (balance ?? 1_000_000_000) as never },
    source: { feeratePerKw: async () => 1_000 },
    policy: { ...policy, ...change },
    devices: () => [toHex(lab.alice.id), toHex(lab.bob.id)],
    nowSeconds: () => lab.nowSeconds + later,
    onAlarm: () => {},
  });
  return current;
}

const states = () => new SqliteJournal(store).list("open").map(({ state }) => state);

it("says for each device what it would do, and what it waits for", async () => {
  const [first, second] = await inbound().plan();
  expect(first).toMatchObject({
    nodeId: toHex(lab.alice.id),
    capacitySat: 300_000,
    reason: "it can receive 490000 sat, and 600000 are wanted",
  });
  expect(first?.waitsFor).toBeUndefined();
  expect(second?.waitsFor).toBe("the day's budget is 500000 sat");
  const waits = async (change: Partial<InboundPolicy>, balance?: number) =>
    (await inbound(change, balance).plan())[0]?.waitsFor;
  expect(await waits({ budgetTotalSat: 299_999 })).toBe("the budget is 299999 sat");
  expect(await waits({ maxFeeratePerKw: 999 })).toBe("fees are above the bound");
  expect(await waits({}, 1_300_000)).toContain("1000000 sat stay in it");
  expect(await inbound({ lowSat: 490_000 }).plan()).toEqual([]);
  expect(states()).toEqual([]);
});

it("asks no device that is away, and one that refused only after an hour", async () => {
  const plenty = { budgetPerDaySat: 10_000_000 };
  lab.disconnect(lab.bob);
  await lab.flow();
  const plans = await inbound(plenty).plan();
  expect(plans.map(({ waitsFor }) => waitsFor)).toEqual([undefined, "it is away"]);
  lab.connect(lab.bob);
  await lab.flow();

  // Alice takes no channel so small.
  await inbound({ ...plenty, minSat: 1_000, maxSat: 1_000, maxAtOnce: 1 }).run();
  await lab.flow();
  await current.idle();
  expect(states()).toEqual(["failed"]);
  const [alice] = await inbound(plenty).plan();
  expect(alice?.waitsFor).toContain("an opening failed within the hour");
});

it("opens within the day's budget, and not a second one over a crash", async () => {
  await inbound().run();
  // The process ends here: nothing of the opening is left but what was written.
  await lab.restartGateway();
  const again = inbound();
  await again.start();
  expect(states()).toEqual(["failed"]);

  later = 3_700;
  await inbound().run();
  await lab.flow();
  await current.idle();
  expect(states()).toEqual(["succeeded", "failed"]);
  await lab.mine(2);
  expect(lab.gateway.node.channels(lab.alice.id)).toHaveLength(2);
  const [next] = await inbound().plan();
  expect(next).toMatchObject({ nodeId: toHex(lab.bob.id), waitsFor: expect.anything() });
});

it("is used before it confirms where the device's owner trusts the gateway so far", async () => {
  const { gateway, bob } = lab;
  await lab.stop(bob);
  Object.assign(bob.node.options.policy, {
    ...hostPolicy,
    acceptsZeroConf: (opener: Uint8Array) => equal(opener, gateway.id),
  });
  const trusting = bob.node.options.policy;
  await bob.start();
  Object.assign(bob.node.options.policy, trusting);
  lab.connect(bob);
  await lab.flow();
  const before = gateway.node.channels(bob.id).map(({ id }) => toHex(id));
  await inbound({ budgetPerDaySat: 10_000_000 }).run();
  await lab.flow();
  const fresh = gateway.node.channels(bob.id).find(({ id }) => !before.includes(toHex(id)));
  if (!fresh) throw new Error("no channel was opened");
  expect(gateway.node.record(fresh.id)).toMatchObject({ phase: "normal", minimumDepth: 0 });
  const payments = packPayments([
    { reference: new Uint8Array(16).fill(9), amountMsat: milliSatoshi(5_000) },
  ]);
  gateway.node.command(fresh.id, { type: "push", payments });
  await lab.flow();
  expect(bob.node.record(fresh.id)?.base.toLocalMsat).toBe(5_000);
  expect(bob.node.record(fresh.id)?.fundingHeight).toBeUndefined();
});
