/** key-index-once: power fails between a channel's record and the counter of keys: no index is used twice (BOLT 3 per-commitment secrets). */
import { expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { Pair } from "../support/node-pair.ts";

class CounterLost extends MemoryStore {
  lost = true;
  override setValue(key: string, value: Uint8Array): void {
    if (!this.lost) super.setValue(key, value);
  }
}

it("the keys of a channel that is gone are never those of a new one", async () => {
  const disk = new CounterLost();
  const pair = await Pair.make({ diskB: disk });
  const id = await pair.open({ pushMsat: 100_000_000 });
  const used = pair.b.node.record(id)?.terms.keyIndex;
  await pair.restart(pair.b); // the power cut
  disk.lost = false;
  await pair.restart(pair.b);
  pair.connect();
  pair.a.node.command(id, { type: "close", feeratePerKw: 1000 });
  await pair.flow();
  pair.mine(1, [pair.b.closes.at(-1) as Uint8Array]);
  pair.mine(100);
  expect(pair.b.node.channels()).toEqual([]);
  await pair.restart(pair.b);
  pair.connect();
  const next = await pair.open();
  expect(pair.b.node.record(next)?.terms.keyIndex).toBeGreaterThan(used as number);
});
