/** A machine behind a real mosquitto sells by invoice: to its gateway, and to a wallet that has a channel with the same gateway. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startMosquitto } from "../../../host-sim/mqtt/mosquitto.ts";
import { MqttShop } from "../../support/mqtt-shop.ts";
import { PATIENCE_MS } from "../../support/patience.ts";

const HOLD_SECONDS = 3;

let shop: MqttShop;
beforeAll(async () => {
  const broker = await startMosquitto();
  shop = await MqttShop.open(broker, { "policy.hold_seconds": String(HOLD_SECONDS) });
});
afterAll(() => shop?.close());

test("the gateway pays the machine's invoice: the product falls, the preimage comes", async () => {
  const paid = await shop.pay(await shop.invoice());
  expect(paid).toMatchObject({ status: "succeeded", fee_msat: 0, failure: null });
  expect(paid.preimage).toMatch(/^[0-9a-f]{64}$/);
  await haveFallen(1);
});

test("a jammed motor: the money is back, and the API says why", async () => {
  const invoice = await shop.invoice();
  await shop.jam(true);
  const paid = await shop.pay(invoice);
  expect(paid).toMatchObject({ status: "failed", preimage: null });
  expect(paid.failure).toContain("espresso did not come out");
  const again = await shop.api.call("GET", `/api/payments/${paid.payment_hash}`);
  expect(again.body).toMatchObject({ status: "failed", failure: paid.failure });
  expect(shop.fallen).toBe(1);
  await expect(shop.invoice()).rejects.toThrow(/did not come out|jammed/);
  await shop.jam(false);
});

test("a wallet opens a channel with the gateway and buys from the machine by its node id", async () => {
  const buying = shop.wallet("--machine", shop.nodeId, "--product", "2");
  await buying.says("0 of 3 confirmations", PATIENCE_MS);
  await shop.until("it is funded", async () => (await shop.api.lab.mempool()).length > 0);
  await shop.api.lab.mine(4);
  const { last, code, stderr } = await buying.done;
  expect(last, stderr).toMatchObject({ status: "succeeded", amount_msat: 900_000 });
  // The gateway's price: 1 sat and 0.01 %.
  expect(last.fee_msat).toBe(1_090);
  expect(code).toBe(0);
  await haveFallen(2);
});

test("killed while it pays, the wallet finishes that first, and never pays twice", async () => {
  const invoice = await shop.invoice(2);
  const before = shop.fallen;
  const first = shop.wallet(invoice);
  await shop.until("the product fell", () => shop.fallen > before);
  first.process.kill("SIGKILL");
  await first.done;
  const { last, stderr } = await shop.wallet(invoice).done;
  expect(stderr).toMatch(/an earlier payment of [0-9a-f]+: succeeded|paid before/);
  expect(last).toMatchObject({ status: "succeeded" });
  expect((await shop.wallet(invoice).done).stderr).toContain("paid before");
  await haveFallen(before + 1);
});

test("a fee above what the payer allows is not paid", async () => {
  const { last, code, stderr } = await shop.wallet(await shop.invoice(2), "--max-fee", "1").done;
  expect(stderr).toContain("the fee of 1090 msat is above 1000 msat");
  expect(last).toMatchObject({ error: expect.stringContaining("not paid") });
  expect(code).toBe(1);
});

test("a machine that is asleep is waited for, and sells when it is back", async () => {
  const before = shop.fallen;
  const invoice = await shop.invoice(2);
  await shop.killMachine();
  const buying = shop.wallet(invoice);
  await shop.until("the gateway holds it", () => held() > 0);
  await shop.startMachine();
  const { last } = await buying.done;
  expect(last).toMatchObject({ status: "succeeded" });
  await haveFallen(before + 1);
});

test("one that stays away: after the stated time everything goes back, and another try finds it awake", async () => {
  const before = shop.fallen;
  const invoice = await shop.invoice(2);
  await shop.killMachine();
  await expect(shop.invoice(2)).rejects.toThrow("not connected");
  const buying = shop.wallet(invoice);
  await shop.until("the gateway holds it", () => held() > 0);
  await shop.until("it was failed back", () => held() === 0);
  await shop.startMachine();
  expect((await buying.done).last).toMatchObject({ status: "succeeded" });
  await shop.until("nothing is under way any more", () => held() === 0);
  await haveFallen(before + 1);
});

test("a wallet whose product does not come out has its money back: nothing was taken before", async () => {
  const before = { fallen: shop.fallen, balances: balances() };
  const invoice = await shop.invoice(2);
  await shop.jam(true, "motor2");
  const { last, code } = await shop.wallet(invoice).done;
  expect(last).toMatchObject({ error: expect.stringContaining("not paid") });
  expect(code).toBe(1);
  await shop.jam(false, "motor2");
  await shop.until("nothing is under way any more", () => held() === 0);
  expect({ fallen: shop.fallen, balances: balances() }).toEqual(before);
});

/** The machine's word comes by another way than its preimage. */
async function haveFallen(products: number): Promise<void> {
  await shop.until("it fell", () => shop.fallen >= products);
  expect(shop.fallen).toBe(products);
}

/** The gateway's own, of all its channels. */
function balances(): readonly number[] {
  return shop.api.service.gateway.node
    .channels()
    .flatMap(({ channel }) => (channel.kind === "live" ? [channel.record.base.toLocalMsat] : []));
}

/** HTLCs that stand in the gateway's channels. */
function held(): number {
  return shop.api.service.gateway.node
    .channels()
    .flatMap(({ channel }) => (channel.kind === "live" ? channel.record.base.htlcs : [])).length;
}
