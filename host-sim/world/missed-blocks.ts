/** How many blocks may come now: nobody is kept from the chain for so long that it could lose by it. */
import { LIAR } from "./options.ts";
import type { World } from "./world.ts";

/** A node that misses more may be too late for a penalty or an HTLC, and knows it: it is none of the promises. */
const MAX_MISSED_BLOCKS = 10;

export class MissedBlocks {
  /** Height at which each node last had heard of every block. */
  private readonly since: number[] = [];

  constructor(private readonly world: World) {}

  /** A node that was held back for too long hears of the others first. */
  allowed(): number {
    const { height, nodes, sleep, blocksLeft, chainLiar, options } = this.world;
    let allowed = blocksLeft;
    for (const node of nodes) {
      const { index, gate } = node;
      const missed = height - (this.since[index] ?? height);
      if (index === sleep?.index) continue;
      if (gate.isClosed && missed >= MAX_MISSED_BLOCKS) gate.open();
      const isInVain = options.gateways[index] === LIAR && chainLiar?.isWithoutService;
      if (node.hearsOf(height) && !isInVain) this.heard(index);
      else allowed = Math.min(allowed, MAX_MISSED_BLOCKS - missed);
    }
    return Math.max(0, allowed);
  }

  heard(index: number): void {
    this.since[index] = this.world.height;
  }
}
