/** A Store that looks at everything it is given: what every test of channels runs on (DESIGN §7 "Every record written in any test is decoded and compared"). */
import { deepStrictEqual } from "node:assert";
import { type BasepointsOf, decodeRecord, encodeRecord } from "../../core/channel/codec.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import { localState, remoteNextState, remoteState, totalMsat } from "../../core/channel/state.ts";
import type { CommitOutcome, Store, StoreCommit, StoredChannel } from "../../core/ports/store.ts";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";

/** The constant part of a record is far smaller; what is under way adds to it. */
const MAX_TEST_RECORD_BYTES = 400_000;

/** What went wrong is thrown at the commit and kept, so that a node that halts on it cannot hide it. */
export class CheckingStore implements Store {
  readonly faults: string[] = [];
  /** The newest commit of each channel, by its id in hexadecimal. */
  private readonly newest = new Map<string, ChannelRecord>();
  commits = 0;
  largestBytes = 0;
  /** Called with every record that passed. */
  onRecord: (record: ChannelRecord, encoded: Uint8Array) => void = () => {};

  constructor(
    private readonly inner: Store,
    private readonly basepointsOf: BasepointsOf,
  ) {}

  get name(): string {
    return `checking:${this.inner.name}`;
  }

  get suspects(): readonly ChannelId[] {
    return this.inner.suspects ?? [];
  }

  /** What is durable now. */
  stored(id: ChannelId): ChannelRecord | undefined {
    return this.newest.get(toHex(id));
  }

  /** Encoded, whatever the store inside keeps: a restart goes through the bytes. */
  async load(): Promise<readonly StoredChannel[]> {
    const all = await this.inner.load();
    return all.map((one) => {
      const { record: kept } = one;
      const live = kept instanceof Uint8Array ? undefined : (kept.live as ChannelRecord);
      const record = kept instanceof Uint8Array ? kept : encodeRecord(kept.live as ChannelRecord);
      const decoded = live ?? decodeRecord(record, this.basepointsOf);
      this.newest.set(toHex(one.channelId), decoded);
      return { ...one, record };
    });
  }

  commit(change: StoreCommit): Promise<CommitOutcome> | CommitOutcome {
    const record = change.live as ChannelRecord;
    if (!change.remove) this.check(change, record);
    const outcome = this.inner.commit(change);
    const done = (result: CommitOutcome): CommitOutcome => {
      this.commits++;
      if (change.remove) this.newest.delete(toHex(change.channelId));
      else this.newest.set(toHex(change.channelId), record);
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

  private check(change: StoreCommit, record: ChannelRecord): void {
    try {
      const encoded = change.record();
      this.largestBytes = Math.max(this.largestBytes, encoded.length);
      if (encoded.length > MAX_TEST_RECORD_BYTES) throw new Error(`${encoded.length} bytes`);
      deepStrictEqual(
        withoutUndefined(decodeRecord(encoded, this.basepointsOf)),
        withoutUndefined(record),
      );
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

/** Fields that are absent and fields that are undefined mean the same. */
function withoutUndefined(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(kept.map(([name, field]) => [name, withoutUndefined(field)]));
}
