/** The runner: nothing leaves before it is durable (rule `persist-before-send`), nothing is lost when a disk refuses, a flood ends (rule `bounded`). */
import { describe, expect, test } from "vitest";
import { MAX_QUEUED_INPUTS } from "../../core/node/channel-runner.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import {
  parseTransaction,
  serializeTransaction,
  transactionId,
} from "../../core/transactions/transaction.ts";
import { commanded, open, push } from "../support/commands.ts";
import { FaultyStore } from "../support/faulty-store.ts";
import { breath, crypto, Pair, payment } from "../support/node-pair.ts";
import { SlowStore } from "../support/slow-store.ts";

/** A disk that refuses the commits for which `refuses` says so. */
function moodyDisk() {
  const mood = { refuses: false };
  const disk = new FaultyStore(new MemoryStore(), () => (mood.refuses ? "refuse" : undefined));
  return { mood, disk };
}

describe("a disk that refuses a commit", () => {
  test("of a payment: nothing is sent, the channel is read again, the command is told its fate, then all goes on", async () => {
    const { mood, disk } = moodyDisk();
    const { pair, id } = await open({ diskA: disk });
    mood.refuses = true;
    const sent = pair.a.sent.length;
    const payments = payment(1_000);
    pair.a.node.command(id, { type: "push", payments });
    expect(pair.a.sent.length).toBe(sent);
    expect(pair.a.alarms).toEqual([
      expect.stringMatching(/halted, nothing was sent.*refused this/),
    ]);
    mood.refuses = false;
    pair.settle();
    await breath();
    expect(pair.a.events("rejected").at(-1)).toMatchObject({
      command: { type: "push", payments },
      reason: "the channel halted before this was stored: nothing was paid",
    });
    pair.reconnect();
    pair.a.node.command(id, { type: "push", payments });
    pair.cable.pump();
    expect(pair.balances(id)).toEqual([999_999_000, 1_000, 999_999_000, 1_000]);
    expect(pair.a.events("forceClosing").concat(pair.b.events("forceClosing"))).toEqual([]);
  });

  test("for hours: it never force-closes, and what the chain tells meanwhile is not lost", async () => {
    const { mood, disk } = moodyDisk();
    const { pair, id } = await open({ diskA: disk, pushMsat: 100_000_000 });
    pair.b.node.command(id, { type: "close", feeratePerKw: 500 });
    pair.cable.pump();
    const [close] = pair.b.closes;
    mood.refuses = true;
    pair.mine(1, [close as Uint8Array]);
    expect(pair.a.alarms.length).toBe(1);
    for (let hours = 0; hours < 3; hours++) {
      pair.mine(6);
      pair.settle();
      await breath();
    }
    expect(pair.a.node.record(id)?.phase).not.toBe("on-chain");
    mood.refuses = false;
    pair.settle();
    await breath();
    pair.mine(1);
    expect(pair.a.node.record(id)?.facts.map(({ height }) => height)).toEqual([pair.height - 19]);
    expect(pair.a.events("onChain").at(-1)?.ending).toBe("mutual");
    expect(pair.a.events("forceClosing")).toEqual([]);
  });

  test("while the channel ends: what spends the commitment's outputs meanwhile is heard of too", async () => {
    const { mood, disk } = moodyDisk();
    const { pair, id } = await open({ diskA: disk, pushMsat: 100_000_000 });
    pair.b.node.command(id, { type: "forceClose" });
    pair.cable.pump();
    const raw = pair.b.claims[0]?.raw as Uint8Array;
    mood.refuses = true;
    pair.mine(1, [raw]);
    for (let tries = 0; tries < 3; tries++) {
      pair.settle();
      await breath();
    }
    const outputs = parseTransaction(raw).outputs.map((output, vout) => ({ output, vout }));
    const spend = serializeTransaction({
      ...parseTransaction(raw),
      inputs: outputs.map(({ vout }) => ({
        outpoint: { txid: transactionId(crypto, parseTransaction(raw)), vout },
        sequence: 0,
        witness: [],
        scriptSig: new Uint8Array(0),
      })),
    });
    pair.mine(1, [spend]);
    mood.refuses = false;
    pair.settle();
    await breath();
    const heights = pair.a.node.record(id)?.facts.map(({ height }) => height);
    expect(heights).toEqual([pair.height - 1, pair.height]);
  });

  test("of the first record: the opening failed, and both sides know", async () => {
    const { mood, disk } = moodyDisk();
    const pair = await Pair.make({ diskA: disk });
    mood.refuses = true;
    await expect(pair.open()).rejects.toThrow(/not created/);
    mood.refuses = false;
    pair.settle();
    await breath();
    expect(pair.a.events("openFailed")[0]?.reason).toMatch(/nothing was paid/);
    pair.reconnect();
    expect(pair.a.node.channels()).toEqual([]);
    expect(pair.b.node.channels()).toEqual([]);
  });

  test("a message that comes while it stands still is taken afterwards", async () => {
    const { mood, disk } = moodyDisk();
    const { pair, id } = await open({ diskA: disk });
    mood.refuses = true;
    pair.a.node.command(id, { type: "push", payments: payment(1_000) });
    pair.reconnect(); // both say where they stand, and alice's channel does not listen
    mood.refuses = false;
    pair.settle();
    await breath();
    pair.settle();
    expect(push(pair.b, id, 1)).toMatch(/balance|reserve/);
    expect(push(pair.a, id, 2_000)).toBeUndefined();
    pair.cable.pump();
    expect(pair.balances(id)[1]).toBe(2_000);
    expect(pair.a.events("violation").concat(pair.b.events("violation"))).toEqual([]);
  });
});

