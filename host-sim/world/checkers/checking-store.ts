/** A Store that looks at everything it is given: what every test of channels runs on (DESIGN §7 "Every record written in any test is decoded and compared"). */

import { deepStrictEqual } from "node:assert";
import { type BasepointsOf, decodeRecord, encodeRecord } from "../../../core/channel/codec.ts";
import { pushRoom } from "../../../core/channel/limits.ts";
import type { ChannelRecord } from "../../../core/channel/record.ts";
import {
  localState,
  remoteNextState,
  remoteState,
  totalMsat,
} from "../../../core/channel/state.ts";
import type {
  CommitOutcome,
  Store,
  StoreCommit,
  StoredChannel,
} from "../../../core/ports/store.ts";
import type { ChannelId } from "../../../core/primitives/brands.ts";
import { equal, toHex } from "../../../core/primitives/bytes.ts";

/** Of a record beside the payments under way: far smaller, but for HTLCs with their onions. */
const MAX_TEST_RECORD_BYTES = 137_000;

/** What went wrong is thrown at the commit and kept, so that a node that halts on it cannot hide it. */
export class CheckingStore implements Store {
  readonly faults: string[] = [];
  /** The newest commit of each channel, by its id in hexadecimal. */
  private readonly newest = new Map<string, ChannelRecord>();
  /** What a commit that failed would have stored, undefined for an ending: the medium may hold it nevertheless. */
  private readonly attempted = new Map<string, ChannelRecord | undefined>();
  /** The next load is a run's first. */
  private isAnew = false;
  private isUnknown = false;
  commits = 0;
  largestBytes = 0;
  /** Called with every record that passed. */
  onRecord: (record: ChannelRecord, encoded: Uint8Array) => void = () => {};
  /** And with every one that the medium holds for certain. */
  onDurable: (record: ChannelRecord) => void = () => {};

  constructor(
    private readonly inner: Store,
    private readonly basepointsOf: BasepointsOf,
    /** The node's own: payments under way both ways have their room beside the rest. */
    private readonly maxMessageBytes: number,
  ) {}

  get name(): string {
    return `checking:${this.inner.name}`;
  }

  get suspects(): readonly ChannelId[] {
    return this.inner.suspects ?? [];
  }

  /** The medium is read anew: it holds what was durable, or what failed in the middle, and nothing else. */
  restarts(): void {
    this.isAnew = !this.isUnknown;
  }

  /** Another medium takes its place: an older image of it. */
  replaced(): void {
    this.isUnknown = true;
    this.newest.clear();
    this.attempted.clear();
  }

  /** What is durable now. */
  stored(id: ChannelId): ChannelRecord | undefined {
    return this.newest.get(toHex(id));
  }

  /** Encoded, whatever the store inside keeps: a restart goes through the bytes. */
  async load(): Promise<readonly StoredChannel[]> {
    const read = this.inner.load();
    // At once where it can be: what is committed after it was read is newer.
    const all = read instanceof Promise ? await read : read;
    const encoded = all.map((one) => {
      const { record: kept } = one;
      const live = kept instanceof Uint8Array ? undefined : (kept.live as ChannelRecord);
      return { ...one, record: kept instanceof Uint8Array ? kept : encodeRecord(live!), live };
    });
    if (this.isAnew) this.compare(encoded);
    this.isAnew = false;
    this.isUnknown = false;
    return encoded.map(({ live, ...one }) => {
      const key = toHex(one.channelId);
      // Known ones are as new or newer: a commit may have come while this was read.
      if (!this.newest.has(key)) {
        const record = live ?? decodeRecord(one.record, this.basepointsOf);
        this.newest.set(key, record);
        this.onDurable(record);
      }
      return one;
    });
  }

  commit(change: StoreCommit): Promise<CommitOutcome> | CommitOutcome {
    const record = change.live as ChannelRecord;
    if (!change.remove) this.check(change, record);
    const key = toHex(change.channelId);
    this.attempted.set(key, change.remove ? undefined : record);
    const outcome = this.inner.commit(change);
    const done = (result: CommitOutcome): CommitOutcome => {
      this.commits++;
      this.attempted.delete(key);
      if (change.remove) this.newest.delete(key);
      else {
        this.newest.set(key, record);
        this.onDurable(record);
      }
      return result;
    };
    return outcome instanceof Promise ? outcome.then(done) : done(outcome);
  }

