/**
 * The store that a node is given where a tower watches for it: each commit in which the peer revokes a state also stores what
 * is needed to protect that state (rule `revoked-state-counted`). A crash leaves none of them out, and none uncounted.
 */
import { decodeRecord } from "../channel/codec.ts";
import type { ChannelRecord } from "../channel/record.ts";
import { commitmentSpec, remoteState } from "../channel/state.ts";
import type { NodeSigner } from "../ports/signer.ts";
import type {
  CommitOutcome,
  NamedValue,
  Store,
  StoreCommit,
  StoredChannel,
} from "../ports/store.ts";
import {
  type ChannelId,
  type MilliSatoshi,
  milliSatoshi,
  type PublicKey,
} from "../primitives/brands.ts";
import { toHex } from "../primitives/bytes.ts";
import {
  type Backlog,
  caughtUp,
  decodeBacklog,
  emptyBacklog,
  encodeBacklog,
  exposureMsat,
  withRevoked,
} from "./backlog.ts";

export interface ProtectedChannel {
  readonly channelId: ChannelId;
  readonly record: ChannelRecord;
  readonly backlog: Backlog;
}

/** How far the channels are protected. */
export interface Protection {
  /** Revoked states that wait for the tower. */
  readonly waitingStates: number;
  /** Those that nothing protects: no room was left, or no tower was to be told. */
  readonly lostStates: number;
  readonly unseenStates: number;
  /** What all peers would gain together by the best state that the tower does not know. */
  readonly exposureMsat: MilliSatoshi;
}

export interface ProtectedStoreOptions {
  readonly signer: NodeSigner;
  /** What one tower acknowledged, another does not know: each has its own values. */
  readonly tower: PublicKey;
  /** States of one channel that wait for the tower. */
  readonly maxWaiting: number;
  /** Something that a person must see. */
  onProblem(text: string): void;
}

/** Channels that ended, whose slots the tower still keeps: 16 bytes each. */
const MAX_ENDED = 64;
const NOTHING = new Uint8Array(0);

export class ProtectedStore implements Store {
  readonly name: string;
  /** Names in a device's flash are short. */
  readonly #prefix: string;
  readonly #channels = new Map<string, ProtectedChannel>();
  /** Backlogs that are newer here than in the store: they go with the next commit, or are written when it is quiet. */
  readonly #unwritten = new Set<string>();
  /** Channels with states that wait for the tower. */
  readonly #waiting = new Set<string>();
  #ended: readonly Uint8Array[] = [];
  /** Channels with a commit since the last `load` began. */
  #committed = new Set<string>();
  /** Under which the tower has slots of a channel, one for each epoch; a client sets it. */
  tagsOf: (channel: ProtectedChannel) => readonly Uint8Array[] = () => [];

  constructor(
    private readonly inner: Store,
    private readonly options: ProtectedStoreOptions,
  ) {
    this.name = inner.name;
    this.#prefix = `tw/${toHex(options.tower.subarray(1, 5))}/`;
  }

  get suspects(): readonly ChannelId[] {
    return this.inner.suspects ?? [];
  }

