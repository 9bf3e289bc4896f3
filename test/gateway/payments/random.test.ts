/** Payments both ways under whatever happens to links and to the gateway's process: in the end every millisatoshi is where the ledgers say. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { startSimLab } from "../../../host-sim/chain/sim-lab.ts";
import { crypto } from "../../support/node-pair.ts";
import { type Party, PaymentLab } from "../../support/payment-lab.ts";

const HALF = 500_000_000;
type Name = "alice" | "bob";
type Happening =
  | { readonly what: "pay"; readonly from: Name; readonly msat: number; readonly isWrong: boolean }
  | { readonly what: "cut" | "join"; readonly who: Name }
  | { readonly what: "restart" | "block" }
  | { readonly what: "steps"; readonly count: number };

const name = fc.constantFrom<Name>("alice", "bob");
const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant("pay" as const),
      from: name,
      msat: fc.integer({ min: 1, max: 60_000_000 }),
      isWrong: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constantFrom("cut", "join"), who: name }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constantFrom("restart", "block") }) },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant("steps" as const),
      count: fc.integer({ min: 1, max: 9 }),
    }),
  },
) as fc.Arbitrary<Happening>;

async function happen(lab: PaymentLab, one: Happening): Promise<void> {
  const other = (who: Name): Party => (who === "alice" ? lab.bob : lab.alice);
  switch (one.what) {
    case "pay": {
      const payee = other(one.from);
      const { text, ...invoice } = await payee.bank.invoices.create({
        amountMsat: one.msat as never,
      });
      const secret = one.isWrong ? { paymentSecret: new Uint8Array(32).fill(1) } : {};
      const target = lab.target(invoice, { destination: payee.id, ...secret });
      await lab[one.from].bank.payer.pay(target, { timeoutSeconds: 10 });
      return;
    }
    case "cut":
      lab.disconnect(lab[one.who]);
      return;
    case "join":
      lab.disconnect(lab[one.who]);
      lab.connect(lab[one.who]);
      return;
    case "restart":
      await lab.restartGateway(false);
      return;
    case "block":
      await lab.mine(1);
      return;
    case "steps":
      for (let i = 0; i < one.count; i++) await lab.step(100);
  }
}

async function expectSums({ alice, bob, gateway }: PaymentLab): Promise<void> {
  const sums = async (party: Party, kind: "sent" | "received" | "forwarded") =>
    party.ledger.totals({ kind, status: "succeeded" });
  const fees = (await sums(gateway, "forwarded")).feeMsat;
  for (const [party, other] of [
    [alice, bob],
    [bob, alice],
  ] as const) {
    const sent = await sums(party, "sent");
    const received = await sums(party, "received");
    expect(received).toMatchObject({ ...(await sums(other, "sent")), feeMsat: 0 });
    const balance = HALF + received.amountMsat - sent.amountMsat - sent.feeMsat;
    expect(party.balance(gateway)).toBe(balance);
    expect(gateway.balance(party)).toBe(2 * HALF - balance);
  }
  expect(fees).toBe((await sums(alice, "sent")).feeMsat + (await sums(bob, "sent")).feeMsat);
  for (const party of [alice, bob, gateway]) {
    expect(await party.ledger.pending()).toEqual([]);
    expect(party.events("violation")).toEqual([]);
    expect(party.events("forceClosing")).toEqual([]);
  }
}

it("random lives end with ledgers and channels that agree", async () => {
  const chain = startSimLab(crypto);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { minLength: 20, maxLength: 60 }), async (life) => {
      const lab = await PaymentLab.make(chain, `random ${++run}`);
      for (const one of life) await happen(lab, one);
      for (const party of [lab.alice, lab.bob]) {
        lab.disconnect(party);
        lab.connect(party);
      }
      await lab.flow();
      await lab.pass(25);
      await expectSums(lab);
      await lab.close();
    }),
    { numRuns: 12, endOnFailure: true },
  );
  await chain.close();
});
