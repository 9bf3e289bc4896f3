/** The Store port: atomic, durable commits of channel records and of what must change with them. */
import type { ChannelId } from "../primitives/brands.ts";

export interface NamedValue {
  readonly key: string;
  readonly bytes: Uint8Array;
}

/** One atomic change of one channel; all of it is durable when `commit` returns, or none of it. */
export interface StoreCommit {
  readonly channelId: ChannelId;
  /** The encoded record (core/channel/codec.ts), or a function that encodes it: stores in memory never call it. */
  readonly record: () => Uint8Array;
  /** The same record as an object; only a store in memory keeps it. */
  readonly live: unknown;
  /** Bytes to add to the channel's archive of HTLCs that stood in revoked commitments (ARCHIVED_HTLC_BYTES each). */
  readonly archive?: readonly Uint8Array[];
  /** Packed payments (24 bytes each: reference 16, amount u64 msat) that this commit credits. */
  readonly credits?: Uint8Array;
  /** Packed payments that this commit binds us to pay. */
  readonly debits?: Uint8Array;
  /** Named values that change with the channel: all of it is durable, or nothing. */
  readonly values?: readonly NamedValue[];
  /** The channel ended: its record and archive may be dropped. */
  readonly remove?: boolean;
}

export interface StoredChannel {
  readonly channelId: ChannelId;
  /** The newest committed record, encoded; or the live object from a store in memory. */
  readonly record: Uint8Array | { readonly live: unknown };
  readonly archive: readonly Uint8Array[];
}

export interface CommitOutcome {
  /** Indices in `credits` whose reference was credited before (by any channel of this store): not credited again. */
  readonly duplicateCredits: readonly number[];
}

export interface Store {
  /** "memory", "sqlite:/path", "flash:/path" … */
  readonly name: string;
  load(): Promise<readonly StoredChannel[]> | readonly StoredChannel[];
  /** Channels whose newest record was perhaps lost by the medium (damage, not a power cut); absent: none can be. */
  readonly suspects?: readonly ChannelId[];
  /** Throws where durability cannot be had (disk full, write error): the channel then halts and reloads. */
  commit(change: StoreCommit): Promise<CommitOutcome> | CommitOutcome;
  /** Whether we already bound ourselves to pay this 16-byte reference. */
  isDebited(reference: Uint8Array): Promise<boolean> | boolean;
  /** The same for any of many packed payments; a store without it is asked one by one. */
  isAnyDebited?(payments: Uint8Array): Promise<boolean> | boolean;
  isCredited(reference: Uint8Array): Promise<boolean> | boolean;
  /** Small named values of the node itself (header chain tip, tower acknowledgement, counters …). */
  getValue(key: string): Promise<Uint8Array | undefined> | Uint8Array | undefined;
  setValue(key: string, value: Uint8Array): Promise<void> | void;
  close(): Promise<void> | void;
}
