/** A way that turns out to be closed to a payment half-way: it comes back, and goes another way, and nobody pays twice. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { milliSatoshi } from "../../../core/primitives/brands.ts";
import { forwardFee } from "../../../gateway/payments/forward-policy.ts";
import { type SimLab, startSimLab } from "../../../host-sim/chain/sim-lab.ts";
import { crypto } from "../../support/node-pair.ts";
import { type Member, TcpLab, type Terms } from "./tcp-lab.ts";

const terms = (base: number, proportional: number): Terms => ({
  feeBaseMsat: milliSatoshi(base),
  feeProportionalMillionths: proportional,
  cltvExpiryDelta: 34,
});
const northTerms = terms(100, 100);
/** Who sleeps is waited for, for as long as a test takes. */
const southTerms = { ...terms(300, 30), holdMs: 3_600_000 };
const cheapTerms = terms(10, 10);
const dearTerms = terms(2_000, 777);

let chain: SimLab;
let lab: TcpLab;
let north: Member;
let south: Member;
let cheap: Member;
let dear: Member;
let alice: Member;
let bob: Member;
/** What fails on the way to her says nothing of the way to bob. */
let carol: Member;

const fee = (of: Terms, amount: number) => forwardFee(of, milliSatoshi(amount));

beforeAll(async () => {
  chain = startSimLab(crypto);
  lab = new TcpLab(chain, "detour");
  north = await lab.add("north", northTerms);
  south = await lab.add("south", southTerms);
  cheap = await lab.add("cheap", cheapTerms);
  dear = await lab.add("dear", dearTerms);
  alice = await lab.add("alice", undefined, north);
  bob = await lab.add("bob", undefined, south);
  carol = await lab.add("carol", undefined, south);
  for (const between of [cheap, dear]) {
    await lab.openChannel(north, between);
    await lab.openChannel(between, south);
  }
  await lab.openChannel(north, alice);
  for (const device of [bob, carol]) await lab.openChannel(south, device);
  await lab.mine(4);
  await lab.until("all know all channels and terms", () =>
    [north, south, cheap, dear].every(({ routing }) => {
      const routes = routing.routes();
      return routes.length === 4 && routes.every(({ ends }) => ends.length === 2);
    }),
  );
  // What the others cannot see: the cheap gateway has next to nothing left towards the south.
  const drained = await cheap.pay(await south.invoice(490_000_000));
  expect(drained.status).toBe("succeeded");
});
afterAll(async () => {
  await lab.close();
  await chain.close();
});

it("a gateway's own payment goes the other way at once", async () => {
  const amount = 50_000_000;
  const before = dear.balance(south);
  const paid = await north.pay(await carol.invoice(amount));
  const toSouth = amount + fee(southTerms, amount);
  expect(paid).toMatchObject({
    status: "succeeded",
    feeMsat: toSouth + fee(dearTerms, toSouth) - amount,
  });
  await lab.until("it is settled", () => dear.balance(south) === before - toSouth);
  const attempts = await cheap.ledger.list({ kind: "forwarded" });
  expect(attempts.filter(({ status }) => status !== "failed")).toEqual([]);
});

it("a device's payment does so too, and the device is told what that costs", async () => {
  const amount = 60_000_000;
  const before = [alice.balance(north), bob.balance(south)] as const;
  const paid = await alice.pay(await bob.invoice(amount));
  const toSouth = amount + fee(southTerms, amount);
  const toDear = toSouth + fee(dearTerms, toSouth);
  const toNorth = toDear + fee(northTerms, toDear);
  expect(paid).toMatchObject({ status: "succeeded", feeMsat: toNorth - amount });
  await lab.until(
    "it is settled",
    () => alice.balance(north) === before[0] - toNorth && bob.balance(south) === before[1] + amount,
  );
});

it("a gateway is paid itself by a device that is two gateways away", async () => {
  const amount = 1_000;
  const before = south.balance(dear);
  const paid = await alice.pay(await south.invoice(amount));
  const toDear = amount + fee(dearTerms, amount);
  expect(paid).toMatchObject({
    status: "succeeded",
    feeMsat: toDear + fee(northTerms, toDear) - amount,
  });
  await lab.until("it is settled", () => south.balance(dear) === before + amount);
});

it("a payment that goes its second way survives a restart in its middle, and is paid once", async () => {
  const amount = 20_000_000;
  const text = await bob.invoice(amount);
  const before = [alice.balance(north), bob.balance(south), south.balance(dear)] as const;
  await bob.halt(); // asleep: south holds what comes for it
  const { paymentHash } = await alice.bank.payInvoice(text);
  const onItsWay = async () => (await dear.ledger.get("forwarded", paymentHash))?.status;
  let status = await onItsWay();
  while (status !== "pending") {
    await new Promise((done) => setTimeout(done, 5));
    status = await onItsWay();
  }
  await north.restart();
  for (const other of [cheap, dear, alice]) await other.dial(north);
  await bob.start();
  await bob.dial(south);
  const paid = (await alice.bank.news.end("sent", paymentHash)).payment;
  const toSouth = amount + fee(southTerms, amount);
  const toDear = toSouth + fee(dearTerms, toSouth);
  const toNorth = toDear + fee(northTerms, toDear);
  expect(paid).toMatchObject({ status: "succeeded", feeMsat: toNorth - amount });
  await lab.until(
    "all is settled",
    async () =>
      alice.balance(north) === before[0] - toNorth &&
      bob.balance(south) === before[1] + amount &&
      south.balance(dear) === before[2] + toSouth &&
      (await north.ledger.get("forwarded", paymentHash))?.status !== "pending",
  );
  expect(await north.ledger.get("forwarded", paymentHash)).toMatchObject({
    status: "succeeded",
    feeMsat: fee(northTerms, toDear),
  });
});

it("a payment that fits nowhere fails for now, not for good, and takes nothing with it", async () => {
  const before = alice.balance(north);
  const text = await bob.invoice(390_000_000);
  const { paymentHash } = await alice.bank.payInvoice(text, { timeoutSeconds: 2 });
  const failed = (await alice.bank.news.end("sent", paymentHash)).payment;
  expect(failed.status).toBe("failed");
  expect(alice.payments.at(-1)?.reason).toMatch(/too little room/);
  await lab.until("all of it is back", () => alice.balance(north) === before);
});
