/** Two nodes under random commands, deliveries, lost links and crashes: the invariants of DESIGN §7 hold, and all settles (rule `honest-peer-never-force-closed`). */
import { describe, test } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { FaultyStore, type StoreFault } from "../support/faulty-store.ts";
import { HonestPair } from "../support/honest-app.ts";
import { breath, Pair, payment, type TestNode } from "../support/node-pair.ts";
import { Random } from "../support/random.ts";
import { SlowStore } from "../support/slow-store.ts";

const DEFAULT_RUNS = 40;
const STEPS = 80;
const FUNDING_MSAT = 1_000_000_000;
const PUSHED_MSAT = 400_000_000;
/** Seeds that found bugs once. */
const KEPT: readonly number[] = [];
const { PICOBOLT_SEED: given, PICOBOLT_RUNS: wanted } = process.env;
const first = Number(given ?? 1);
const runs = Number(wanted ?? (given === undefined ? DEFAULT_RUNS : 1));
const seeds = Array.from({ length: runs }, (_, i) => first + i);

const CHANNEL_TYPES = ["zero_fee_commitments", "anchors", "static_remotekey"] as const;

describe.each(CHANNEL_TYPES)("%s", (channelType) => {
  test(`${runs} random lives from seed ${first}`, { timeout: 10_000 + runs * 5_000 }, async () => {
    for (const seed of [...KEPT, ...seeds]) {
      try {
        await live(channelType, new Random(seed));
      } catch (cause) {
        throw new Error(`seed ${seed}: run again with PICOBOLT_SEED=${seed}`, { cause });
      }
    }
  });
});

/** A store whose next commit may end the process. */
class Disk {
  readonly inner = new MemoryStore();
  next: StoreFault | undefined;
  faulty!: FaultyStore;

  constructor(private readonly slow: boolean) {}

  fresh(): FaultyStore {
    this.next = undefined;
    const disk = this.slow ? new SlowStore(this.inner) : this.inner;
    this.faulty = new FaultyStore(disk, () => {
      const fault = this.next;
      this.next = undefined;
      if (fault !== undefined && fault !== "refuse") this.onCrash();
      return fault;
    });
    return this.faulty;
  }

  onCrash: () => void = () => {};
}

async function live(channelType: ChannelType, random: Random): Promise<void> {
  const disks = { a: new Disk(random.below(2) === 0), b: new Disk(random.below(2) === 0) };
  const pair = await Pair.make({ diskA: disks.a.fresh(), diskB: disks.b.fresh() });
  const id = await pair.open({ channelType, pushMsat: PUSHED_MSAT });
  const start = { a: FUNDING_MSAT - PUSHED_MSAT, b: PUSHED_MSAT };
  const honest = new HonestPair(pair, id, start);
  for (const disk of [disks.a, disks.b]) {
    disk.onCrash = () => {
      pair.cable.cut = true;
    };
  }
  for (let step = 0; step < STEPS; step++) {
    await act(honest, disks, random, channelType);
    if (random.below(2) === 0) await breath();
    for (const who of ["a", "b"] as const) await reviveIfDead(honest, who, disks[who]);
    honest.react();
  }
  disks.a.next = undefined;
  disks.b.next = undefined;
  await pair.flow();
  for (const who of ["a", "b"] as const) await reviveIfDead(honest, who, disks[who]);
  await honest.settle();
  await honest.expectSettled();
}

async function act(
  honest: HonestPair,
  disks: { readonly a: Disk; readonly b: Disk },
  random: Random,
  channelType: ChannelType,
): Promise<void> {
  const { pair, id } = honest;
  const who = random.oneOf(["a", "b"] as const);
  const app = honest[who];
  const dice = random.below(100);
  if (dice < 55) pair.cable.pump(1 + random.below(6));
  else if (dice < 72) app.push(payment(1 + random.below(2_000_000), 1 + random.below(4)));
  else if (dice < 82) app.offer(random.oneOf([1_000, 300_000, 20_000_000]), random.below(3) > 0);
  else if (dice < 86) app.retry();
  else if (dice < 89 && channelType !== "zero_fee_commitments") {
    const feeratePerKw = 500 + random.below(1_500);
    pair.a.node.command(id, { type: "updateFee", feeratePerKw });
  } else if (dice < 93) random.below(2) === 0 ? pair.reconnect() : pair.connect();
  else if (dice < 95) pair.disconnect();
  else if (dice < 97) pair.mine(1);
  else disks[who].next = random.oneOf(["crash-before", "crash-after", "refuse"] as const);
}

async function reviveIfDead(honest: HonestPair, who: "a" | "b", disk: Disk): Promise<void> {
  if (!disk.faulty.crashed) return;
  const { pair } = honest;
  const side: TestNode = pair[who];
  side.use(disk.fresh());
  await pair.restart(side);
  await honest[who].recover();
  pair.connect();
}
