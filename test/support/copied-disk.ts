/** A disk of which copies are kept: the one that a careless person restores later. */
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { Store, StoreCommit } from "../../core/ports/store.ts";

export class CopiedDisk extends MemoryStore {
  readonly history: StoreCommit[] = [];

  override commit(change: StoreCommit) {
    this.history.push(change);
    return super.commit(change);
  }

  /** As it was after so many commits. */
  asOf(commits: number): Store {
    const copy = new MemoryStore();
    for (const change of this.history.slice(0, commits)) copy.commit(change);
    return copy;
  }
}