describe("a store that answers later", () => {
  test("keeps the order: each message leaves after its record, in the order of the inputs", async () => {
    const { pair, id } = await open({
      diskA: new SlowStore(new MemoryStore()),
      diskB: new SlowStore(new MemoryStore()),
      pushMsat: 100_000_000,
    });
    const sent = pair.a.sent.length;
    for (let i = 1; i <= 20; i++) push(pair.a, id, i);
    for (let i = 1; i <= 20; i++) push(pair.b, id, i);
    expect(pair.a.sent.length).toBe(sent); // nothing yet: nothing is stored yet
    await pair.flow();
    expect(pair.a.events("pushSettled").map(({ pushId }) => pushId)).toEqual(
      Array.from({ length: 20 }, (_, i) => i),
    );
    expect(pair.a.events("receipt").length).toBe(20);
    expect(pair.b.events("receipt").length).toBe(20);
    expect(pair.a.checking.faults.concat(pair.b.checking.faults)).toEqual([]);
  });

  test("what belongs to a lost link is not sent into the next one", async () => {
    const { pair, id } = await open({ diskA: new SlowStore(new MemoryStore()) });
    push(pair.a, id, 1_000); // its commit is under way
    pair.reconnect(); // before it is durable
    await pair.flow();
    pair.settle();
    await pair.flow();
    expect(pair.b.events("violation").concat(pair.a.events("violation"))).toEqual([]);
    push(pair.a, id, 500);
    await pair.flow();
    expect(pair.balances(id)[1]).toBe(1_500);
  });
});

describe("too much at once", () => {
  test("a peer that floods a slow channel is disconnected, the chain is still heard", async () => {
    const { pair, id } = await open({
      diskA: new SlowStore(new MemoryStore()),
      pushMsat: 5_000_000,
    });
    push(pair.a, id, 1);
    for (let i = 0; i <= MAX_QUEUED_INPUTS + 1; i++) {
      const data = "flood";
      pair.b.node.sendService(pair.a.nodeId, { type: "warning", channelId: id, data });
    }
    pair.cable.pump();
    expect(pair.a.node.isConnected(pair.b.nodeId)).toBe(false);
    await pair.flow();
    pair.mine(1);
    pair.reconnect();
    await pair.flow();
    expect(push(pair.a, id, 1)).toBeUndefined();
    await pair.flow();
    expect(pair.a.events("forceClosing")).toEqual([]);
    expect(pair.a.alarms).toEqual([]);
  });

  test("a caller that floods is told which commands were not taken", async () => {
    const { pair, id } = await open({ diskA: new SlowStore(new MemoryStore()) });
    push(pair.a, id, 1);
    let refused: string | undefined;
    for (let i = 0; i <= MAX_QUEUED_INPUTS && refused === undefined; i++) {
      refused = commanded(pair.a, () =>
        pair.a.node.command(id, { type: "close", feeratePerKw: 0 }),
      );
    }
    expect(refused).toBe("too much waits for this channel: try again");
  });

  test("while the disk refuses: each command is told its fate, the ones that found no place at once", async () => {
    const { mood, disk } = moodyDisk();
    const { pair, id } = await open({ diskA: disk });
    mood.refuses = true;
    const given = MAX_QUEUED_INPUTS + 10;
    for (let i = 0; i < given; i++) {
      pair.a.node.command(id, { type: "push", payments: payment(1_000) });
    }
    expect(new Set(pair.a.events("rejected").map(({ reason }) => reason))).toEqual(
      new Set(["too much waits for this channel: try again"]),
    );
    mood.refuses = false;
    pair.settle();
    await breath();
    expect(pair.a.events("rejected").length).toBe(given);
    pair.reconnect();
    expect(pair.balances(id)[1]).toBe(0);
  });
});

test("a record that this program cannot read is left alone: the peer is told nothing that would make it close", async () => {
  const { pair, id } = await open({ pushMsat: 100_000_000 });
  const { checking } = pair.a;
  const load = checking.load.bind(checking);
  checking.load = async () =>
    (await load()).map((one) => ({ ...one, record: Uint8Array.of(0x82, 0x09, 0x80) }));
  await pair.restart(pair.a);
  expect(pair.a.alarms[0]).toMatch(/version 9.*run the newer program/);
  pair.connect();
  expect(pair.b.node.record(id)?.phase).toBe("normal");
  expect(pair.b.events("forceClosing")).toEqual([]);
  // With the newer program it goes on.
  checking.load = load;
  await pair.restart(pair.a);
  pair.connect();
  expect(push(pair.b, id, 1)).toBeUndefined();
  pair.cable.pump();
  expect(pair.a.events("pushReceived").length).toBe(1);
});
