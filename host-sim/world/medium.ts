/** What outlives a node's power cuts: its store, of which an older image may come back. */
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { CommitOutcome, Store, StoreCommit, StoredChannel } from "../../core/ports/store.ts";

export interface Medium extends Store {
  isDebited(reference: Uint8Array): boolean;
  isCredited(reference: Uint8Array): boolean;
  /** Also before an older image came back: what was paid stays paid. */
  wasDebited(reference: Uint8Array): boolean;
  wasCredited(reference: Uint8Array): boolean;
  /** Before a run reads it; power may fail at one of the first steps of that. */
  powerOn(failIn?: number, seed?: number): void;
  /** Power fails in the middle of the write that is so many steps ahead; false where writes have no middle. */
  cutIn(steps: number, seed: number): boolean;
  /** All that it holds, for `restore`: a copy of the disk that comes back later. */
  image(): unknown;
  restore(image: unknown): void;
}

type Write = (store: MemoryStore) => void;

/** A file whose commits are atomic, as SQLite's are. */
export class FileMedium implements Medium {
  readonly name = "file";
  private file: MemoryStore;
  private readonly former: MemoryStore[] = [];
  /** Everything that was ever written: an image is how much of it there was. */
  private readonly journal: Write[] = [];

  constructor(private readonly seed: number) {
    this.file = new MemoryStore(seed);
  }

  powerOn(): void {}

  cutIn(): boolean {
    return false;
  }

  image(): unknown {
    return this.journal.length;
  }

  restore(image: unknown): void {
    this.former.push(this.file);
    this.journal.length = image as number;
    this.file = new MemoryStore(this.seed);
    for (const write of this.journal) write(this.file);
  }

  load(): readonly StoredChannel[] {
    return this.file.load();
  }

  commit(change: StoreCommit): CommitOutcome {
    const copy = { ...change, ...copied(change, "credits"), ...copied(change, "debits") };
    this.journal.push((store) => void store.commit(copy));
    return this.file.commit(change);
  }

  isDebited(reference: Uint8Array): boolean {
    return this.file.isDebited(reference);
  }

  isCredited(reference: Uint8Array): boolean {
    return this.file.isCredited(reference);
  }

  wasDebited(reference: Uint8Array): boolean {
    return [this.file, ...this.former].some((one) => one.isDebited(reference));
  }

  wasCredited(reference: Uint8Array): boolean {
    return [this.file, ...this.former].some((one) => one.isCredited(reference));
  }

  getValue(key: string): Uint8Array | undefined {
    return this.file.getValue(key);
  }

  setValue(key: string, value: Uint8Array): void {
    const copy = value.slice();
    this.journal.push((store) => store.setValue(key, copy));
    this.file.setValue(key, value);
  }

  close(): void {}
}

function copied(change: StoreCommit, name: "credits" | "debits"): Partial<StoreCommit> {
  const bytes = change[name];
  return bytes ? { [name]: bytes.slice() } : {};
}
