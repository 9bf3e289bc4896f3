/** A Store that forgets with the process, for browsers, tests and the simulator (core/ports/store.ts). */
import type { CommitOutcome, Store, StoreCommit, StoredChannel } from "../ports/store.ts";
import { toHex } from "../primitives/bytes.ts";
import { ReferenceSet } from "./reference-set.ts";

const NO_DUPLICATES: CommitOutcome = { duplicateCredits: [] };

interface MemoryChannel {
  readonly stored: StoredChannel;
  readonly archive: Uint8Array[];
}

/** Keeps the live record objects, which are immutable; a record is never encoded. */
export class MemoryStore implements Store {
  readonly name = "memory";
  private readonly channels = new Map<string, MemoryChannel>();
  private readonly values = new Map<string, Uint8Array>();
  private readonly credited: ReferenceSet;
  private readonly debited: ReferenceSet;

  /** `seed`: see ReferenceSet. */
  constructor(seed = 0) {
    this.credited = new ReferenceSet(seed);
    this.debited = new ReferenceSet(seed);
  }

  load(): readonly StoredChannel[] {
    const all: StoredChannel[] = [];
    for (const channel of this.channels.values()) {
      all.push({ ...channel.stored, archive: channel.archive.slice() });
    }
    return all;
  }

  commit(change: StoreCommit): CommitOutcome {
    const key = toHex(change.channelId);
    if (change.remove) this.channels.delete(key);
    else this.keep(key, change);
    for (const { key: name, bytes } of change.values ?? []) this.setValue(name, bytes);
    if (change.debits) this.debited.addPacked(change.debits);
    if (!change.credits) return NO_DUPLICATES;
    return { duplicateCredits: this.credited.addPacked(change.credits) };
  }

  isDebited(reference: Uint8Array): boolean {
    return this.debited.has(reference);
  }

  isAnyDebited(payments: Uint8Array): boolean {
    return this.debited.hasAnyPacked(payments);
  }

  isCredited(reference: Uint8Array): boolean {
    return this.credited.has(reference);
  }

  getValue(key: string): Uint8Array | undefined {
    return this.values.get(key)?.slice();
  }

  setValue(key: string, value: Uint8Array): void {
    this.values.set(key, value.slice());
  }

  close(): void {}

  private keep(key: string, change: StoreCommit): void {
    const archive = this.channels.get(key)?.archive ?? [];
    if (change.archive) for (const entry of change.archive) archive.push(entry.slice());
    const { channelId, live } = change;
    this.channels.set(key, { stored: { channelId, record: { live }, archive }, archive });
  }
}
