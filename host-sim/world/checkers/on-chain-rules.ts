/** What the chain shows when everything has settled: who publishes a commitment waits for its whole delay, and nobody is told "failed" of an HTLC whose preimage was taken. */
import { toHex } from "../../../core/primitives/bytes.ts";
import type { SimChain } from "../../chain/sim-chain.ts";
import { SHORT_DELAYS } from "../actors/policies.ts";
import type { MakeChecker } from "./checker.ts";

const OP_IF = 0x63;
const OP_ELSE = 0x67;
/** OP_IF, a key, OP_ELSE: how the script of to_local begins (BOLT 3). */
const ELSE_AT = 1 + 34;

export const delays: MakeChecker = (world, complain) => ({
  end: () => {
    const asked = world.nodes.map(({ policy }) => policy.toSelfDelay ?? SHORT_DELAYS.toSelfDelay);
    const least = Math.min(...asked);
    for (const { witness, age } of spends(world.chain)) {
      const script = witness.at(-1);
      const isDelayed = script?.[0] === OP_IF && script[ELSE_AT] === OP_ELSE;
      const isByOwner = witness.length === 3 && witness[1]?.length === 0;
      if (!isDelayed || !isByOwner || age >= least) continue;
      complain(`an output was taken after ${age} blocks of ${least}`);
    }
  },
});

/** The preimages that the chain shows, to whom they concern. */
export function shownPreimages(chain: SimChain): ReadonlySet<string> {
  const all = new Set<string>();
  for (const { witness } of spends(chain)) {
    for (const item of witness) if (item.length === 32) all.add(toHex(item));
  }
  return all;
}

interface SpendOf {
  readonly witness: readonly Uint8Array[];
  /** Blocks from the one that holds the output to the one that spends it. */
  readonly age: number;
}

function spends(chain: SimChain): readonly SpendOf[] {
  const found: SpendOf[] = [];
  for (let height = 1; height <= chain.height; height++) {
    const block = chain.block(height);
    const spent = new Map(block?.spent ?? []);
    for (const { parsed, spends: keys } of block?.transactions.slice(1) ?? []) {
      parsed.inputs.forEach(({ witness }, i) => {
        const coin = spent.get(keys[i] as string);
        if (coin) found.push({ witness, age: height - coin.height });
      });
    }
  }
  return found;
}