  isDebited(reference: Uint8Array): Promise<boolean> | boolean {
    return this.inner.isDebited(reference);
  }

  isCredited(reference: Uint8Array): Promise<boolean> | boolean {
    return this.inner.isCredited(reference);
  }

  getValue(key: string): Promise<Uint8Array | undefined> | Uint8Array | undefined {
    return this.inner.getValue(key);
  }

  setValue(key: string, value: Uint8Array): Promise<void> | void {
    return this.inner.setValue(key, value);
  }

  close(): Promise<void> | void {
    return this.inner.close();
  }

  /** Every channel is as its last commit left it, or as the one that failed would have. */
  private compare(all: readonly { channelId: ChannelId; record: Uint8Array }[]): void {
    const found = new Map(all.map((one) => [toHex(one.channelId), one.record]));
    for (const key of new Set([...found.keys(), ...this.newest.keys()])) {
      const record = found.get(key);
      const allowed = [this.newest.get(key)];
      if (this.attempted.has(key)) allowed.push(this.attempted.get(key));
      const isKept = allowed.some((one) =>
        one && record ? equal(encodeRecord(one), record) : one === undefined && !record,
      );
      if (!isKept) this.faults.push(`the medium holds another record of ${key.slice(0, 8)}`);
    }
    this.newest.clear();
    this.attempted.clear();
  }

  private check(change: StoreCommit, record: ChannelRecord): void {
    try {
      const encoded = change.record();
      this.largestBytes = Math.max(this.largestBytes, encoded.length);
      const most = MAX_TEST_RECORD_BYTES + 2 * pushRoom(this.maxMessageBytes);
      if (encoded.length > most) throw new Error(`${encoded.length} bytes`);
      const decoded = decodeRecord(encoded, this.basepointsOf);
      // Says where they differ, and takes its time.
      if (!isSame(decoded, record)) {
        deepStrictEqual(withoutUndefined(decoded), withoutUndefined(record));
        throw new Error("a record is not what its encoding says");
      }
      checkConserved(record);
      const before = this.newest.get(toHex(change.channelId));
      if (before) checkProgress(before, record);
      this.onRecord(record, encoded);
    } catch (cause) {
      this.faults.push(cause instanceof Error ? cause.message : String(cause));
      throw cause;
    }
  }
}

/** Balances and HTLCs add up to the channel in every state that a commitment shows or will show. */
function checkConserved(record: ChannelRecord): void {
  const whole = record.terms.fundingSatoshis * 1000;
  const states = [record.base, localState(record), remoteState(record), remoteNextState(record)];
  for (const state of states) {
    if (totalMsat(state) !== whole) throw new Error(`value is not conserved: ${totalMsat(state)}`);
  }
}

/** Numbers only rise, by one at a time; nothing is forgotten that was decided. */
function checkProgress(before: ChannelRecord, after: ChannelRecord): void {
  const counters = [
    "localNumber",
    "remoteNumber",
    "nextLocalHtlcId",
    "nextRemoteHtlcId",
    "nextLocalPushId",
    "nextRemotePushId",
    "receiptsBelow",
  ] as const;
  for (const name of counters) {
    if (after[name] < before[name]) {
      throw new Error(`${name} fell from ${before[name]} to ${after[name]}`);
    }
  }
  for (const name of ["localNumber", "remoteNumber"] as const) {
    if (after[name] > before[name] + 1) throw new Error(`${name} skipped a commitment`);
  }
  if (before.outdated && !after.outdated) throw new Error("an outdated record became current");
  if (before.readySent && !after.readySent) throw new Error("channel_ready was forgotten");
}

/** As `deepStrictEqual` without undefined fields. */
function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Uint8Array) return b instanceof Uint8Array && equal(a, b);
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!isSame(a[i], b[i])) return false;
    return true;
  }
  if (b instanceof Uint8Array || Array.isArray(b)) return false;
  const [left, right] = [a as Fields, b as Fields];
  for (const name in left) if (!isSame(left[name], right[name])) return false;
  for (const name in right) if (right[name] !== undefined && !(name in left)) return false;
  return true;
}

type Fields = Readonly<Record<string, unknown>>;

/** Fields that are absent and fields that are undefined mean the same. */
function withoutUndefined(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(kept.map(([name, field]) => [name, withoutUndefined(field)]));
}
