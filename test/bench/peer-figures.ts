/** The bench's rows for HTLC payments beside the peer's: LDK and ours in turn, in one process, so that a busy machine disturbs both. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Store } from "../../core/ports/store.ts";
import { openSqliteStore } from "../../gateway/store/sqlite-store.ts";
import { median, threadMillis } from "./measure.ts";
import { BenchPair } from "./pair.ts";
import type { PartBench, PartRequest } from "./parts.ts";
import { Purse, payByHtlcs } from "./payments.ts";
import { LDK_AT_ONCE, LdkPair } from "./peer.ts";

const ROUNDS = 5;
/** In one round: a payment of LDK takes tens of milliseconds. */
const LDK_ONE_BY_ONE = 8;
const OWN_ONE_BY_ONE = 40;

interface Way {
  readonly name: string;
  /** Of one run. */
  readonly payments: number;
  /** Prepares them untimed, then pays them inside of `timed`. */
  run(timed: (work: () => Promise<void>) => Promise<void>): Promise<void>;
}

interface Stores {
  readonly payer: Store;
  readonly payee: Store;
}

interface Rate {
  /** Payments per second, by the clock. */
  readonly perSecond: number;
  /** Milliseconds of processor time of one payment, both nodes together. */
  readonly threadMs: number;
}

export async function takePeerFigures({ crypto, quick }: PartRequest): Promise<PartBench> {
  const folder = mkdtempSync(join(tmpdir(), "picobolt-bench-"));
  const stores = {
    payer: openSqliteStore(join(folder, "payer.db")),
    payee: openSqliteStore(join(folder, "payee.db")),
  };
  try {
    const ldk = await LdkPair.open(crypto);
    const memory = { payer: new MemoryStore(), payee: new MemoryStore() };
    const inMemory = await ownWays(crypto, memory, "in memory");
    const durable = await ownWays(crypto, stores, "durable");
    const ways = [
      peerWay(ldk, "LDK, one at a time", 1),
      peerWay(ldk, `LDK, ${LDK_AT_ONCE} at once`, LDK_AT_ONCE),
      ...[inMemory, durable].flatMap(({ sequential, concurrent }) => [sequential, concurrent]),
    ];
    return report(ways, (await rates(ways, quick ? 1 : ROUNDS)) as unknown as PeerRates);
  } finally {
    await stores.payer.close();
    await stores.payee.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface OwnWays {
  readonly sequential: Way;
  readonly concurrent: Way;
}

function peerWay(pair: LdkPair, name: string, atOnce: number): Way {
  const payments = atOnce === 1 ? LDK_ONE_BY_ONE : atOnce;
  return {
    name,
    payments,
    async run(timed) {
      const all = pair.purse(payments);
      const groups = atOnce === 1 ? all.map((one) => [one]) : [all];
      await timed(async () => {
        for (const group of groups) await pair.pay(group);
      });
    },
  };
}

/** Ours, with as many at once as LDK has. */
async function ownWays(crypto: Crypto, stores: Stores, where: string): Promise<OwnWays> {
  const pair = await BenchPair.open({ payer: crypto, payee: crypto }, stores);
  const purse = new Purse();
  const way = (name: string, payments: number, atOnce: number): Way => ({
    name: `picobolt ${where}, ${name}`,
    payments,
    async run(timed) {
      const all = Array.from({ length: payments }, () => purse.htlc(crypto));
      await timed(() => payByHtlcs(pair, all, atOnce));
    },
  });
  return {
    sequential: way("one at a time", OWN_ONE_BY_ONE, 1),
    concurrent: way(`${LDK_AT_ONCE} at once`, LDK_AT_ONCE, LDK_AT_ONCE),
  };
}

/** All ways in turn, round by round; the median of each. */
async function rates(ways: readonly Way[], rounds: number): Promise<readonly Rate[]> {
  const runs = ways.map((): Rate[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, { payments, run }] of ways.entries()) {
      await run(async (work) => {
        const begin = performance.now();
        const thread = threadMillis();
        await work();
        const threadMs = (threadMillis() - thread) / payments;
        const perSecond = (payments * 1000) / (performance.now() - begin);
        // The first round warms up.
        if (round > 0) runs[i]?.push({ perSecond, threadMs });
      });
    }
  }
  return runs.map((all) => ({
    perSecond: median(all.map(({ perSecond }) => perSecond)),
    threadMs: median(all.map(({ threadMs }) => threadMs)),
  }));
}

type PeerRates = readonly [Rate, Rate, Rate, Rate, Rate, Rate];

function report(ways: readonly Way[], rates: PeerRates): PartBench {
  const [sequential, concurrent, ...own] = rates;
  const [ownSequential, ownConcurrent, durableSequential, durableConcurrent] = own;
  const times = (ours: Rate, theirs: Rate) => theirs.threadMs / ours.threadMs;
  const row = (name: string, ...cells: readonly string[]) =>
    `  ${name.padEnd(34)}${cells.map((cell) => cell.padStart(14)).join("")}`;
  const rows = ways.map(({ name }, i) => {
    const rate = rates[i] as Rate;
    const peer = i % 2 === 0 ? sequential : concurrent;
    const cells = [rate.perSecond.toFixed(1), rate.threadMs.toFixed(2)];
    return row(name, ...cells, i < 2 ? "" : `${times(rate, peer).toFixed(1)}x`);
  });
  const per = ({ perSecond }: Rate) => Number(perSecond.toFixed(1));
  return {
    json: {
      peer: {
        ldk_sequential: per(sequential),
        ldk_concurrent: per(concurrent),
        own_sequential: per(ownSequential),
        own_concurrent: per(ownConcurrent),
        own_durable_sequential: per(durableSequential),
        own_durable_concurrent: per(durableConcurrent),
        times_sequential: Number(times(ownSequential, sequential).toFixed(2)),
        times_concurrent: Number(times(ownConcurrent, concurrent).toFixed(2)),
      },
    },
    table: [
      "HTLC payments beside LDK (rust-lightning in WebAssembly, two nodes in this process, no disk)",
      row("from the command to the last revocation", "per second", "CPU ms", "to LDK by CPU"),
      ...rows,
    ].join("\n"),
  };
}
