/** What the last blocks confirmed, as a tower knows it: a state may be handed over after the block that has it. */
import type { BlockEvent } from "../../core/ports/chain.ts";
import type { BlockHeight } from "../../core/primitives/brands.ts";

/** As far as blocks are read again after a start; what is older a cheat may have taken already. */
const BLOCKS = 144;
/** A state of many HTLCs comes in several messages: what is found is looked at again until the last of them must be here. */
const LOOKS = 6;

export class RecentHints {
  /** By height: the first 8 bytes of each txid, ascending. */
  readonly #blocks = new Map<number, BigUint64Array>();
  /** Handed over since the last block, so that the blocks before were not asked for it, or found in them: looks to come. */
  readonly #fresh = new Map<bigint, number>();
  /** From here on blocks have to be read again. */
  #from: number | undefined;

  handedOver(hint: Uint8Array): void {
    this.#fresh.set(startOf(hint), LOOKS);
  }

  /** Nothing more is to be found under it. */
  settled(txid: Uint8Array): void {
    this.#fresh.delete(startOf(txid));
  }

  connected({ height, txids = [] }: Pick<BlockEvent, "height" | "txids">): void {
    this.#blocks.set(height, BigUint64Array.from(txids, startOf).sort());
    this.#blocks.delete(height - BLOCKS);
    const handed = BigUint64Array.from(this.#fresh.keys()).sort();
    const found = this.#among(handed);
    for (const [start, at] of found) {
      this.again(at);
      const looks = (this.#fresh.get(start) ?? 1) - 1;
      if (looks > 0) this.#fresh.set(start, looks);
      else this.#fresh.delete(start);
    }
    // What no block has by now is found when one has it.
    for (const start of handed) if (!found.has(start)) this.#fresh.delete(start);
  }

  disconnected(fromHeight: BlockHeight): void {
    for (const height of this.#blocks.keys()) {
      if (height >= fromHeight) this.#blocks.delete(height);
    }
  }

  /** The lowest block that may have what was handed over after it; asked for once. */
  take(): number | undefined {
    const from = this.#from;
    this.#from = undefined;
    return from;
  }

  /** It could not be read. */
  again(height: number): void {
    this.#from = Math.min(height, this.#from ?? height);
  }

  /** Those that a block has, with its height; the shorter list is looked up in the longer one, for either may be very long. */
  #among(handed: BigUint64Array): Map<bigint, number> {
    const found = new Map<bigint, number>();
    if (handed.length === 0) return found;
    for (const [height, starts] of this.#blocks) {
      const [few, many] = handed.length < starts.length ? [handed, starts] : [starts, handed];
      for (const start of few) if (has(many, start)) found.set(start, height);
    }
    return found;
  }
}

function startOf(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
}

function has(ascending: BigUint64Array, wanted: bigint): boolean {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] as bigint) < wanted) low = middle + 1;
    else high = middle;
  }
  return ascending[low] === wanted;
}
