/** A node's store as one run of it sees it: slow, refusing, full, and gone with the power before, in or after any write. */
import { StoreError } from "../../core/node/store-error.ts";
import type { CommitOutcome, Store, StoreCommit, StoredChannel } from "../../core/ports/store.ts";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { PowerCut } from "../flash/nor-flash.ts";
import { never, type Power } from "./power.ts";

export interface DiskFaults {
  /** Writes wait until the world lets them happen. */
  slow: boolean;
  /** So many writes from now on are refused. */
  refusing: number;
  /** No room is left for anything but an ending. */
  full: boolean;
  /** Says that a commit is durable, and does nothing: a bug of the disk, planted to be caught. */
  loses(change: StoreCommit): boolean;
}

export class SimDisk implements Store {
  readonly name = "sim-disk";
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly inner: Store,
    private readonly power: Power,
    private readonly faults: DiskFaults,
  ) {}

  get suspects(): readonly ChannelId[] {
    return this.inner.suspects ?? [];
  }

  get pending(): number {
    return this.waiting.length;
  }

  load(): Promise<readonly StoredChannel[]> {
    return this.later(() => this.inner.load());
  }

  commit(change: StoreCommit): Promise<CommitOutcome> | CommitOutcome {
    if (!this.power.spend()) return never();
    if (this.faults.refusing > 0) {
      this.faults.refusing--;
      throw new Error("the disk refused this commit (a fault of the world)");
    }
    if (this.faults.full && !change.remove) throw full();
    const write = () =>
      this.faults.loses(change) ? { duplicateCredits: [] } : this.inner.commit(change);
    if (this.faults.slow) return this.later(write);
    const outcome = this.whole(write);
    return this.power.spend() ? outcome : never();
  }

  isDebited(reference: Uint8Array): Promise<boolean> | boolean {
    return this.asked(() => this.inner.isDebited(reference));
  }

  isCredited(reference: Uint8Array): Promise<boolean> | boolean {
    return this.asked(() => this.inner.isCredited(reference));
  }

  getValue(key: string): Promise<Uint8Array | undefined> | Uint8Array | undefined {
    return this.asked(() => this.inner.getValue(key));
  }

  setValue(key: string, value: Uint8Array): Promise<void> | void {
    if (!this.power.spend()) return never();
    if (this.faults.full) throw full();
    return this.asked(() => this.inner.setValue(key, value));
  }

  close(): void {}

  /** Lets the oldest writes and reads happen, at most so many. */
  release(most: number): void {
    for (const work of this.waiting.splice(0, most)) work();
  }

  /** The power went: of what waited the first are on the disk, and nobody hears of it. */
  lose(kept: number): void {
    this.release(kept);
    this.waiting.length = 0;
  }

  private asked<T>(read: () => Promise<T> | T): Promise<T> | T {
    if (!this.power.isOn) return never();
    return this.faults.slow ? this.later(read) : this.whole(read);
  }

  /** Flash may lose its power in the middle of a write: the run ends there. */
  private whole<T>(work: () => T | Promise<T>): T | Promise<T> {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
      this.power.cut();
      return never();
    }
  }

  private later<T>(work: () => Promise<T> | T): Promise<T> {
    if (!this.power.isOn) return never();
    if (!this.faults.slow) return Promise.resolve(this.whole(work));
    return new Promise((resolve, reject) => {
      this.waiting.push(() => {
        try {
          const done = this.whole(work);
          if (this.power.spend()) resolve(done);
          // What the flash had left to say, without power, concerns nobody.
          else if (done instanceof Promise) done.catch(() => {});
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}

function full(): StoreError {
  return new StoreError("full", "the disk is full (a fault of the world)");
}
