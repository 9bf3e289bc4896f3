/** What devices got and gave by day adds up to what their channels hold, and to what the chain paid them. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { packPayments } from "../../../core/payments/push.ts";
import { milliSatoshi } from "../../../core/primitives/brands.ts";
import { ascii, toHex } from "../../../core/primitives/bytes.ts";
import { balanceOf, IncomeBook } from "../../../gateway/settlement/income.ts";
import { SqliteIncome } from "../../../gateway/store/sqlite-income.ts";
import { openSqliteStore, type SqliteStore } from "../../../gateway/store/sqlite-store.ts";
import { createLab } from "../../support/chain-lab.ts";
import { crypto } from "../../support/node-pair.ts";
import { type Party, PaymentLab } from "../../support/payment-lab.ts";

let lab: PaymentLab;
let store: SqliteStore;
let book: IncomeBook;
let day: number;
let pushes = 0;

beforeAll(async () => {
  store = openSqliteStore(":memory:");
  lab = await PaymentLab.make(await createLab({ chain: "sim" }), "income");
  day = Math.floor(lab.nowSeconds / 86_400);
  book = await open();
  await book.bookAll();
  const { told } = lab.gateway;
  const push = told.push.bind(told);
  told.push = (...all) => {
    for (const { id, event } of all) book.channelEvent(id, event);
    book.tick(Number.MAX_SAFE_INTEGER); // written at once: nothing hides between two writes
    return push(...all);
  };
});
afterAll(async () => {
  await lab?.close();
  await store?.close();
});

function open(): Promise<IncomeBook> {
  return IncomeBook.open({
    rows: new SqliteIncome(store),
    node: () => lab.gateway.node,
    isGateway: () => false,
    nowSeconds: () => day * 86_400 + 100,
    onAlarm: (text) => lab.gateway.alarms.push(text),
  });
}

function push(from: Party, to: Party, amountMsat: number): void {
  const reference = crypto.sha256(ascii(`push ${pushes++}`)).slice(0, 16);
  const payments = packPayments([{ reference, amountMsat: milliSatoshi(amountMsat) }]);
  from.node.command(from.channelWith(to), { type: "push", payments });
}

async function dayOf(party: Party, which = day) {
  const days = await book.days(which, which + 1);
  const found = days.find(({ nodeId }) => nodeId === toHex(party.id));
  return found && { got: found.receivedMsat, gave: found.paidMsat, onChain: found.onChainSat };
}

/** Opened + received − paid − on chain, over all days and channels: what is left must be the balances. */
async function expectAgreement() {
  const { node } = lab.gateway;
  const all = await book.days(0, 100_000);
  const moved = all.reduce(
    (sum, one) => sum + one.receivedMsat - one.paidMsat - one.onChainSat * 1_000,
    0,
  );
  const opened = new SqliteIncome(store)
    .channels()
    .reduce((sum, { openedMsat }) => sum + openedMsat, 0);
  const held = node.channels().reduce((sum, { id, channel }) => {
    const isEnded = book.channels().some((one) => one.channelId === toHex(id) && one.isClosed);
    return channel.kind === "live" && !isEnded ? sum + balanceOf(channel.record) : sum;
  }, 0);
  expect(opened + moved).toBe(held);
}

it("counts pushes and HTLCs in both directions, to the millisatoshi", async () => {
  const { gateway, alice, bob } = lab;
  push(gateway, bob, 7_000_001);
  push(bob, gateway, 2_000_000);
  push(gateway, bob, 500);
  push(alice, gateway, 123_456);
  await lab.flow();
  const invoice = await lab.invoice(10_000_000);
  await alice.bank.payer.pay(lab.target(invoice));
  await lab.flow();
  expect(alice.last("succeeded")).toBeDefined();

  const fee = 1_000 + 25_000;
  expect(await dayOf(bob)).toEqual({ got: 17_000_501, gave: 2_000_000, onChain: 0 });
  expect(await dayOf(alice)).toEqual({ got: 0, gave: 123_456 + 10_000_000 + fee, onChain: 0 });
  await expectAgreement();
});

it("counts nothing for an HTLC that came back", async () => {
  const before = [await dayOf(lab.alice), await dayOf(lab.bob)];
  const invoice = await lab.invoice(20_000_000);
  const paymentSecret = new Uint8Array(32);
  await lab.alice.bank.payer.pay({ ...lab.target(invoice), paymentSecret });
  await lab.flow();
  expect(lab.alice.last("failed")).toBeDefined();
  expect([await dayOf(lab.alice), await dayOf(lab.bob)]).toEqual(before);
  await expectAgreement();
});

it("finds at its start what a crash kept from being booked, on the day of the start", async () => {
  const { channelEvent } = book;
  book.channelEvent = () => {};
  push(lab.gateway, lab.bob, 30_000);
  await lab.flow();
  book.channelEvent = channelEvent;
  day++;
  book = await open();
  await book.bookAll();
  expect(await dayOf(lab.bob)).toEqual({ got: 30_000, gave: 0, onChain: 0 });
  await expectAgreement();

  await (await open()).bookAll(); // again: nothing is counted twice
  expect(await dayOf(lab.bob)).toEqual({ got: 30_000, gave: 0, onChain: 0 });
});

it("shows what the chain paid when channels ended, together and by force", async () => {
  const { gateway, alice, bob } = lab;
  day++;
  const bobsSat = Math.floor(bob.balance(gateway) / 1_000);
  gateway.node.command(gateway.channelWith(alice), { type: "close", feeratePerKw: 1_000 });
  gateway.node.command(gateway.channelWith(bob), { type: "forceClose" });
  await lab.flow();
  await lab.mine(20);
  expect(gateway.events("closed")).toHaveLength(2);
  expect((await dayOf(bob))?.onChain).toBe(bobsSat);
  expect((await dayOf(alice))?.onChain).toBeGreaterThan(480_000);
  expect(new SqliteIncome(store).channels().map(({ balanceMsat }) => balanceMsat)).toEqual([0, 0]);
  await expectAgreement();
  expect(lab.troubles).toEqual([]);
});
