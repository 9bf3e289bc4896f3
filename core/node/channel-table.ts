/** The channels of a node: by id, by peer, by the outpoints that they watch. */
import { decodeRecord } from "../channel/codec.ts";
import type { Channel } from "../channel/draft.ts";
import { channelIdOf } from "../channel/first-record.ts";
import type { Input } from "../channel/inputs.ts";
import type { ChannelRecord } from "../channel/record.ts";
import { restored } from "../channel/transition.ts";
import type { Outpoint } from "../ports/chain.ts";
import type { ChannelSigner, NodeSigner } from "../ports/signer.ts";
import type { StoredChannel } from "../ports/store.ts";
import type { ChannelId, PublicKey, Txid } from "../primitives/brands.ts";
import { ByteMap } from "../primitives/byte-map.ts";
import { equal } from "../primitives/bytes.ts";
import { outpointKey, type Transaction } from "../transactions/transaction.ts";
import { ChannelRunner, type RunnerHost } from "./channel-runner.ts";
import type { RunnerStart } from "./held-channel.ts";

/** What a context is made for. */
export type ChannelKeys = Pick<ChannelRunner, "signer" | "remoteNodeId"> &
  Partial<Pick<ChannelRunner, "commitments">>;

/** A channel as it is now. Of one that rests the record is decoded when it is looked at. */
export interface Listed {
  readonly id: ChannelId;
  readonly remoteNodeId: PublicKey;
  readonly channel: Channel;
}

/** What an outpoint is to a channel: its funding, an output of what spent that, an output of what spent one of those. */
export type Stage = "funding" | "closing" | "second";

/** Each is encoded, which takes some 30 µs. */
const RESTED_AT_ONCE = 32;

interface Watcher {
  readonly runner: ChannelRunner;
  readonly stage: Stage;
}

type Made = readonly [outpoint: Outpoint, stage: Stage];

export class ChannelTable {
  private readonly runners = new ByteMap<ChannelRunner>();
  /** By node id: a gateway has thousands of peers, and none of them is looked for among the others' channels. */
  private readonly peers = new ByteMap<ChannelRunner[]>();
  /** Not yet under their final id. */
  private readonly beginning = new Set<ChannelRunner>();
  /** By outpoint: a peer may open a channel on any, also on one that matters to another channel. */
  private readonly watched = new Map<string, readonly Watcher[]>();

  /** Those that are still to be asked whether they rest, in this round. */
  private restless: ChannelRunner[] = [];
  private restedMs = 0;

  /** Given up, and perhaps not yet done with what was under way. */
  private retiring: ChannelRunner[] = [];

  constructor(private readonly host: RunnerHost) {}

  get size(): number {
    return this.runners.size;
  }

  all(of?: PublicKey): ChannelRunner[] {
    return of ? this.ofPeer(of) : this.runners.values();
  }

  list(of?: PublicKey): readonly Listed[] {
    return this.all(of).map((runner) => ({
      id: runner.id,
      remoteNodeId: runner.remoteNodeId,
      // Of thousands that rest, only those that are looked at are decoded.
      get channel() {
        return runner.channel;
      },
    }));
  }

  /** Idle channels come to rest, a few at a time: after one round without an input, so within twice `afterMs`. */
  tick(nowMs: number, afterMs: number | undefined): void {
    if (afterMs === undefined) return;
    for (const runner of this.restless.splice(-RESTED_AT_ONCE)) runner.rest();
    if (this.restless.length > 0 || nowMs - this.restedMs < afterMs) return;
    this.restedMs = nowMs;
    this.restless = this.all();
  }

  /** Every channel that there is, or these; opening ones have nothing to do with the chain. */
  tell(input: Input, ids?: readonly ChannelId[]): void {
    for (const runner of ids ? ids.flatMap((id) => this.get(id) ?? []) : this.all()) {
      if (runner.isResting || runner.channel.kind === "live") runner.input(input);
    }
  }

  /** Its id is kept once from now on: that of its session. */
  connected(remoteNodeId: PublicKey): void {
    for (const runner of this.ofPeer(remoteNodeId)) {
      runner.remoteNodeId = remoteNodeId;
      runner.input({ type: "connected" });
    }
  }

  get(id: ChannelId): ChannelRunner | undefined {
    return this.runners.get(id);
  }

  /** The channel that a message of this peer speaks of; after funding_created also under its final id. */
  ofMessage(remoteNodeId: PublicKey, id: ChannelId): ChannelRunner | undefined {
    const runner = this.get(id);
    if (runner) return equal(runner.remoteNodeId, remoteNodeId) ? runner : undefined;
    return this.ofPeer(remoteNodeId).find(({ channel }) => {
      const funding = channel.kind === "opening" && channel.opening.step === "funding-sent";
      return funding && equal(channelIdOf(channel.opening.outpoint), id);
    });
  }

  ofPeer(remoteNodeId: PublicKey): ChannelRunner[] {
    return [...(this.peers.get(remoteNodeId) ?? [])];
  }

  unfundedOf(remoteNodeId: PublicKey): ChannelRunner[] {
    return this.ofPeer(remoteNodeId).filter(({ channel }) => isUnfunded(channel));
  }

  add(start: RunnerStart): ChannelRunner {
    const runner = new ChannelRunner(this.host, start);
    if (start.channel.kind !== "live") this.beginning.add(runner);
    this.put(runner);
    return runner;
  }

  rename(runner: ChannelRunner, id: ChannelId): void {
    this.forget(runner);
    runner.id = id;
    this.put(runner);
  }

