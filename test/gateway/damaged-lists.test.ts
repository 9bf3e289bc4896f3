/** One damaged row of the store stops nobody else's channels: the gateway starts, says what is damaged, and loses no byte of it. */
import { afterEach, describe, expect, it } from "vitest";
import { decodeCbor, encodeCbor } from "../../core/messages/cbor.ts";
import { KeyIndices } from "../../core/node/key-index.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { blockHeight, milliSatoshi, paymentHash, publicKey } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import type { Payment } from "../../gateway/payments/ledger.ts";
import { MemoryLedger } from "../../gateway/payments/memory-ledger.ts";
import { PeerDialers } from "../../gateway/run/peer-dialers.ts";
import { DeviceLab } from "../support/device-lab.ts";

let lab: DeviceLab | undefined;
afterEach(async () => {
  await lab?.close();
  lab = undefined;
});

/** Every value of the store under a name that begins so. */
function stored(lab: DeviceLab, prefix: string): [string, Uint8Array][] {
  const { values } = lab.gatewayStore as unknown as { values: Map<string, Uint8Array> };
  return [...values].filter(([key]) => key.startsWith(prefix));
}

/** A gateway that publishes the commitment of a device which sleeps; and another device's channel. */
async function closing() {
  const it = await DeviceLab.make();
  lab = it;
  const alice = await it.add("alice", () => new PayerApp());
  const bob = await it.add("bob", () => new PayerApp());
  const cables = [it.connect(alice), it.connect(bob), it.connect(alice, bob)];
  await it.flow();
  const id = await it.open(alice, bob, 100_000);
  bob.device.node.command(id, { type: "forceClose" });
  await it.flow();
  for (const cable of cables) it.pull(cable);
  await it.stopGateway();
  const entrusted = () => it.gateway.publisher.queue().filter((one) => one.isEntrusted);
  const start = async () => {
    await it.startGateway();
    await it.gateway.publisher.idle();
  };
  return { lab: it, alice, bob, id, entrusted, start };
}

describe("a gateway that starts on a damaged list", () => {
  it("of a device's claims runs, keeps the bytes, and gets the claims anew from the device", async () => {
    const { lab, bob, id, entrusted, start } = await closing();
    const key = `chain-service/claims/${toHex(bob.id)}`;
    const damaged = (await lab.gatewayStore.getValue(key))?.slice(0, -3) as Uint8Array;
    await lab.gatewayStore.setValue(key, damaged);

    await start();
    expect(entrusted()).toEqual([]);
    expect(lab.alarms.join()).toContain(`claims that device ${toHex(bob.id)} entrusted is damaged`);
    expect(lab.alarms.join()).toContain("wake it");

    lab.connect(bob);
    await lab.flow();
    for (let i = 0; i < 20 && entrusted().length === 0; i++) await lab.mine(1);
    expect(entrusted()).toMatchObject([{ channelId: id }]); // its own output, once it may be taken
    expect(await lab.gatewayStore.getValue(key)).not.toEqual(damaged);
    const aside = stored(lab, "damaged/");
    expect(aside).toEqual([[expect.stringContaining(key), damaged]]);
    expect(lab.alarms.join()).toContain(String(aside[0]?.[0]));
  });

  it("of claims goes on with those that can be read", async () => {
    const { lab, bob, id, entrusted, start } = await closing();
    const key = `chain-service/claims/${toHex(bob.id)}`;
    const bytes = (await lab.gatewayStore.getValue(key)) as Uint8Array;
    const limits = { maxBytes: bytes.length, maxDepth: 2, maxItems: 9 };
    const claims = decodeCbor(bytes, limits) as Uint8Array[];
    await lab.gatewayStore.setValue(key, encodeCbor([new Uint8Array(9), ...claims]));
    await start();
    expect(entrusted()).toMatchObject([{ purpose: "commitment", channelId: id }]);
    expect(stored(lab, "damaged/")).toHaveLength(1);
  });

  it("of what a device has watched still publishes what that device entrusted", async () => {
    const { lab, bob, entrusted, start } = await closing();
    const key = `chain-service/device/${toHex(bob.id)}`;
    await lab.gatewayStore.setValue(key, new Uint8Array([0x82, 0x01]));
    await start();
    expect(entrusted()).toHaveLength(1);
    expect(lab.alarms.join()).toContain(`what device ${toHex(bob.id)} has watched`);
  });

  it("of fundings or of watching devices runs, and says so once for each", async () => {
    const { lab, start } = await closing();
    const damaged = new Uint8Array([0x99, 0xff]);
    await lab.gatewayStore.setValue("held-fundings", damaged);
    await lab.gatewayStore.setValue("chain-service/devices", damaged);
    await start();
    expect(lab.alarms.filter((text) => text.includes("is damaged"))).toHaveLength(2);
    expect(stored(lab, "damaged/").map(([, bytes]) => bytes)).toEqual([damaged, damaged]);
    await lab.stopGateway();
    await lab.startGateway();
    expect(stored(lab, "damaged/")).toHaveLength(2); // the same bytes once
  });

  it("of peers that are called goes on with those that can be read", async () => {
    const store = new MemoryStore();
    const good = { nodeId: "02".repeat(33), host: "127.0.0.1", port: 1 };
    const list = JSON.stringify([{ nodeId: "02" }, good]);
    store.setValue("dialled-peers", new Uint8Array(Buffer.from(list)));
    const told: string[] = [];
    const onProblem = (text: string) => void told.push(text);
    const dialers = new PeerDialers({
      store,
      attach: () => {},
      isConnected: () => true,
      onProblem,
    });
    await dialers.resume();
    expect(dialers.all).toEqual([good]);
    dialers.close();
    expect(told.join()).toContain("picobolt peer connect");
  });
});

it("a damaged counter of channel keys opens no channel more, and is not written over", async () => {
  const store = new MemoryStore();
  store.setValue("next-key-index", new Uint8Array(3));
  const indices = await KeyIndices.load(store);
  indices.seen(7);
  expect(indices.isUsedUp).toBe(true);
  expect(indices.fault).toContain("restore the newest backup");
  await indices.keep();
  expect(store.getValue("next-key-index")).toEqual(new Uint8Array(3));
});

it("a payment whose note is damaged is not tried again, and is told", async () => {
  const ledger = new MemoryLedger();
  const payment: Payment = {
    kind: "sent",
    paymentHash: paymentHash(new Uint8Array(32).fill(7)),
    status: "pending",
    amountMsat: milliSatoshi(1_000),
    feeMsat: milliSatoshi(0),
    createdAt: 1,
    destination: publicKey(new Uint8Array(33).fill(2)),
    retry: new Uint8Array([0x81, 0x07]),
  };
  await ledger.put(payment);
  const asked: string[] = [];
  lab = await DeviceLab.make({
    payments: {
      ledger,
      network: "regtest",
      nowSeconds: () => Number(blockHeight(100)),
      nextHop: () => ({ type: "none" }) as never,
      findRoute: () => {
        asked.push("a route");
        return { type: "none" } as never;
      },
      onPayment: () => {},
    },
  });
  await lab.flow();
  expect(lab.alarms.join()).toContain(`payment ${"07".repeat(32)} is damaged in the ledger`);
  expect(asked).toEqual([]);
  expect(ledger.get("sent", payment.paymentHash)).toMatchObject({ status: "failed" });
});
