/** A channel that never rests still learns of blocks: whoever feeds it must not wait for a pause that never comes. */
import { expect, test } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { blockHeight } from "../../core/primitives/brands.ts";
import { Pair, payment } from "../support/node-pair.ts";
import { SlowStore } from "../support/slow-store.ts";

test("under payments without end a node is abreast of the chain, though never idle", async () => {
  const pair = await Pair.make({ diskA: new SlowStore(new MemoryStore()) });
  const id = await pair.open();
  const { node } = pair.a;
  const pay = () => node.command(id, { type: "push", payments: payment(1_000) });
  for (let i = 0; i < 5; i++) pay();
  node.blockConnected({ height: blockHeight(pair.height + 1), transactions: [] });
  expect(node.isAbreastOfChain).toBe(false);
  let turns = 0;
  for (; !node.isAbreastOfChain && turns < 500; turns++) {
    pay();
    expect(node.isIdle).toBe(false);
    await Promise.resolve();
  }
  expect(turns).toBeLessThan(500);
});
