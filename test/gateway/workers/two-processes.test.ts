/** Two gateway processes share the devices of one node; one is killed, or loses the database alone: the other takes over, and no payment is lost or doubled (issue 4 "Store"). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PicoboltClient } from "../../../client/client.ts";
import { type MilliSatoshi, milliSatoshi } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { VOUCHER_HEADER } from "../../../gateway/auth/vouching.ts";
import type { Payment } from "../../../gateway/payments/ledger.ts";
import { PostgresProxy } from "../../support/postgres-proxy.ts";
import {
  type GatewayProcess,
  LEASE_SECONDS,
  type TestDevice,
  until,
  WorkerLab,
} from "../../support/worker-lab.ts";

const HALF = 500_000_000;
/** A payment is tried for so long. */
const TRIED_SECONDS = 60;
const AMOUNT = 1_000_000;
const FEE = 1_000 + AMOUNT / 10_000;
/** Payments that are under way when a process is killed. */
const CROWD = 24;

let lab: WorkerLab;
/** Between one process and the database. */
let wire: PostgresProxy;
let a: GatewayProcess;
let b: GatewayProcess;
/** What each device must have by now. */
const expected = new Map<TestDevice, number>();

beforeAll(async () => {
  lab = await WorkerLab.start();
  wire = await PostgresProxy.start(lab.databaseUrl);
  a = await lab.gateway("a", { DATABASE_URL: wire.through });
  for (const name of ["ada", "ben", "cat", "dan"]) {
    const device = await lab.device(name);
    await device.open();
    expected.set(device, HALF);
  }
});

afterAll(async () => {
  if (process.env.PICOBOLT_SHOW_LOGS) {
    for (const one of lab.processes) console.error(`--- ${one.name}\n${one.log}`);
  }
  wire?.thaw();
  await lab?.close();
  await wire?.close();
});

async function heldBy(process: GatewayProcess): Promise<TestDevice[]> {
  const all = await lab.holders();
  return lab.devices.filter(({ name }) => all[name] === process.name);
}

async function areShared(): Promise<void> {
  await until("they are shared", async () => {
    return (await heldBy(a)).length >= 1 && (await heldBy(b)).length >= 1;
  });
  // By their own word as well: that a session has ended a device may learn last.
  await until("the processes have them all", async () => {
    const { devices } = await b.client.call("listDevices", {});
    return devices.length === lab.devices.length && devices.every(({ connected }) => connected);
  });
  await until("all are there again", () => lab.devices.every(({ isReady }) => isReady));
}

/** Begun, and how it ended. */
async function begin(from: TestDevice, to: TestDevice): Promise<() => Promise<Payment>> {
  const invoice = await to.bank.invoices.create({ amountMsat: milliSatoshi(AMOUNT) });
  const paying = from.bank.payInvoice(invoice.text, {
    timeoutSeconds: TRIED_SECONDS,
    maxFeeMsat: milliSatoshi(FEE) as MilliSatoshi,
  });
  return async () => {
    let known = await paying;
    const isKnown = async () => {
      known = (await from.bank.payment(known.paymentHash)) ?? known;
      return known.status !== "pending";
    };
    const what = `${from.name} knows whether it paid ${to.name}`;
    await until(what, isKnown, 2 * TRIED_SECONDS * 1_000);
    if (known.status === "succeeded") {
      expected.set(from, (expected.get(from) ?? 0) - AMOUNT - FEE);
      expected.set(to, (expected.get(to) ?? 0) + AMOUNT);
    }
    return known;
  };
}

/** Channels that went to another process are not lost. */
function expectNoFalseAlarms(): void {
  for (const { log } of lab.processes) {
    expect(log).not.toContain("that the store lacks");
    expect(log).not.toContain("older backup");
    expect(log).not.toContain("no longer has the backup");
  }
}

async function expectSums(): Promise<void> {
  const balances = () => lab.devices.map(({ balanceMsat }) => balanceMsat);
  const wanted = lab.devices.map((device) => expected.get(device));
  await until("the sums agree", () => String(balances()) === String(wanted)).catch(() => {});
  expect(balances()).toEqual(wanted);
}

it("a second process gets its share of them, and payments go from one to the other", async () => {
  b = await lab.gateway("b");
  await areShared();
  await until("b says so", () => b.log.includes("tower.serve does nothing with worker.name"));
  const [x] = await heldBy(a);
  const [y] = await heldBy(b);
  if (!x || !y) throw new Error("one process has no devices");
  const ends = [await begin(x, y), await begin(y, x)];
  for (const end of ends) expect((await end()).status).toBe("succeeded");
  await expectSums();
  const invoice = await a.client.createInvoice({ amount: AMOUNT / 1_000 });
  await y.bank.payInvoice(invoice.invoice);
  expected.set(y, (expected.get(y) ?? 0) - AMOUNT);
  await until("an invoice of one process is paid to the other", async () => {
    const { state } = await b.client.call("getInvoice", { payment_hash: invoice.payment_hash });
    return state === "paid";
  });
  await expectSums();
});

