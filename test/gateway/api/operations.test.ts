/** Two gateways on one simulated chain do what the API is asked: each answer fits its own schema. */
import { Value } from "@sinclair/typebox/value";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SHAPES } from "../../../gateway/api/shapes/all.ts";
import { PATIENT } from "../../support/patience.ts";
import { ApiLab, type Reply, type Sent } from "./api-lab.ts";

let alice: ApiLab;
let bob: ApiLab;
let keys = 0;

beforeAll(async () => {
  alice = await ApiLab.start();
  bob = await ApiLab.start({ lab: alice.lab });
});
afterAll(async () => {
  await Promise.all([alice.stop(), bob.stop()]);
});

const newKey = () => `key ${++keys}`;

/** A call that must be answered, with what its own shape says. */
async function done(
  lab: ApiLab,
  name: keyof typeof SHAPES,
  path: string,
  sent: Sent = {},
): Promise<Reply["body"]> {
  const { method, answer } = SHAPES[name];
  const reply = await lab.call(method, path, sent);
  expect(reply, JSON.stringify(reply.body)).toMatchObject({ status: 200 });
  expect([...Value.Errors(answer, reply.body)]).toEqual([]);
  return reply.body;
}

async function mined(blocks: number): Promise<void> {
  await alice.lab.mine(blocks);
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((wake) => setTimeout(wake, 20));
}

const channels = async (lab: ApiLab) =>
  (await done(lab, "listChannels", "/api/channels")).channels as unknown as Record<
    string,
    string | number
  >[];

describe("a gateway", () => {
  test("says who it is", async () => {
    const info = await done(alice, "getNodeInfo", "/api/node/info");
    expect(info).toMatchObject({ network: "sim", play_money: true, synced: true, channels: 0 });
    expect(info.bitcoin_address).toMatch(/^bcrt1q/);
    expect(info.public_key).toBe(info.node_id);
  });

  test("refuses a peer that is not there, and calls it no more", async () => {
    const nobody = { node_id: bob.service.nodeId, host: "127.0.0.1", port: 1 };
    const refused = await alice.call("POST", "/api/peers", { body: nobody });
    expect(refused).toMatchObject({ status: 409, body: { title: "The peer is not connected" } });
    expect(refused.body.detail).toContain("nobody listens there");
    expect(await done(alice, "listPeers", "/api/peers")).toEqual({ peers: [] });
  });

  test("connects a peer, and shows it", async () => {
    const port = bob.service.peers?.port as number;
    const body = { node_id: bob.service.nodeId, host: "127.0.0.1", port };
    const peer = await done(alice, "connectPeer", "/api/peers", { body });
    expect(peer).toMatchObject({ connected: true, address: `127.0.0.1:${port}`, channels: 0 });
    // Each is told by the other's own word.
    await expect
      .poll(async () => (await done(bob, "listPeers", "/api/peers")).peers, PATIENT)
      .toMatchObject([{ node_id: alice.service.nodeId, connected: true }]);
  });

  test("opens no channel that its wallet cannot pay, or with a stranger", async () => {
    const peer_node_id = bob.service.nodeId;
    const open = (body: object) => alice.call("POST", "/api/channels", { body, key: newKey() });
    expect((await open({ peer_node_id, capacity: 2_000_000_000 })).body.type).toContain(
      "not-enough-money",
    );
    const stranger = `02${"79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"}`;
    expect((await open({ peer_node_id: stranger, capacity: 50_000 })).body.type).toContain(
      "not-connected",
    );
    expect((await open({ peer_node_id, capacity: 50_000, push: 50_001 })).status).toBe(400);
    const tooSmall = await open({ peer_node_id, capacity: 5_000 });
    expect(tooSmall.body).toMatchObject({ status: 409, type: expect.stringContaining("refused") });
  });
});

