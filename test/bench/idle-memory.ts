/** What a node and its idle channel take in memory: nodes in this process, after a collection of garbage. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { BenchNode, BenchPair } from "./pair.ts";
import type { PartBench, PartRequest } from "./parts.ts";

const PAIRS = 100;

export async function takeIdleMemory({ crypto, quick }: PartRequest): Promise<PartBench> {
  const pairs = quick ? 10 : PAIRS;
  await openAll(crypto, 3); // compiles what the next ones need
  const node = await bytesOf(2 * pairs, () => startAll(crypto, 2 * pairs));
  const withChannel = await bytesOf(2 * pairs, () => openAll(crypto, pairs));
  const bytes = { node: Math.round(node), channel: Math.round(withChannel - node) };
  const row = (name: string, value: number) =>
    `  ${name.padEnd(36)}${`${(value / 1000).toFixed(1)} KB`.padStart(12)}`;
  return {
    json: { idle_memory: { node_bytes: bytes.node, channel_bytes: bytes.channel } },
    table: [
      `memory of ${2 * pairs} idle nodes in this process, stores in memory`,
      row("a node without a channel", bytes.node),
      row("its channel and its session", bytes.channel),
    ].join("\n"),
  };
}

async function bytesOf(count: number, make: () => Promise<readonly unknown[]>): Promise<number> {
  const before = used();
  const kept = await make();
  const bytes = (used() - before) / count;
  return kept.length > 0 ? bytes : 0;
}

function used(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let i = 0; i < 3; i++) collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function startAll(crypto: Crypto, count: number): Promise<readonly BenchNode[]> {
  const all = Array.from({ length: count }, () => new BenchNode(crypto, 1, new MemoryStore()));
  for (const one of all) await one.start();
  return all;
}

async function openAll(crypto: Crypto, count: number): Promise<readonly BenchPair[]> {
  const all: BenchPair[] = [];
  for (let i = 0; i < count; i++) {
    const stores = { payer: new MemoryStore(), payee: new MemoryStore() };
    all.push(await BenchPair.open({ payer: crypto, payee: crypto }, stores));
  }
  return all;
}