it("whoever follows at one process hears what happens in the other, once, and which it was", async () => {
  const [x] = await heldBy(a);
  const [y] = await heldBy(b);
  if (!x || !y) throw new Error("one process has no devices");
  const abort = new AbortController();
  const heard: Record<string, unknown>[] = [];
  const told = (process: string, type: string) =>
    heard.filter((one) => one.process === process && one.type === type);
  let isOpen = false;
  const following = (async () => {
    const onOpen = () => {
      isOpen = true;
    };
    const events = b.client.events({ signal: abort.signal, onOpen });
    for await (const { event } of events) heard.push(event);
  })();
  try {
    await until("b is followed", () => isOpen);
    const forged = { headers: { [VOUCHER_HEADER]: "e30.AAAA" } };
    expect((await fetch(`${a.url}/api/events`, forged)).status).toBe(401);
    const pay = await begin(x, y);
    expect((await pay()).status).toBe("succeeded");
    const tells = (name: string) => told(name, "channel").length > 0;
    await until("both tell of the payment", () => ["a", "b"].every(tells));
    await lab.chain.mine(1);
    await until("a block", () => told("b", "block").length > 0);
    expect(heard.filter(({ type }) => type === "block")).toHaveLength(1);
  } finally {
    abort.abort();
    await following;
  }
  await expectSums();
});

it("either process answers for the channels of both, and passes a call on to the one that runs them", async () => {
  const ids = lab.devices.map(({ id }) => toHex(id)).sort();
  const [x] = await heldBy(b);
  if (!x) throw new Error("b has no devices");
  for (const { client } of [a, b]) {
    const { channels } = await client.call("listChannels", {});
    expect(channels.map((one) => one.peer_node_id).sort()).toEqual(ids);
    expect(channels.every(({ state, connected }) => state === "normal" && connected)).toBe(true);
    const { devices } = await client.call("listDevices", {});
    expect(devices.map((one) => one.node_id).sort()).toEqual(ids);
    expect(devices.every(({ connected }) => connected)).toBe(true);
  }
  const all = await a.client.call("listChannels", {});
  const channel_id =
    all.channels.find(({ peer_node_id: id }) => id === toHex(x.id))?.channel_id ?? "";
  // The same key twice, and by the one process as by the other, is one payment.
  const pay = (client: PicoboltClient, key: string) =>
    client.call("payChannel", { channel_id, amount: 1_000 }, { idempotencyKey: key });
  const first = await pay(a.client, "coffee");
  expect(first.state).toBe("succeeded");
  expect(await pay(a.client, "coffee")).toEqual(first);
  expect(await pay(b.client, "coffee")).toEqual(first);
  expected.set(x, (expected.get(x) ?? 0) + AMOUNT);
  await expectSums();
  expect(readFileSync(join(b.folder, "audit.jsonl"), "utf8")).toContain("payChannel");
  await expect(a.client.call("getChannel", { channel_id: "ab".repeat(32) })).rejects.toThrow(
    /no channel/,
  );
  const readonly = PicoboltClient.at({
    url: a.url,
    macaroon: readFileSync(join(a.folder, "readonly.macaroon"), "utf8").trim(),
  });
  await expect(pay(readonly, "tea")).rejects.toThrow(/permit/);
});

/** Some payments are under way when `fail` comes, others are begun after it; all of them end, and the sums agree. */
async function takeOver(fail: () => Promise<void> | void): Promise<string> {
  const pairs = Array.from({ length: CROWD }, (_, i) => {
    const [from, to] = [lab.devices[i % 4], lab.devices[(i + 1 + (i % 3)) % 4]];
    return [from as TestDevice, to as TestDevice] as const;
  });
  const ends: (() => Promise<Payment>)[] = [];
  for (const [from, to] of pairs.slice(0, CROWD / 2)) ends.push(await begin(from, to));
  const orphans = await heldBy(a);
  const talks = orphans.map((device) => device.talks);
  const failedAtMs = performance.now();
  await fail();
  for (const [from, to] of pairs.slice(CROWD / 2)) ends.push(await begin(from, to));
  await until("its leases are taken", async () => (await heldBy(b)).length === 4);
  const leasedMs = performance.now() - failedAtMs;
  await until("its devices are served", () =>
    orphans.every(({ isReady, talks: now }, i) => isReady && now > (talks[i] ?? 0)),
  );
  const servedMs = performance.now() - failedAtMs;
  const known: Payment[] = [];
  for (const end of ends) known.push(await end());
  await expectSums();
  const paid = known.filter(({ status }) => status === "succeeded").length;
  expect(paid).toBeGreaterThan(0);
  const ms = (value: number) => `${Math.round(value)} ms`;
  return (
    `with leases of ${LEASE_SECONDS} s: taken over after ${ms(leasedMs)}, ` +
    `its devices served after ${ms(servedMs)}; ${paid} of ${CROWD} payments succeeded, the others came back`
  );
}

it("one is killed with payments under way: the other takes over, none is lost, none doubled", async () => {
  const shown = await takeOver(() => a.kill());
  console.info(`a process was killed, ${shown}`);
});

it("it comes back, and gets its share again", async () => {
  await a.start();
  await areShared();
  const [x] = await heldBy(a);
  const [y] = await heldBy(b);
  if (!x || !y) throw new Error("one process has no devices");
  expect((await (await begin(x, y))()).status).toBe("succeeded");
  await expectSums();
});

it("one has the broker and the chain, and no database: it ends, nothing that it does later counts", async () => {
  const shown = await takeOver(() => wire.freeze());
  expect(await a.ended()).not.toBe(0);
  expect(a.log).toContain("the leases are lost, nothing is sent any more");
  wire.thaw(); // what it was still writing reaches the database now
  await expectSums();
  console.info(`a process was cut off from PostgreSQL, ${shown}`);
  await a.start();
  await areShared();
  await expectSums();
  expectNoFalseAlarms();
});
