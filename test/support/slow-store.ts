/** A Store that answers later, as a database does: commits become durable some turns of the event loop after they were asked for. */
import type { CommitOutcome, Store, StoreCommit, StoredChannel } from "../../core/ports/store.ts";

const TURNS = 3;

export class SlowStore implements Store {
  constructor(private readonly inner: Store) {}

  get name(): string {
    return `slow:${this.inner.name}`;
  }

  async load(): Promise<readonly StoredChannel[]> {
    await later();
    return this.inner.load();
  }

  async commit(change: StoreCommit): Promise<CommitOutcome> {
    await later();
    return this.inner.commit(change);
  }

  async isDebited(reference: Uint8Array): Promise<boolean> {
    await later();
    return this.inner.isDebited(reference);
  }

  async isCredited(reference: Uint8Array): Promise<boolean> {
    await later();
    return this.inner.isCredited(reference);
  }

  async getValue(key: string): Promise<Uint8Array | undefined> {
    await later();
    return this.inner.getValue(key);
  }

  async setValue(key: string, value: Uint8Array): Promise<void> {
    await later();
    return this.inner.setValue(key, value);
  }

  close(): Promise<void> | void {
    return this.inner.close();
  }
}

async function later(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await Promise.resolve();
}
