/** A customer who asks twice: the machine delivers once for each payment at its price (rule `credited-once`). */
import { describe, expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { packPayments } from "../../core/payments/push.ts";
import { milliSatoshi } from "../../core/primitives/brands.ts";
import type { AppHost } from "../../firmware/apps/app.ts";
import { Inbox } from "../../firmware/apps/inbox.ts";
import { VendingApp } from "../../firmware/apps/vending.ts";
import { crypto } from "../support/node-pair.ts";

const PRICE = milliSatoshi(5_000);
const PEER = new Uint8Array(33).fill(2) as never;
const CHANNEL = new Uint8Array(32).fill(1) as never;

function reference(n: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[1] = 7; // the product
  bytes[15] = n;
  return bytes;
}

async function machine() {
  const store = await Inbox.open(new MemoryStore());
  const commands: unknown[] = [];
  const motor: { pending: (() => void)[]; delivered: number } = { pending: [], delivered: 0 };
  const app = new VendingApp({
    machine: "test",
    products: [{ id: 7, name: "tea", priceMsat: PRICE }],
    delivery: {
      deliver: () =>
        new Promise((resolve) => {
          motor.pending.push(() => {
            motor.delivered++;
            resolve();
          });
        }),
    },
  });
  const node = {
    height: 100,
    record: () => ({ remoteNodeId: PEER, phase: "normal" }),
    command: (_: unknown, command: unknown) => commands.push(command),
    sendService: () => true,
  };
  const parts = { node, crypto, entropy: undefined, store, inbox: store, tell: () => {} };
  await app.start(parts as never as AppHost);
  let pushId = 0;
  const rest = () => new Promise((wake) => setImmediate(wake));
  return {
    motor,
    commands,
    async pay(n: number, amountMsat: number = PRICE) {
      const payments = packPayments([
        { reference: reference(n), amountMsat: milliSatoshi(amountMsat) },
      ]);
      await store.commit({
        channelId: CHANNEL,
        record: () => new Uint8Array(1),
        live: {},
        credits: payments,
      });
      app.onChannelEvent(CHANNEL, { type: "pushReceived", pushId: pushId++, payments });
      await rest();
    },
    async ask(n: number) {
      app.onMessage(PEER, { type: "delivery_request", reference: reference(n) });
      await rest();
    },
    async turn() {
      for (const done of motor.pending.splice(0)) done();
      await rest();
    },
  };
}

describe("a machine", () => {
  it("that is asked while its motor turns does not deliver twice", async () => {
    const it = await machine();
    await it.pay(1);
    await it.ask(1);
    await it.turn();
    await it.turn();
    expect(it.motor.delivered).toBe(1);
  });

  it("never delivers again what was delivered long ago", async () => {
    const it = await machine();
    await it.pay(1);
    await it.turn();
    for (let n = 2; n < 20; n++) await it.pay(n, 1); // refunded: they cost nothing
    await it.ask(1);
    await it.turn();
    expect(it.motor.delivered).toBe(1);
  });

  it("never delivers what was paid too little and given back", async () => {
    const it = await machine();
    await it.pay(1, 1);
    for (let n = 2; n < 20; n++) await it.pay(n, 1);
    await it.ask(1);
    await it.turn();
    expect(it.motor.delivered).toBe(0);
  });
});
