/** One simulated world, lived to its end and then told to a real node: the same blocks are valid there, and every coin is the same. */
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { toDisplay } from "../../gateway/chain/bitcoind/units.ts";
import type { SimChain } from "../../host-sim/chain/sim-chain.ts";
import { runWorld } from "../../host-sim/world/run.ts";
import { World } from "../../host-sim/world/world.ts";
import { ChainLog } from "./chain-log.ts";
import { type Ending, endingsOf } from "./kinds.ts";
import { type CoinLine, coinLine, type Mirror } from "./mirror.ts";

export interface Replayed {
  readonly seed: number;
  readonly endings: readonly Ending[];
  readonly blocks: number;
  readonly reorganisations: number;
  /** In the chain at the end, coinbases left out. */
  readonly transactions: number;
  /** Unspent outputs that both have. */
  readonly coins: number;
  /** What the nodes own at the end. */
  readonly satoshis: number;
  /** Where the real node does not agree. */
  readonly failure?: string;
  /** A promise that the world itself broke (npm run sim): the chain has to be right all the same. */
  readonly broken?: string;
}

export async function replayWorld(seed: number, mirror: Mirror): Promise<Replayed> {
  const { world, log, broken } = await lived(seed);
  const result = {
    seed,
    endings: endingsOf(world),
    blocks: log.blocks.length,
    ...figuresOf(world),
    reorganisations: log.reorganisations,
    ...(broken !== undefined && { broken }),
  };
  try {
    await mirror.replay(log.blocks);
    const there = await mirror.coins(scriptsOf(log));
    const here = coinsOf(world.chain);
    const difference = firstDifference(here, there);
    return difference === undefined ? result : { ...result, failure: difference };
  } catch (cause) {
    return { ...result, failure: (cause as Error).message };
  }
}

/** A world at its end, with all its blocks. `runWorld` hands it to nobody: it is caught on the way. */
export async function lived(
  seed: number,
): Promise<{ world: World; log: ChainLog; broken: string | undefined }> {
  const make = World.make;
  let seen: { world: World; log: ChainLog } | undefined;
  World.make = async (...given) => {
    const world = await make.apply(World, given);
    seen = { world, log: new ChainLog(world.chain) };
    return world;
  };
  try {
    const { failure } = await runWorld(seed);
    if (!seen) throw new Error(`world ${seed} was never made`);
    return { ...seen, broken: failure && `${failure.checker}: ${failure.text}` };
  } finally {
    World.make = make;
  }
}

function figuresOf(world: World) {
  let transactions = 0;
  for (let height = 1; height <= world.chain.height; height++) {
    transactions += (world.chain.block(height)?.transactions.length ?? 1) - 1;
  }
  let coins = 0;
  let satoshis = 0;
  for (const [, { output, coinbase }] of world.chain.coins()) {
    if (!coinbase) coins++;
    const owner = world.nodes.find(
      ({ wallet, payoutScript }) =>
        wallet.owns(output.script) || toHex(payoutScript) === toHex(output.script),
    );
    if (owner) satoshis += output.amount;
  }
  return { transactions, coins, satoshis };
}

/** All that anything was ever paid to, in branches that were left too. */
function scriptsOf({ blocks }: ChainLog): readonly Uint8Array[] {
  const scripts = new Set<string>();
  for (const { transactions } of blocks) {
    for (const { scripts: made } of transactions.slice(1)) {
      for (const script of made) if (!script.startsWith("6a")) scripts.add(script);
    }
  }
  return [...scripts].map(fromHex);
}

function coinsOf(chain: SimChain): readonly CoinLine[] {
  const lines: CoinLine[] = [];
  for (const [key, { output, height, coinbase }] of chain.coins()) {
    if (coinbase) continue;
    const txid = toDisplay(fromHex(key.slice(0, 64)));
    lines.push(coinLine(txid, Number(key.slice(65)), output.amount, height));
  }
  return lines.sort();
}

function firstDifference(here: readonly CoinLine[], there: readonly CoinLine[]) {
  const known = new Set(here);
  const found = new Set(there);
  const missing = here.find((line) => !found.has(line));
  if (missing !== undefined) return `the real node has no coin ${missing}`;
  const more = there.find((line) => !known.has(line));
  return more === undefined ? undefined : `the simulated chain has no coin ${more}`;
}
