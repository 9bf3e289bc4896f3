/** A device's flash takes commits of a bounded size: no peer may fill the record until nothing more can be stored. */
import { describe, expect, it } from "vitest";
import { encodeRecord } from "../../core/channel/codec.ts";
import { devicePolicy, hostPolicy } from "../../core/channel/policy.ts";
import { MAX_FINAL_BYTES } from "../../core/payments/instructions.ts";
import { blockHeight, milliSatoshi, paymentHash } from "../../core/primitives/brands.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { NorFlash } from "../../host-sim/flash/nor-flash.ts";
import { crypto, Pair, payment } from "../support/node-pair.ts";

/** Alice is a host, bob a device with 512 KB of flash. */
async function hostAndDevice() {
  const pair = await Pair.make({
    policyA: hostPolicy,
    policyB: devicePolicy,
    diskB: new FlashLogStore(new NorFlash({ size: 512 * 1024 })),
    maxMessageB: 4096,
  });
  const id = await pair.open({ pushMsat: 300_000_000 });
  return { pair, id };
}

async function settle(pair: Pair) {
  for (let i = 0; i < 5; i++) {
    pair.settle();
    await pair.flow();
  }
}

describe("a device", () => {
  it("takes bursts of pushes as large as an honest payer may send them", async () => {
    const { pair, id } = await hostAndDevice();
    for (let i = 0; i < 24; i++) {
      pair.a.node.command(id, { type: "push", payments: payment(10, 168) });
    }
    await settle(pair);
    expect(pair.b.alarms).toEqual([]);
    const received = pair.b.events("pushReceived").length;
    const rejected = pair.a.events("rejected").length;
    expect(received + rejected).toBe(24);
    expect(received).toBeGreaterThan(0);
  });

  it("goes on paying a payee that never sends receipts", async () => {
    const { pair, id } = await hostAndDevice();
    pair.a.tamper = (message) => (message.type === "push_receipt" ? [] : [message]);
    for (let i = 0; i < 600; i++) {
      pair.b.node.command(id, { type: "push", payments: payment(10) });
      if (i % 20 === 19) await settle(pair);
    }
    await settle(pair);
    expect(pair.b.alarms).toEqual([]);
    expect(pair.b.events("pushSettled")).toHaveLength(600);
  });

  it("takes no onions, which it could not forward and would have to store", async () => {
    const { pair, id } = await hostAndDevice();
    pair.a.node.command(id, htlc(pair, 0, new Uint8Array(1366)));
    await settle(pair);
    expect(pair.b.events("violation")[0]?.text).toMatch(/onion_routing_packet/);
    expect(pair.b.node.record(id)?.base.htlcs).toEqual([]);
  });

  it("takes instructions that are for itself: nobody far away can break its link with its gateway", async () => {
    expect(devicePolicy.maxOnionBytes).toBe(MAX_FINAL_BYTES);
    const { pair, id } = await hostAndDevice();
    pair.a.node.command(id, htlc(pair, 0, new Uint8Array(MAX_FINAL_BYTES)));
    await settle(pair);
    expect(pair.b.events("violation")).toEqual([]);
    expect(pair.b.events("htlcReceived")).toHaveLength(1);
  });

  it("can still close when the record holds all that a peer can bring about", async () => {
    const { pair, id } = await hostAndDevice();
    for (let i = 0; i < 30; i++) {
      for (const side of [pair.a, pair.b]) {
        side.node.command(id, htlc(pair, i, new Uint8Array(MAX_FINAL_BYTES)));
      }
      await settle(pair);
    }
    // From now on nothing is revoked: everything stays under way.
    for (const side of [pair.a, pair.b]) {
      side.tamper = (message) => (message.type === "push_receipt" ? [] : [message]);
    }
    for (let i = 0; i < 120; i++) {
      pair.b.node.command(id, { type: "push", payments: payment(10) });
      if (i % 20 === 19) await settle(pair);
    }
    pair.b.tamper = (message) => (message.type === "revoke_and_ack" ? [] : [message]);
    for (let i = 0; i < 600; i++) {
      for (const side of [pair.a, pair.b]) {
        side.node.command(id, { type: "push", payments: payment(10) });
      }
    }
    await settle(pair);
    expect(pair.b.alarms).toEqual([]);
    const stored = pair.b.checking.stored(id);
    expect(stored && encodeRecord(stored).length).toBeLessThan(40_000);

    pair.b.node.command(id, { type: "forceClose" });
    await settle(pair);
    expect(pair.b.alarms).toEqual([]);
    expect(pair.b.node.record(id)?.phase).toBe("force-closing");
    expect(pair.b.claims.length).toBeGreaterThan(0);
  });
});

function htlc(pair: Pair, i: number, onion = new Uint8Array(0)) {
  return {
    type: "addHtlc",
    amountMsat: milliSatoshi(1_000_000),
    paymentHash: paymentHash(crypto.sha256(Uint8Array.of(i))),
    cltvExpiry: blockHeight(pair.height + 500),
    onion,
  } as const;
}