  private put(runner: ChannelRunner): void {
    const { id, remoteNodeId } = runner;
    const replaced = this.get(id);
    if (replaced) this.forget(replaced);
    this.runners.set(id, runner);
    this.peers.set(remoteNodeId, this.ofPeer(remoteNodeId).concat(runner));
  }

  remove(runner: ChannelRunner): void {
    this.replace(runner);
  }

  /** What blocks told of a halted channel may be more than its record knows: its successor watches all that it watched. */
  replace(runner: ChannelRunner, restore: () => ChannelRunner | undefined = () => undefined): void {
    this.forget(runner);
    const successor = restore();
    for (const [key, watchers] of this.watched) {
      const own = watchers.find((one) => one.runner === runner);
      if (!own) continue;
      const others = watchers.filter((one) => one !== own);
      const isKnown = others.some((one) => one.runner === successor);
      if (successor && !isKnown) others.push({ ...own, runner: successor });
      if (others.length === 0) this.watched.delete(key);
      else this.watched.set(key, others);
    }
  }

  /** Gives the peer's channels up: true once nothing of them is under way. */
  retire(remoteNodeId: PublicKey): boolean {
    for (const runner of this.ofPeer(remoteNodeId)) {
      runner.retire();
      this.retiring.push(runner);
      this.forget(runner);
    }
    for (const runner of this.retiring) if (runner.isIdle) this.remove(runner);
    this.retiring = this.retiring.filter((runner) => !runner.isIdle);
    return !this.retiring.some((runner) => equal(runner.remoteNodeId, remoteNodeId));
  }

  isRetiring(runner: ChannelRunner): boolean {
    return this.retiring.includes(runner);
  }

  /** Another channel may stand under the id by now. */
  private forget(runner: ChannelRunner): void {
    this.beginning.delete(runner);
    if (this.runners.get(runner.id) !== runner) return;
    this.runners.delete(runner.id);
    const others = (this.peers.get(runner.remoteNodeId) ?? []).filter((one) => one !== runner);
    if (others.length === 0) this.peers.delete(runner.remoteNodeId);
    else this.peers.set(runner.remoteNodeId, others);
  }

  /** Also one that is stored, or about to be, under this id and not yet renamed. */
  holds(id: ChannelId): boolean {
    const isBeginning = () => [...this.beginning].some(({ storedId }) => equal(storedId, id));
    return this.get(id) !== undefined || isBeginning();
  }

  /** False where it was watched for this channel already. */
  watch(runner: ChannelRunner, outpoint: Outpoint, stage: Stage): boolean {
    const key = outpointKey(outpoint);
    const watchers = this.watched.get(key) ?? [];
    if (watchers.some((one) => one.runner === runner)) return false;
    this.watched.set(key, watchers.concat({ runner, stage }));
    return true;
  }

  /**
   * What a transaction that spends something of the channel makes of it: all outputs of a commitment, of an HTLC
   * transaction those that its inputs are bound to. What is made of those is nobody's business (rule `bounded`).
   */
  madeBy(runner: ChannelRunner, transaction: Transaction, txid: Txid): readonly Made[] {
    const stages = transaction.inputs.map(({ outpoint }) => {
      const watchers = this.watched.get(outpointKey(outpoint)) ?? [];
      return watchers.find((one) => one.runner === runner)?.stage;
    });
    if (stages.includes("funding")) {
      return transaction.outputs.map((_, vout) => [{ txid, vout }, "closing"]);
    }
    return stages.flatMap((stage, vout): readonly Made[] =>
      stage === "closing" && vout < transaction.outputs.length ? [[{ txid, vout }, "second"]] : [],
    );
  }

  /** The channels that a transaction creates or spends something of. */
  touchedBy(transaction: Transaction, txid: Txid): ReadonlySet<ChannelRunner> {
    const touched = new Set<ChannelRunner>();
    const touch = (outpoint: Outpoint) => {
      for (const { runner } of this.watched.get(outpointKey(outpoint)) ?? []) touched.add(runner);
    };
    for (const { outpoint } of transaction.inputs) touch(outpoint);
    for (let vout = 0; vout < transaction.outputs.length; vout++) touch({ txid, vout });
    return touched;
  }

  /** A channel from its stored record; throws RecordError where that is damaged. */
  restore(
    stored: StoredChannel,
    nodeSigner: NodeSigner,
    suspects: readonly ChannelId[] = [],
  ): ChannelRunner {
    let signer: ChannelSigner | undefined;
    const record =
      stored.record instanceof Uint8Array
        ? decodeRecord(stored.record, (keyIndex) => {
            signer = nodeSigner.channel(keyIndex);
            return signer.basepoints;
          })
        : (stored.record.live as ChannelRecord);
    const runner = this.add({
      id: record.channelId,
      remoteNodeId: record.remoteNodeId,
      signer: signer ?? nodeSigner.channel(record.terms.keyIndex),
      channel: restored(record),
      archive: stored.archive,
    });
    if (suspects.some((id) => equal(id, record.channelId))) runner.input({ type: "suspect" });
    return runner;
  }
}

/** A channel of ours whose funding was never seen: openers could fill every place with such. */
function isUnfunded(channel: Channel): boolean {
  if (channel.kind !== "live") return channel.kind === "opening";
  const { fundingHeight, terms, readySent } = channel.record;
  return fundingHeight === undefined && !readySent && !terms.localIsOpener;
}
