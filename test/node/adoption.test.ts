/** Processes that are one node: a peer's channels move from one to another, and nothing is lost, doubled or forced (issue 4 "Store"). */
import { expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { Store, StoreCommit } from "../../core/ports/store.ts";
import { Pair, payment, TestNode } from "../support/node-pair.ts";
import { SlowStore } from "../support/slow-store.ts";

/** Alice's second process, on the same database. */
async function secondAlice(disk: Store): Promise<TestNode> {
  return await new TestNode("alice's second process", 1, disk).start();
}

it("a channel goes on in another process where it stood", async () => {
  const disk = new MemoryStore();
  const other = await secondAlice(disk);
  const pair = await Pair.make({ diskA: disk });
  const id = await pair.open();
  pair.a.node.command(id, { type: "push", payments: payment(5_000_000) });
  await pair.flow();

  expect(pair.a.node.release(pair.b.nodeId)).toBe(true);
  expect(pair.a.node.isConnected(pair.b.nodeId)).toBe(false);
  expect(pair.a.node.command(id, { type: "push", payments: payment(1) })).toBe(false);

  other.node.adopt(await other.checking.load());
  other.node.adopt(await other.checking.load()); // a word that comes twice changes nothing
  const moved = new Pair(other, pair.b);
  moved.connect();
  moved.a.node.command(id, { type: "push", payments: payment(7_000_000) });
  await moved.flow();
  moved.b.node.command(id, { type: "push", payments: payment(2_000_000) });
  await moved.flow();
  expect(moved.balances(id)).toEqual([990_000_000, 10_000_000, 990_000_000, 10_000_000]);
  expect(other.node.channels()).toHaveLength(1);
  moved.expectPeace();
  pair.expectPeace();
});

it("a process that has not the channel sends its peer away, and the channel stays open", async () => {
  const disk = new MemoryStore();
  const pair = await Pair.make({ diskA: disk });
  const id = await pair.open();
  const other = await secondAlice(new MemoryStore());
  other.shared = { servesPeer: () => false };
  await other.start();
  pair.disconnect();
  const wrong = new Pair(other, pair.b);
  wrong.connect();
  expect(other.sent).toEqual([]);
  expect(other.node.isConnected(pair.b.nodeId)).toBe(false);
  wrong.disconnect();
  pair.connect();
  pair.a.node.command(id, { type: "push", payments: payment(5_000_000) });
  await pair.flow();
  expect(pair.balances(id)[1]).toBe(5_000_000);
  pair.expectPeace();
});

it("what is being stored while a channel is given up is waited for, and what failed is not read again", async () => {
  const disk = new MemoryStore();
  let fails = false;
  const slow = new (class extends SlowStore {
    override async commit(change: StoreCommit) {
      if (fails) throw new Error("another process has it");
      return await super.commit(change);
    }
  })(disk);
  const pair = await Pair.make({ diskA: slow });
  const id = await pair.open({ pushMsat: 100_000_000 });
  for (const fault of [false, true]) {
    fails = fault;
    pair.b.node.command(id, { type: "push", payments: payment(5_000_000) });
    pair.cable.pump(); // alice is storing it
    expect(pair.a.node.release(pair.b.nodeId)).toBe(false);
    while (!pair.a.node.release(pair.b.nodeId)) await Promise.resolve();
    pair.disconnect(); // bob would call again at once
    pair.settle();
    expect(pair.a.node.channels()).toEqual([]);
    fails = false;
    pair.a.node.adopt(await pair.a.checking.load());
    pair.connect();
    await pair.flow();
  }
  expect(pair.balances(id)).toEqual([910_000_000, 90_000_000, 910_000_000, 90_000_000]);
  expect(pair.a.alarms).toEqual([]);
  expect(pair.b.events("forceClosing")).toEqual([]);
});

it("each process has its own channel keys, also when the counter was not stored with the last channel", async () => {
  class CounterLost extends MemoryStore {
    isLost = false;
    override setValue(key: string, value: Uint8Array): void {
      if (!this.isLost) super.setValue(key, value);
    }
  }
  const disk = new CounterLost();
  const pair = await Pair.make({ diskA: disk });
  pair.a.shared = { keyIndices: { from: 1_000, below: 2_000 } };
  await pair.restart(pair.a);
  pair.connect();
  disk.isLost = true;
  const first = await pair.open();
  expect(pair.a.node.record(first)?.terms.keyIndex).toBe(1_000);
  disk.isLost = false;
  // Another process took the channel and saw its end before this one starts again: no record tells of it.
  disk.commit({ channelId: first, record: () => new Uint8Array(), live: {}, remove: true });
  await pair.restart(pair.a);
  pair.connect();
  const second = await pair.open();
  expect(pair.a.node.record(second)?.terms.keyIndex).toBeGreaterThan(1_000);

  pair.a.shared = { keyIndices: { from: 0, below: 1 } };
  await pair.restart(pair.a);
  pair.connect();
  await expect(pair.open()).rejects.toThrow("used up its channel keys");
});
