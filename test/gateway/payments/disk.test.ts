/** Payments with SQLite as a gateway has it: many at once, and a restart from the files in the middle of them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { SqliteLedger } from "../../../gateway/store/sqlite-ledger.ts";
import { openSqliteStore } from "../../../gateway/store/sqlite-store.ts";
import { startSimLab } from "../../../host-sim/chain/sim-lab.ts";
import { crypto } from "../../support/node-pair.ts";
import { PaymentLab } from "../../support/payment-lab.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-payments-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

it("a burst of payments survives the gateway's restart in its middle: each is paid once", async () => {
  const many = 100;
  const amount = 100_000;
  const chain = startSimLab(crypto);
  const open = (party: PaymentLab["gateway"]) => {
    const store = openSqliteStore(join(folder, "gateway.db"));
    party.store = store;
    party.ledger = new SqliteLedger(store);
    return store;
  };
  let store = openSqliteStore(":memory:");
  const lab = await PaymentLab.make(chain, "disk", ({ gateway }) => {
    store = open(gateway);
  });
  const { alice, bob, gateway } = lab;
  for (let i = 0; i < many; i++) await alice.bank.payer.pay(lab.target(await lab.invoice(amount)));
  const done = async () => (await gateway.ledger.totals({ status: "succeeded" })).count;
  while ((await done()) === 0) await lab.step(50);
  expect((await gateway.ledger.pending()).length).toBeGreaterThan(0);

  await lab.stop(gateway); // what it had not yet written is lost
  store.close();
  store = open(gateway);
  await gateway.start();
  for (const other of [alice, bob]) lab.connect(other);
  await lab.flow();
  await lab.pass(5);

  const fees = many * (1_000 + (amount * 2_500) / 1_000_000);
  const sum = { count: many, amountMsat: many * amount };
  expect(await gateway.ledger.totals({ status: "succeeded" })).toEqual({ ...sum, feeMsat: fees });
  expect(await alice.ledger.totals({ status: "succeeded" })).toEqual({ ...sum, feeMsat: fees });
  expect(await gateway.ledger.pending()).toEqual([]);
  expect(bob.balance(gateway)).toBe(500_000_000 + many * amount);
  expect(gateway.balance(alice)).toBe(500_000_000 + many * amount + fees);
  // The process that was stopped says that its file is closed; nobody else has anything to say.
  expect(lab.troubles.filter((text) => !text.includes("gateway.db is closed."))).toEqual([]);
  await lab.close();
  store.close();
  await chain.close();
});
