/** A light client of production code beside every world: it follows the chain of most work and nothing that lacks proof of work, whatever it is offered (rule `device-trusts-nobody`). */
import {
  blockHash,
  extendHeaderChain,
  genesisCheckpoint,
  type HeaderChain,
  headerAt,
  startHeaderChain,
} from "../../../core/chain/headers.ts";
import { REGTEST } from "../../../core/chain/networks.ts";
import { equal } from "../../../core/primitives/bytes.ts";
import type { SimBlock } from "../../chain/sim-chain.ts";
import type { World } from "../world.ts";
import type { MakeChecker } from "./checker.ts";

const TIME_AT = 68;
const NONCE_AT = 76;

export const lightClient: MakeChecker = (world, complain) => {
  let chain: HeaderChain | undefined;
  return {
    step: () => {
      const tip = world.chain.block(world.height) as SimBlock;
      chain ??= begin(world);
      if (equal(chain.tip.hash, tip.hash)) return;
      const stale = staleHeaders(world, chain);
      const fresh = headersFrom(world, chain.tip.height - stale.length + 1);
      const taken = extendHeaderChain(world.crypto, chain, fresh);
      if (!taken.ok) return complain(`the chain of most work was refused: ${taken.reason}`);
      chain = taken.chain;
      for (const [name, headers] of lies(world, stale)) {
        const lied = extendHeaderChain(world.crypto, chain, headers);
        if (lied.ok && lied.connected.length > 0) complain(`a light client took ${name}`);
      }
    },
  };
};

function begin(world: World): HeaderChain {
  const empty = startHeaderChain(world.crypto, REGTEST, genesisCheckpoint(REGTEST));
  const all = extendHeaderChain(world.crypto, empty, headersFrom(world, 1));
  return all.ok ? all.chain : empty;
}

/** Of the client's chain, those that a reorganisation took out of the world's. */
function staleHeaders(world: World, chain: HeaderChain): readonly Uint8Array[] {
  const stale: Uint8Array[] = [];
  for (let { height } = chain.tip; ; height--) {
    const ours = headerAt(chain, height);
    const theirs = world.chain.block(height)?.header;
    if (!ours || (theirs && equal(ours, theirs))) return stale;
    stale.unshift(ours.slice());
  }
}

function headersFrom(world: World, from: number): readonly Uint8Array[] {
  const count = Math.max(0, world.height - from + 1);
  return Array.from({ length: count }, (_, i) => (world.chain.block(from + i) as SimBlock).header);
}

/** What a liar would offer to one that knows the chain by now. */
function lies(world: World, stale: readonly Uint8Array[]) {
  const forged = ["a header without proof of work", [forgedHeader(world)]] as const;
  return stale.length > 0 ? [["a branch of less work", stale] as const, forged] : [forged];
}

/** On top of the chain; on regtest every second hash is good enough. */
function forgedHeader(world: World): Uint8Array {
  const { header, hash } = world.chain.block(world.height) as SimBlock;
  const forged = header.slice();
  const view = new DataView(forged.buffer);
  forged.set(hash, 4);
  view.setUint32(TIME_AT, view.getUint32(TIME_AT, true) + 600, true);
  for (let nonce = 0; ; nonce++) {
    view.setUint32(NONCE_AT, nonce, true);
    const last = blockHash(world.crypto, forged).at(-1) as number;
    if (last >= 0x80) return forged;
  }
}
