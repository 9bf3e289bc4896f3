/** What a gateway keeps for devices that sleep: what they watched, what spent it, and what spent that. */
import { describe, expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { satoshi, type Txid } from "../../core/primitives/brands.ts";
import {
  outpointKey,
  type Transaction,
  transactionId,
  unsignedInput,
} from "../../core/transactions/transaction.ts";
import { DevicesWatches, MAX_WATCHES_PER_DEVICE } from "../../gateway/service/device-watches.ts";
import { crypto, TestNode } from "../support/node-pair.ts";

const DEVICE = new TestNode("device", 1).nodeId;
const OTHER = new TestNode("other", 2).nodeId;
const funding = { txid: new Uint8Array(32).fill(9) as Txid, vout: 1 };
const watchOf = (outpoint: typeof funding) => ({
  outpoint,
  script: new Uint8Array(34).fill(3),
  depth: 0,
  found: [],
});

function spender(outpoint: typeof funding, outputs = 2): { transaction: Transaction; txid: Txid } {
  const transaction = {
    version: 2,
    inputs: [unsignedInput(outpoint, 0)],
    outputs: Array.from({ length: outputs }, () => ({
      script: new Uint8Array(22),
      amount: satoshi(1000),
    })),
    locktime: 0,
  };
  return { transaction, txid: transactionId(crypto, transaction) };
}

const fresh = (store = new MemoryStore()) => {
  const searched: string[] = [];
  const onWatch = ({ outpoint }: { outpoint: typeof funding }) =>
    void searched.push(outpointKey(outpoint));
  return {
    watches: new DevicesWatches({ store, onWatch, onProblem: (text) => expect.fail(text) }),
    searched,
    store,
  };
};

describe("watches of devices", () => {
  it("follow the end of a channel two steps deep, and no further", () => {
    const { watches } = fresh();
    watches.add(DEVICE, watchOf(funding));
    let last = funding;
    const told: number[] = [];
    for (let height = 10; height < 14; height++) {
      const { transaction, txid } = spender(last);
      told.push(watches.found(transaction, { txid, height }).length);
      last = { txid, vout: 1 };
    }
    expect(told).toEqual([1, 1, 1, 0]);
  });

  it("and all that was found are there after a restart, each device's its own", async () => {
    const { watches, store } = fresh();
    watches.add(DEVICE, watchOf(funding));
    watches.add(OTHER, watchOf({ ...funding, vout: 2 }));
    const { transaction, txid } = spender(funding);
    watches.found(transaction, { txid, height: 10 });
    await watches.storeDevices();
    for (const device of [DEVICE, OTHER]) await watches.store(device);
    const again = fresh(store);
    await again.watches.load();
    expect(again.searched.sort()).toEqual(
      [outpointKey(funding), outpointKey({ ...funding, vout: 2 })]
        .concat([0, 1].map((vout) => outpointKey({ txid, vout })))
        .sort(),
    );
    expect(again.watches.of(DEVICE).map(({ found }) => found.length)).toEqual([1, 1, 1]);
    expect(again.watches.of(OTHER)).toHaveLength(1);
  });

  it("forget what a reorganisation took away", () => {
    const { watches } = fresh();
    watches.add(DEVICE, watchOf(funding));
    const { transaction, txid } = spender(funding);
    watches.found(transaction, { txid, height: 10 });
    expect(watches.forget(11)).toEqual([]);
    expect(watches.forget(10)).toEqual([DEVICE]);
    expect(watches.get(DEVICE, funding)?.found).toEqual([]);
  });

  it("are limited; what a device no longer names makes room for what it does", () => {
    const { watches } = fresh();
    for (let vout = 0; vout < MAX_WATCHES_PER_DEVICE; vout++) {
      expect(watches.add(DEVICE, watchOf({ ...funding, vout }))).toBe(true);
    }
    const more = watchOf({ ...funding, vout: 60_000 });
    expect(watches.add(DEVICE, more)).toBe(false);
    const oldest = { ...funding, vout: 0 };
    expect(watches.add(DEVICE, more, ({ outpoint }) => outpoint.vout === 0)).toBe(true);
    expect(watches.get(DEVICE, oldest)).toBeUndefined();
    expect(watches.add(OTHER, watchOf(funding))).toBe(true);
  });
});