  async load(): Promise<readonly StoredChannel[]> {
    const committed = new Set<string>();
    this.#committed = committed;
    const stored = await this.inner.load();
    const read = new Map<string, ProtectedChannel>();
    for (const one of stored) {
      const channel = await this.#restore(one);
      if (channel) read.set(toHex(one.channelId), channel);
    }
    // Channels that go on while a halted one is read again are further than what was read.
    for (const key of [...this.#channels.keys(), ...read.keys()]) {
      const channel = read.get(key);
      if (committed.has(key)) continue;
      this.#keep(key, channel);
      this.#unwritten.delete(key);
    }
    this.#ended = split(await this.inner.getValue(this.#endedKey));
    return stored;
  }

  commit(change: StoreCommit): CommitOutcome | Promise<CommitOutcome> {
    const key = toHex(change.channelId);
    const next = this.#next(key, change);
    const values = next.values.length > 0 ? [...(change.values ?? []), ...next.values] : undefined;
    const outcome = this.inner.commit(values ? { ...change, values } : change);
    const adopt = (done: CommitOutcome): CommitOutcome => {
      this.#committed.add(key);
      this.#keep(key, next.channel);
      if (next.ended) this.#ended = next.ended;
      if (values) this.#unwritten.delete(key);
      return done;
    };
    return outcome instanceof Promise ? outcome.then(adopt) : adopt(outcome);
  }

  channels(): readonly ProtectedChannel[] {
    return [...this.#channels.values()];
  }

  /** Those with states that wait for the tower. */
  waiting(): readonly ProtectedChannel[] {
    const found: ProtectedChannel[] = [];
    for (const key of this.#waiting) {
      const channel = this.#channels.get(key);
      if (channel) found.push(channel);
    }
    return found;
  }

  channel(id: ChannelId): ProtectedChannel | undefined {
    return this.#channels.get(toHex(id));
  }

  /** Tags of channels that ended. */
  get ended(): readonly Uint8Array[] {
    return this.#ended;
  }

  /** The tower has forgotten that channel. */
  async forget(tag: Uint8Array): Promise<void> {
    this.#ended = this.#ended.filter((one) => toHex(one) !== toHex(tag));
    await this.inner.setValue(this.#endedKey, join(this.#ended));
  }

  /** The tower answered: durable with the next commit; what is sent twice because of that, the tower passes over. */
  setBacklog(id: ChannelId, backlog: Backlog): void {
    const key = toHex(id);
    const channel = this.#channels.get(key);
    if (!channel) return;
    this.#keep(key, { channelId: id, record: channel.record, backlog });
    this.#unwritten.add(key);
  }

  /** Writes what the tower has acknowledged since the last commits. */
  async flush(): Promise<void> {
    for (const key of [...this.#unwritten]) {
      const channel = this.#channels.get(key);
      this.#unwritten.delete(key);
      if (channel) await this.inner.setValue(this.#keyOf(key), encodeBacklog(channel.backlog));
    }
  }

  protection(): Protection {
    let [waitingStates, lostStates, unseenStates, exposed] = [0, 0, 0, 0];
    for (const channel of this.#channels.values()) {
      const { backlog } = channel;
      waitingStates += backlog.waiting.length;
      lostStates += backlog.lostStates;
      unseenStates += backlog.unseenStates;
      const isExposed = backlog.waiting.length > 0 || backlog.lostStates > 0;
      if (isExposed) exposed += exposureMsat(backlog, remoteState(channel.record).toRemoteMsat);
    }
    return { waitingStates, lostStates, unseenStates, exposureMsat: milliSatoshi(exposed) };
  }

  isDebited(reference: Uint8Array): Promise<boolean> | boolean {
    return this.inner.isDebited(reference);
  }

  isAnyDebited(payments: Uint8Array): Promise<boolean> | boolean {
    return this.inner.isAnyDebited?.(payments) ?? anyDebited(this.inner, payments);
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

  async close(): Promise<void> {
    await this.flush();
    await this.inner.close();
  }

  #keyOf(channelKey: string): string {
    return this.#prefix + channelKey.slice(0, 16);
  }

  get #endedKey(): string {
    return `${this.#prefix}ended`;
  }

  #keep(key: string, channel: ProtectedChannel | undefined): void {
    if (channel) this.#channels.set(key, channel);
    else this.#channels.delete(key);
    if (channel && channel.backlog.waiting.length > 0) this.#waiting.add(key);
    else this.#waiting.delete(key);
  }

  /** What stands after a commit, and what is stored with it. */
  #next(key: string, change: StoreCommit): Next {
    const before = this.#channels.get(key);
    if (change.remove) return this.#removed(key, before);
    const record = change.live as ChannelRecord;
    const { channelId } = change;
    const known = before?.backlog ?? emptyBacklog(record.remoteNumber);
    if (!before || record.remoteNumber === before.record.remoteNumber) {
      return { channel: { channelId, record, backlog: known }, values: [] };
    }
    const { remoteNumber } = before.record;
    const revoked = commitmentSpec(remoteState(before.record), "remote", remoteNumber);
    const added = withRevoked(known, revoked, this.options.maxWaiting);
    const backlog = caughtUp(added, record.remoteNumber);
    const values = [{ key: this.#keyOf(key), bytes: encodeBacklog(backlog) }];
    return { channel: { channelId, record, backlog }, values };
  }

  /** Its slots are of no use any more. */
  #removed(key: string, before: ProtectedChannel | undefined): Next {
    if (!before || before.backlog.next === 0) return { values: [] };
    const values: NamedValue[] = [{ key: this.#keyOf(key), bytes: NOTHING }];
    const { acknowledged, epoch } = before.backlog;
    if (acknowledged === 0 && epoch === 0) return { values };
    const ended = [...this.#ended, ...this.tagsOf(before)].slice(-MAX_ENDED);
    values.push({ key: this.#endedKey, bytes: join(ended) });
    return { values, ended };
  }

  async #restore({
    channelId,
    record: stored,
  }: StoredChannel): Promise<ProtectedChannel | undefined> {
    const key = toHex(channelId);
    try {
      const record = this.#decode(stored);
      const bytes = await this.inner.getValue(this.#keyOf(key));
      const { remoteNumber, terms } = record;
      const known = bytes?.length
        ? decodeBacklog(bytes, terms.fundingSatoshis)
        : emptyBacklog(remoteNumber);
      const backlog = caughtUp(known, remoteNumber);
      return new RestoredChannel(channelId, backlog, () => this.#decode(stored));
    } catch (cause) {
      // The node tells of a record that it cannot read; a backlog that cannot be read counts as states without protection.
      this.options.onProblem(`what the tower is owed cannot be read: ${String(cause)}`);
      return undefined;
    }
  }

  #decode(stored: StoredChannel["record"]): ChannelRecord {
    if (!(stored instanceof Uint8Array)) return stored.live as ChannelRecord;
    const { signer } = this.options;
    return decodeRecord(stored, (keyIndex) => signer.channel(keyIndex).basepoints);
  }
}

/** As it was stored, decoded when it is asked for: most channels of a gateway are idle, and the node has them too. */
class RestoredChannel implements ProtectedChannel {
  #record: ChannelRecord | undefined;

  constructor(
    readonly channelId: ChannelId,
    readonly backlog: Backlog,
    private readonly decode: () => ChannelRecord,
  ) {}

  get record(): ChannelRecord {
    this.#record ??= this.decode();
    return this.#record;
  }
}

interface Next {
  readonly channel?: ProtectedChannel;
  readonly values: readonly NamedValue[];
  readonly ended?: readonly Uint8Array[];
}

async function anyDebited(store: Store, payments: Uint8Array): Promise<boolean> {
  for (let at = 0; at < payments.length; at += 24) {
    if (await store.isDebited(payments.subarray(at, at + 16))) return true;
  }
  return false;
}

function join(tags: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(16 * tags.length);
  tags.forEach((tag, i) => {
    all.set(tag, 16 * i);
  });
  return all;
}

function split(bytes: Uint8Array | undefined): Uint8Array[] {
  const tags: Uint8Array[] = [];
  for (let at = 0; bytes && at + 16 <= bytes.length; at += 16) tags.push(bytes.slice(at, at + 16));
  return tags;
}