describe("a channel", () => {
  let id: string;

  test("is opened once, however often it is asked for under one key", async () => {
    const body = { peer_node_id: bob.service.nodeId, capacity: 500_000, push: 100_000 };
    const sent = { body, key: newKey() };
    const answers = await Promise.all([
      done(alice, "openChannel", "/api/channels", sent),
      done(alice, "openChannel", "/api/channels", sent),
    ]);
    const again = await done(alice, "openChannel", "/api/channels", sent);
    expect(answers[1]).toEqual(answers[0]);
    expect(again).toEqual(answers[0]);
    expect(await channels(alice)).toHaveLength(1);
    id = answers[0]?.channel_id as unknown as string;
    expect(answers[0]).toMatchObject({ state: "awaiting-funding", capacity_sat: 500_000 });
    await until(async () => (await alice.lab.mempool()).length > 0);
    await mined(3);
    await until(async () => (await channels(alice))[0]?.state === "normal");
    await until(async () => (await channels(bob))[0]?.state === "normal");
  });

  test("carries a push, once under one key, and another under another", async () => {
    const path = `/api/channels/${id}/payments`;
    const sent = { body: { amount: 1_000 }, key: newKey() };
    const first = await done(alice, "payChannel", path, sent);
    expect(first).toMatchObject({ amount_msat: 1_000_000, state: "succeeded", direction: "sent" });
    expect(await done(alice, "payChannel", path, sent)).toEqual(first);
    const other = { body: { amount_msat: 1_500 }, key: newKey() };
    await done(alice, "payChannel", path, other);
    // It has arrived once the payer has revoked too, which is after the payer is told.
    await expect
      .poll(async () => (await channels(bob))[0]?.local_balance_msat, PATIENT)
      .toBe(100_000_000 + 1_000_000 + 1_500);
    await expect
      .poll(async () => (await done(bob, "listChannelPayments", path)).payments, PATIENT)
      .toMatchObject([{ amount_msat: 1_500 }, { reference: first.reference }]);
  });

  test("another request under a used key, no key, and more than there is are refused", async () => {
    const path = `/api/channels/${id}/payments`;
    const key = newKey();
    await done(alice, "payChannel", path, { body: { amount: 1 }, key });
    const pay = (sent: Sent) => alice.call("POST", path, sent);
    expect((await pay({ body: { amount: 2 }, key })).body.type).toContain("idempotency-conflict");
    expect(await pay({ body: { amount: 1 } })).toMatchObject({ status: 428 });
    const tooMuch = await pay({ body: { amount: 5_000_000 }, key: newKey() });
    expect(tooMuch.body).toMatchObject({ status: 409 });
    expect(await pay({ body: {}, key: newKey() })).toMatchObject({ status: 400 });
  });

  test("pays an invoice, and both sides tell of it", async () => {
    const body = { amount: 2_000, memo: "tea" };
    const invoice = await done(bob, "createInvoice", "/api/invoices", { body });
    expect(invoice).toMatchObject({ state: "open", amount_msat: 2_000_000, memo: "tea" });
    const path = `/api/invoices/${invoice.payment_hash}`;
    const waiting = done(bob, "waitInvoice", `${path}/wait`);
    const sent = { body: { invoice: `lightning:${invoice.invoice}` }, key: newKey() };
    const payment = await done(alice, "payInvoice", "/api/payments", sent);
    expect(payment).toMatchObject({ status: "succeeded", amount_msat: 2_000_000, fee_msat: 0 });
    expect(payment.preimage).toMatch(/^[0-9a-f]{64}$/);
    expect(await waiting).toMatchObject({ state: "paid", received_msat: 2_000_000 });
    expect(await done(bob, "getInvoice", path)).toMatchObject({ state: "paid" });
    // Another key does not pay it a second time.
    await done(alice, "payInvoice", "/api/payments", { ...sent, key: newKey() });
    const { totals } = await done(alice, "listPayments", "/api/payments?kind=sent");
    expect(totals).toEqual({ count: 1, amount_msat: 2_000_000, fee_msat: 0 });
    const found = await done(alice, "getPayment", `/api/payments/${invoice.payment_hash}`);
    expect(found).toMatchObject({ destination: bob.service.nodeId });
  });

  test("a history as CSV, and invoices in pages", async () => {
    const csv = await alice.call("GET", "/api/payments", { headers: { accept: "text/csv" } });
    expect(csv.headers.get("content-type")).toContain("text/csv");
    const [head, first] = (csv.body.text as unknown as string).split("\r\n");
    expect(head).toMatch(/^sequence,kind,payment_hash,status,amount_msat/);
    expect(first).toContain(",sent,");
    for (let i = 0; i < 2; i++) {
      await bob.call("POST", "/api/invoices", { body: { amount: 1 } });
    }
    const all = (await bob.call("GET", "/api/invoices")).body.invoices as unknown as unknown[];
    const paged: unknown[] = [];
    for (let more = ""; ; ) {
      const page = await done(bob, "listInvoices", `/api/invoices?limit=1${more}`);
      paged.push(...(page.invoices as unknown as unknown[]));
      if (page.next_before === null) break;
      more = `&before=${page.next_before}`;
    }
    expect(paged).toEqual(all);
    const bad = { body: { invoice: "lnbcrt1nonsense" }, key: newKey() };
    expect(await alice.call("POST", "/api/payments", bad)).toMatchObject({ status: 400 });
  });

  test("closes with its peer, and the wallet has the money", async () => {
    const closed = await done(alice, "closeChannel", `/api/channels/${id}`);
    expect(closed).toMatchObject({ state: "closing" });
    expect(closed.closing_txid).toMatch(/^[0-9a-f]{64}$/);
    await until(async () => (await alice.lab.mempool()).length > 0);
    await mined(1);
    await until(async () => (await channels(alice))[0]?.state === "on-chain");
    const balance = await done(alice, "getWalletBalance", "/api/wallet/balance");
    expect(balance.onchain_sat).toBeGreaterThan(1_000_000_000 - 105_000);
  });
});

describe("the wallet", () => {
  test("sends to an address, the same transaction for the same key", async () => {
    const { address } = await done(bob, "newAddress", "/api/wallet/address");
    const sent = { body: { address, amount_sat: 70_000 }, key: newKey() };
    const first = await done(alice, "withdraw", "/api/wallet/withdraw", sent);
    expect(await done(alice, "withdraw", "/api/wallet/withdraw", sent)).toEqual(first);
    expect(await alice.lab.mempool()).toHaveLength(1);
  });

  test("refuses addresses of other networks, and those with a digit wrong", async () => {
    const send = (address: string) =>
      alice.call("POST", "/api/wallet/withdraw", { body: { address, all: true }, key: newKey() });
    const mainnet = await send("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4");
    expect(mainnet.body).toMatchObject({ status: 400, errors: [{ pointer: "/address" }] });
    expect(mainnet.body.detail).toContain("bcrt1");
    expect((await send("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081")).status).toBe(400);
  });
});

test("an unknown thing is a problem of its own, and a peer can be sent away", async () => {
  const nothing = "ab".repeat(32);
  for (const path of [`channels/${nothing}`, `invoices/${nothing}`, `payments/${nothing}`]) {
    expect(await alice.call("GET", `/api/${path}`)).toMatchObject({ status: 404 });
  }
  const away = await done(alice, "disconnectPeer", `/api/peers/${bob.service.nodeId}`);
  expect(away).toMatchObject({ was_connected: true });
});
