/** Every block of a simulated chain in the order in which it was mined, those included that a reorganisation took away again. */
import { toHex } from "../../core/primitives/bytes.ts";
import type { SimBlock, SimChain } from "../../host-sim/chain/sim-chain.ts";

export class ChainLog {
  readonly blocks: SimBlock[] = [];
  /** Hashes of the branch as it was last seen, by height. */
  private readonly branch: string[] = [];
  /** Times that blocks left the chain. */
  reorganisations = 0;

  constructor(private readonly chain: SimChain) {
    this.look();
    this.reorganisations = 0;
    chain.onChange(() => this.look());
  }

  private look(): void {
    const { branch, chain } = this;
    let known = Math.min(branch.length, chain.height + 1);
    while (known > 0 && branch[known - 1] !== this.hashAt(known - 1)) known--;
    if (known < branch.length) this.reorganisations++;
    branch.length = known;
    for (let height = known; height <= chain.height; height++) {
      branch.push(this.hashAt(height));
      if (height > 0) this.blocks.push(blockOf(chain, height));
    }
  }

  private hashAt(height: number): string {
    return toHex(blockOf(this.chain, height).hash);
  }
}

function blockOf(chain: SimChain, height: number): SimBlock {
  const block = chain.block(height);
  if (!block) throw new RangeError(`there is no block ${height}`);
  return block;
}
