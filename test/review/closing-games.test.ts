/** A peer that plays with closing, opening, fees and sizes: nobody is stuck, and nothing is lost. */
import { describe, expect, it } from "vitest";
import { devicePolicy, hostPolicy } from "../../core/channel/policy.ts";
import type { Message } from "../../core/messages/message.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  paymentHash,
  satoshi,
} from "../../core/primitives/brands.ts";
import { parseTransaction } from "../../core/transactions/transaction.ts";
import { crypto, Pair, payment, type TestNode } from "../support/node-pair.ts";

function feeOf(raw: Uint8Array): number {
  return 1_000_000 - parseTransaction(raw).outputs.reduce((sum, { amount }) => sum + amount, 0);
}

/** What bob would sign as closer is changed before alice's node makes it: his own node is the cheat. */
async function closedBy(cheapFee: boolean) {
  const pair = await Pair.make({
    policyB: cheapFee ? { ...hostPolicy, minFeeratePerKw: 0 } : hostPolicy,
  });
  const id = await pair.open({ pushMsat: 400_000_000 });
  return { pair, id };
}

const swallow =
  (...types: readonly Message["type"][]) =>
  (message: Message): readonly Message[] =>
    types.includes(message.type) ? [] : [message];

describe("a mutual close that nobody relays", () => {
  it("does not keep us from offering one that is, nor an error from closing by force", async () => {
    const { pair, id } = await closedBy(true);
    // Bob never answers what alice offers, and offers a close that pays next to nothing.
    pair.b.tamper = swallow("closing_sig");
    pair.b.node.command(id, { type: "close", feeratePerKw: 1 });
    await pair.flow();
    expect(pair.a.closes.length).toBeGreaterThan(0);
    expect(feeOf(pair.a.closes[0] as Uint8Array)).toBeLessThan(5);
    pair.a.node.command(id, { type: "close", feeratePerKw: 1_000 });
    await pair.flow();
    const offered = pair.a.sent.filter(({ type }) => type === "closing_complete");
    expect(offered.length).toBeGreaterThan(0);

    pair.b.node.send({ remoteNodeId: pair.a.nodeId, storedId: id } as never, {
      type: "error",
      channelId: id,
      data: "and now?",
    });
    await pair.flow();
    expect(pair.a.node.record(id)?.phase).toBe("force-closing");
  });

  it("does not push dearer ones out of the record", async () => {
    const { pair, id } = await closedBy(true);
    pair.a.node.command(id, { type: "close", feeratePerKw: 5_000 });
    await pair.flow();
    const dear = Math.max(...pair.a.closes.map(feeOf));
    for (let feeratePerKw = 1; feeratePerKw < 9; feeratePerKw++) {
      pair.b.node.command(id, { type: "close", feeratePerKw });
      await pair.flow();
    }
    const kept = pair.a.node.record(id)?.mutualCloses.map(feeOf) ?? [];
    expect(kept).toContain(dear);
    expect(kept.length).toBeLessThanOrEqual(4);
  });
});

describe("an opener that funds nothing", () => {
  async function unfunded(pushMsat = 0) {
    const pair = await Pair.make();
    const temporary = pair.a.node.open({
      remoteNodeId: pair.b.nodeId,
      channelType: "zero_fee_commitments",
      fundingSatoshis: satoshi(100_000),
      pushMsat: milliSatoshi(pushMsat),
      feeratePerKw: 0,
    });
    await pair.flow();
    const outpoint = { txid: crypto.sha256(new Uint8Array(1)) as never, vout: 0 };
    pair.a.node.command(temporary, { type: "funded", outpoint });
    await pair.flow();
    return { pair, id: pair.a.events("created").at(-1)?.channelId as ChannelId };
  }

  const say = (from: TestNode, to: TestNode, id: ChannelId) =>
    from.node.send({ remoteNodeId: to.nodeId, storedId: id } as never, {
      type: "error",
      channelId: id,
      data: "never mind",
    });

  it("takes no place for ever by a shutdown and an error", async () => {
    const { pair, id } = await unfunded();
    pair.a.node.command(id, { type: "close", feeratePerKw: 500 });
    await pair.flow();
    say(pair.a, pair.b, id);
    await pair.flow();
    expect(pair.b.node.channels()).toEqual([]);
  });

  it("takes back nothing of what it gave at the opening by an error", async () => {
    const { pair, id } = await unfunded(50_000_000);
    say(pair.a, pair.b, id);
    await pair.flow();
    expect(pair.b.node.record(id)?.base.toLocalMsat).toBe(50_000_000);
    expect(pair.b.claims).toEqual([]);
    pair.mine(2016);
    expect(pair.b.node.channels()).toEqual([]);
  });
});

describe("a funding that left the chain", () => {
  it("makes the payee decline what is paid meanwhile", async () => {
    const pair = await Pair.make();
    const id = await pair.open();
    pair.b.node.rewind(blockHeight(pair.height - 2));
    pair.a.node.command(id, { type: "push", payments: payment(1000) });
    await pair.flow();
    expect(pair.b.events("pushReceived")[0]?.declined).toMatch(/left the chain/);
  });
});

describe("an update_fee", () => {
  it("that would turn HTLCs into dust beyond the limit is refused", async () => {
    const policyB = { ...hostPolicy, maxDustExposureMsat: milliSatoshi(10_000_000) };
    const pair = await Pair.make({ policyB });
    const id = await pair.open({ channelType: "static_remotekey", pushMsat: 400_000_000 });
    for (let i = 0; i < 4; i++) {
      pair.b.node.command(id, {
        type: "addHtlc",
        amountMsat: milliSatoshi(10_000_000),
        paymentHash: paymentHash(crypto.sha256(Uint8Array.of(i))),
        cltvExpiry: blockHeight(pair.height + 100),
      });
      await pair.flow();
    }
    pair.a.node.command(id, { type: "updateFee", feeratePerKw: 40_000 });
    await pair.flow();
    expect(pair.b.events("violation")[0]?.text).toMatch(/below dust/);
    expect(pair.b.node.record(id)?.base.feeratePerKw).toBe(1000);
  });
});

describe("a peer that takes smaller messages than it once did", () => {
  it("is told nothing, and no channel halts", async () => {
    const pair = await Pair.make({ policyA: hostPolicy, policyB: devicePolicy });
    const id = await pair.open();
    pair.a.tamper = swallow("commitment_signed");
    pair.a.node.command(id, { type: "push", payments: payment(10, 400) });
    await pair.flow();
    pair.a.tamper = (message) => [message];
    const small = Object.assign(pair.b, { maxMessageBytes: 4096 });
    await pair.restart(small);
    pair.connect();
    pair.settle();
    await pair.flow();
    expect(pair.a.alarms.filter((text) => text.includes("halted"))).toEqual([]);
  });
});
