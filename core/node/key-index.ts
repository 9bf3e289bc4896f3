/** The counter of channel keys: no index serves twice (rule `key-index-once`), or a secret that was revealed in one channel would open the next (BOLT 3). */
import type { Store } from "../ports/store.ts";

const KEY = "next-key-index";
/** The record's field has 32 bits. */
const MAX_INDEX = 0xffff_ffff;
/** With a range, so many are taken out of it at a time, before they are used: no record here may tell of them later. */
const RESERVED = 64;

/** Processes that share a node's seed have a range each: `from` is in it, `below` is not. */
export interface KeyIndexRange {
  readonly from: number;
  readonly below: number;
}

export class KeyIndices {
  private constructor(
    private readonly store: Store,
    private readonly range: KeyIndexRange | undefined,
    private kept: number,
    private nextIndex: number,
    private readonly isDamaged: boolean,
  ) {}

  /** The next free index as far as the store knows: without a range, records hold their own. */
  static async load(store: Store, range?: KeyIndexRange): Promise<KeyIndices> {
    const bytes = await store.getValue(KEY);
    const isDamaged = bytes !== undefined && bytes.length !== 4;
    const kept =
      bytes && !isDamaged ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) : 0;
    return new KeyIndices(store, range, kept, Math.max(kept, range?.from ?? 0), isDamaged);
  }

  /** Why no index is given out, where the store does not tell which were. */
  get fault(): string | undefined {
    if (!this.isDamaged) return undefined;
    return `the counter of channel keys (${KEY}) is damaged in the store: the channels that are there go on, and no new one is opened, for a key must not serve twice; restore the newest backup of the store to open channels again`;
  }

  get next(): number {
    return this.nextIndex;
  }

  get isUsedUp(): boolean {
    const { range, kept } = this;
    if (this.isDamaged) return true;
    return this.nextIndex >= (range ? Math.min(range.below, kept) : MAX_INDEX);
  }

  take(): number {
    return this.nextIndex++;
  }

  /** That of a record: it never serves again. */
  seen(index: number): void {
    if (!this.range) this.nextIndex = Math.max(this.nextIndex, index + 1);
  }

  /** Keeps those of channels that are long gone from being used again. */
  async keep(): Promise<void> {
    const { range, kept, nextIndex } = this;
    if (this.isDamaged) return; // what is there is not written over
    if (range ? nextIndex + RESERVED / 2 < kept : nextIndex <= kept) return;
    const upTo = range ? nextIndex + RESERVED : nextIndex;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, upTo);
    await this.store.setValue(KEY, bytes);
    this.kept = Math.max(this.kept, upTo);
  }
}
