/** Every message of the commitment dance lost, repeated or followed by a new link; every commit survived by a crash (BOLT 2 "Message Retransmission"). */
import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { Store } from "../../core/ports/store.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { FaultyStore, type StoreFault } from "../support/faulty-store.ts";
import { HonestPair } from "../support/honest-app.ts";
import { Pair, payment } from "../support/node-pair.ts";

const CHANNEL_TYPES = ["zero_fee_commitments", "anchors", "static_remotekey"] as const;
const FUNDING_MSAT = 1_000_000_000;
const PUSHED_MSAT = 300_000_000;

interface Life {
  readonly honest: HonestPair;
  /** Does the next `count` deliveries, or all. */
  pump(count?: number): Promise<void>;
}

/** Pushes and HTLCs that cross, a fulfilment, a failure, a fee, all half delivered when the next begins. */
async function live({ honest, pump }: Life, channelType: ChannelType): Promise<void> {
  const { a, b } = honest;
  a.push(payment(1_000));
  b.push(payment(2_000, 3));
  await pump(3);
  a.offer(40_000_000, true);
  b.offer(30_000_000, false);
  await pump(4);
  a.push(payment(5_500));
  a.push(payment(100));
  if (channelType !== "zero_fee_commitments") {
    honest.pair.a.node.command(honest.id, { type: "updateFee", feeratePerKw: 1_500 });
  }
  await pump(5);
  b.push(payment(7));
  await pump();
  a.offer(200_000, false); // dust
  b.offer(20_000_000, true);
  await pump(6);
  b.push(payment(900));
  await pump();
}

async function begin(
  channelType: ChannelType,
  disks: { readonly diskA?: Store; readonly diskB?: Store } = {},
): Promise<HonestPair> {
  const pair = await Pair.make(disks);
  const id = await pair.open({ channelType, pushMsat: PUSHED_MSAT });
  return new HonestPair(pair, id, { a: FUNDING_MSAT - PUSHED_MSAT, b: PUSHED_MSAT });
}

/** Runs the life with one fault at delivery `at`; how many deliveries there were. */
async function liveWithFault(
  channelType: ChannelType,
  at: number,
  fault: (pair: Pair) => void,
): Promise<number> {
  const honest = await begin(channelType);
  const { pair } = honest;
  let count = 0;
  const pump = async (most = Number.POSITIVE_INFINITY) => {
    for (let i = 0; i < most && (pair.cable.waiting > 0 || i === 0); i++) {
      if (count++ === at) fault(pair);
      else pair.cable.pump(1);
      honest.react();
    }
  };
  await live({ honest, pump }, channelType);
  await honest.settle();
  await honest.expectSettled();
  pair.expectPeace();
  return count;
}

const faults: Readonly<Record<string, (pair: Pair) => void>> = {
  "lost with all after it, then a new link": (pair) => pair.reconnect(),
  "delivered twice": (pair) => {
    pair.cable.repeat();
    pair.cable.pump(2);
  },
  "followed by a new link beside the old one": (pair) => {
    pair.cable.pump(1);
    pair.connect();
  },
};

describe.each(CHANNEL_TYPES)("%s", (channelType) => {
  test.each(Object.entries(faults))("every message of the dance %s", async (_, fault) => {
    const total = await liveWithFault(channelType, -1, () => {});
    expect(total).toBeGreaterThan(40);
    for (let at = 0; at < total; at++) await liveWithFault(channelType, at, fault);
  });

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
