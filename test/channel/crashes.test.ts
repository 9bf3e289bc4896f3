/** A node dies before and after every commit of the dance and comes back from its store (DESIGN §7). */
import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { begin, CHANNEL_TYPES, live } from "../support/dance.ts";
import { FaultyStore, type StoreFault } from "../support/faulty-store.ts";

describe.each(CHANNEL_TYPES)("%s", { timeout: 180_000 }, (channelType) => {
  test.each([
    ["a", "crash-before"],
    ["a", "crash-after"],
    ["b", "crash-before"],
    ["b", "crash-after"],
  ] as const)("%s dies (%s) at every commit and comes back", async (who, fault) => {
    const total = await liveWithCrash(channelType, who, -1, fault);
    expect(total).toBeGreaterThan(15);
    for (let at = 0; at < total; at++) {
      expect(await liveWithCrash(channelType, who, at, fault)).toBeGreaterThan(at);
    }
  });
});

/** Runs the life; `who` dies at its commit `at` (counted from the open channel on) and starts again from its store. */
async function liveWithCrash(
  channelType: ChannelType,
  who: "a" | "b",
  at: number,
  fault: StoreFault,
): Promise<number> {
  const inner = new MemoryStore();
  let begun = 0;
  const disk: FaultyStore = new FaultyStore(inner, (index) => {
    if (begun === 0 || index - begun !== at) return undefined;
    honest.pair.cable.cut = true; // nothing more leaves a dead process
    return fault;
  });
  const honest = await begin(channelType, who === "a" ? { diskA: disk } : { diskB: disk });
  begun = disk.commitCount;
  const { pair } = honest;
  const side = pair[who];
  let crashed = false;
  const pump = async (most = Number.POSITIVE_INFINITY) => {
    for (let i = 0; i < most && (pair.cable.waiting > 0 || i === 0); i++) {
      pair.cable.pump(1);
      if (disk.crashed && !crashed) {
        crashed = true;
        side.alarms.length = 0;
        side.use(inner);
        await pair.restart(side);
        await honest[who].recover();
        pair.connect();
      }
      honest.react();
    }
  };
  await live({ honest, pump }, channelType);
  await pump();
  await honest.settle();
  await honest.expectSettled();
  pair.expectPeace();
  return at < 0 ? disk.commitCount - begun : at + (crashed ? 1 : 0);
}
