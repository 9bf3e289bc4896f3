/** Blocks reach a node in order and once, over restarts, slow stores and errors. */
import { describe, expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { REWIND_BLOCKS } from "../../core/node/node.ts";
import type { ChainListener, ChainSource, ConfirmedTransaction } from "../../core/ports/chain.ts";
import {
  type BlockHeight,
  blockHeight,
  type ChannelId,
  channelId,
} from "../../core/primitives/brands.ts";
import { type FollowedNode, followChain, processedHeight } from "../../gateway/chain/follow.ts";

/** A chain of empty blocks. */
class World {
  readonly store = new MemoryStore();
  readonly seen: string[] = [];
  readonly problems: string[] = [];
  listener: ChainListener | undefined;
  from = 0;
  busyTurns = 0;
  fails = false;

  constructor(public tip: number) {}

  async start(births: readonly number[] = []) {
    const following = await followChain({
      node: this.node(births),
      source: this.source(),
      store: this.store,
      publisher: {
        hold: () => this.seen.push("hold"),
        resume: () => this.seen.push("resume"),
        blockDone: () => this.seen.push("done"),
        blockUndone: () => {},
        idle: async () => {},
      },
      onError: (error) => this.problems.push(error.message),
    });
    for (let height = this.from; height <= this.tip; height++) await this.deliver(height);
    await following.caughtUp;
    return following;
  }

  async deliver(height: number): Promise<void> {
    const event = { height: blockHeight(height), header: new Uint8Array(80), transactions: [] };
    await this.listener?.blockConnected(event);
  }

  private node(births: readonly number[]): FollowedNode {
    const world = this;
    return {
      blockConnected: ({ height }: { height: BlockHeight }) => {
        world.seen.push(`block ${height}`);
        if (world.fails) throw new Error("a block that cannot be read");
        world.busyTurns = 3;
      },
      rewind: (height: BlockHeight) => {
        world.seen.push(`rewind ${height}`);
      },
      transactionConfirmed: (_: Uint8Array, height: BlockHeight) => {
        world.seen.push(`channels hear of ${height}`);
      },
      reconsider: (ids?: readonly ChannelId[]) => world.seen.push(`reconsider ${ids?.length}`),
      setFeerates: ({ now }: { now: number }) => {
        world.seen.push(`feerate ${now}`);
      },
      channels: () =>
        births.map((createdAtHeight) => ({
          channel: { kind: "live", record: { createdAtHeight } },
        })),
      get isAbreastOfChain() {
        return world.busyTurns-- <= 0;
      },
    } as unknown as FollowedNode;
  }

  private source(): ChainSource {
    return {
      tip: async () => ({ height: blockHeight(this.tip), hash: new Uint8Array(32) }),
      feeratePerKw: async () => 777,
      subscribe: (listener: ChainListener, from: BlockHeight) => {
        this.listener = listener;
        this.from = from;
      },
      replay: async ({ from, to }, each) => {
        for (let height = from as number; height <= to; height++) {
          const found = { raw: Uint8Array.of(height & 255), height, index: 0, branch: [] };
          each({
            height: blockHeight(height),
            header: new Uint8Array(80),
            transactions: [found as unknown as ConfirmedTransaction],
          });
        }
      },
    } as Partial<ChainSource> as ChainSource;
  }
}

describe("following the chain", () => {
  it("begins at the tip where there is nothing to remember", async () => {
    const world = new World(500);
    await world.start();

    expect(world.seen).toEqual([
      "hold",
      "rewind 500",
      "feerate 777",
      "block 500",
      "done",
      "resume",
    ]);
    expect(await processedHeight(world.store)).toBe(500);
  });

  it("waits for nothing on a chain of the genesis block alone, and hears the first block", async () => {
    const world = new World(0);
    await world.start();
    expect(world.seen).toEqual(["hold", "rewind 1", "feerate 777", "resume"]);
    await world.deliver(1);
    expect(world.seen).toContain("block 1");
    expect(await processedHeight(world.store)).toBe(1);
  });

  it("reads the last blocks again after a restart, and holds what is published till it knows them", async () => {
    const world = new World(500);
    await (await world.start()).stop();
    world.seen.length = 0;
    world.tip = 510;
    await world.start();

    expect(world.from).toBe(501 - REWIND_BLOCKS);
    expect(world.seen.slice(0, 2)).toEqual(["hold", `rewind ${501 - REWIND_BLOCKS}`]);
    expect(world.seen.indexOf("resume")).toBeGreaterThan(world.seen.indexOf("block 510"));
    expect(world.seen.filter((what) => what.startsWith("feerate")).length).toBe(1);
  });

  it("looks for the end of channels that came from a backup since they began", async () => {
    const world = new World(500);
    await world.start([230, 120]);
    expect(world.from).toBe(120);
  });

  it("is not lost where the chain is shorter than what was stored", async () => {
    const world = new World(500);
    await (await world.start()).stop();
    world.tip = 20;
    await world.start();
    expect(world.from).toBe(1);
  });

  it("undoes blocks, and remembers that", async () => {
    const world = new World(500);
    await world.start();
    await world.listener?.blockDisconnected(blockHeight(500));

    expect(world.seen.at(-1)).toBe("rewind 500");
    expect(await processedHeight(world.store)).toBe(499);
  });

  it("waits for a node whose store is slow before the next block", async () => {
    const world = new World(500);
    await world.start();
    const both = [world.deliver(501), world.deliver(502)];
    await Promise.all(both);

    expect(world.seen.slice(-6)).toEqual([
      "feerate 777",
      "block 501",
      "done",
      "feerate 777",
      "block 502",
      "done",
    ]);
  });

  it("tells what failed, and goes on", async () => {
    const world = new World(500);
    await world.start();
    world.fails = true;
    await world.deliver(501);
    world.fails = false;
    await world.deliver(502);

    expect(world.problems).toEqual(["a block that cannot be read"]);
    expect(world.seen.at(-2)).toBe("block 502");
    expect(await processedHeight(world.store)).toBe(502);
  });

  it("reads blocks again for channels that come: what devices watch is looked for in them too", async () => {
    const world = new World(500);
    const following = await world.start();
    world.seen.length = 0;
    const begin = async () => void world.seen.push("come");
    await following.adopt({
      ids: [channelId(new Uint8Array(32))],
      from: blockHeight(499),
      begin,
      replayed: (transactions) => {
        for (const { height } of transactions) world.seen.push(`devices hear of ${height}`);
      },
    });
    expect(world.seen).toEqual([
      "hold",
      "come",
      "channels hear of 499",
      "devices hear of 499",
      "channels hear of 500",
      "devices hear of 500",
      "resume",
      "reconsider 1",
    ]);
  });

  it("a crowd of channels that come looks at the tip some at a time: leases are renewed meanwhile", async () => {
    const world = new World(500);
    const following = await world.start();
    world.seen.length = 0;
    const ids = Array.from({ length: 40 }, (_, n) => channelId(new Uint8Array(32).fill(n)));
    const renewal = setImmediate(() => world.seen.push("renewed"));
    await following.adopt({ ids, from: blockHeight(501), begin: async () => {} });
    clearImmediate(renewal);
    expect(world.seen).toEqual([
      "hold",
      "resume",
      "reconsider 16",
      "renewed",
      "reconsider 16",
      "reconsider 8",
    ]);
  });

  it("stops: no block reaches the node any more", async () => {
    const world = new World(500);
    const following = await world.start();
    await following.stop();
    await world.deliver(501);
    expect(world.seen).not.toContain("block 501");
  });
});
