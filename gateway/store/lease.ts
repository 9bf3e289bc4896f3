/** Which process runs which channels: leases of peers' channels, with fencing numbers (issue 4 "Store"). */
import type { KeyIndexRange } from "../../core/node/key-index.ts";
import type { Store, StoredChannel } from "../../core/ports/store.ts";
import { toHex } from "../../core/primitives/bytes.ts";

/**
 * What is leased as one: the node id of a peer, with all of its channels. A channel's commit by a process that does not
 * hold its subject's lease fails with the StoreError "fenced".
 */
export type Subject = Uint8Array;

export interface TakenLease {
  readonly subject: Subject;
  /** The worker that had it before; its values (chain height …) tell how far it came. */
  readonly from?: string | undefined;
}

export interface LeaseEvents {
  /** These are ours from now on: their channels are to be read from the store and run. */
  taken(leases: readonly TakenLease[]): void;
  /** Others have or may have them: their channels must fall silent at once, nothing more can be stored. */
  lost(subjects: readonly Subject[], reason: string): void;
  /** Others have too few: stop these channels, then call `release`. */
  asked(subjects: readonly Subject[]): void;
}

export interface WorkerState {
  readonly name: string;
  readonly isAlive: boolean;
  readonly leases: number;
}

export interface LeaseTable {
  /** The name of this process among those of one database. */
  readonly worker: string;
  held(): readonly Subject[];
  /** False as soon as, by our own clock, the lease may have run out. */
  isHeld(subject: Subject): boolean;
  /** Takes a lease that nobody has; false where another process holds it. */
  acquire(subject: Subject): Promise<boolean>;
  /** Gives leases away, at once: their channels no longer run here. */
  release(subjects: readonly Subject[]): Promise<void>;
  /** The name of the process that runs the channels of this subject. */
  holderOf(subject: Subject): Promise<string | undefined>;
  workers(): Promise<readonly WorkerState[]>;
  /** Renews the leases and takes what is free, from now on until the store is closed. */
  start(events: LeaseEvents): void;
  /** One turn of that, for whoever does not want to wait. */
  beat(): Promise<void>;
}

/** A Store that several processes may open, each for the channels of its leases. */
export interface LeasedStore extends Store {
  readonly leases: LeaseTable;
  /** The channel keys of this process alone, for Node.start: they follow its name. */
  readonly keyIndices: KeyIndexRange;
  /** The channels of these subjects, where we hold their leases. */
  loadOf(subjects: readonly Subject[]): Promise<readonly StoredChannel[]>;
  /** A value that belongs to another worker, such as its `chain-height`. */
  valueOf(worker: string, key: string): Promise<Uint8Array | undefined>;
}

/** The leases of a store that one process has for itself: it holds whatever there is. */
export class SoleLeases implements LeaseTable {
  readonly worker = "sole";
  held = (): readonly Subject[] => [];
  isHeld = (): boolean => true;
  acquire = async (): Promise<boolean> => true;
  release = async (): Promise<void> => {};
  holderOf = async (): Promise<string> => this.worker;
  workers = async () => [{ name: this.worker, isAlive: true, leases: 0 }];
  start = (): void => {};
  beat = async (): Promise<void> => {};
}

/** The peer of a channel that is stored; a record without one is leased by itself. */
export function subjectOf(change: {
  readonly channelId: Uint8Array;
  readonly live: unknown;
}): Subject {
  const peer = (change.live as { remoteNodeId?: unknown } | undefined)?.remoteNodeId;
  return peer instanceof Uint8Array ? peer : change.channelId;
}

/** Values that are each process's own; all others are shared. */
export const WORKER_VALUES: readonly string[] = [
  "next-key-index",
  "chain-height",
  "held-fundings",
  "chain-service/devices",
  "tw/ended",
];

export function keyOfSubject(subject: Subject): string {
  return toHex(subject);
}
