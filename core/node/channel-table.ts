/** The channels of a node: by id, by peer, by the outpoints that they watch. */
import { decodeRecord } from "../channel/codec.ts";
import type { Channel } from "../channel/draft.ts";
import { channelIdOf } from "../channel/first-record.ts";
import type { ChannelRecord } from "../channel/record.ts";
import { restored } from "../channel/transition.ts";
import type { Outpoint } from "../ports/chain.ts";
import type { ChannelSigner, NodeSigner } from "../ports/signer.ts";
import type { StoredChannel } from "../ports/store.ts";
import type { ChannelId, PublicKey, Txid } from "../primitives/brands.ts";
import { ByteMap } from "../primitives/byte-map.ts";
import { equal } from "../primitives/bytes.ts";
import { outpointKey, type Transaction } from "../transactions/transaction.ts";
import { ChannelRunner, type RunnerHost, type RunnerStart } from "./channel-runner.ts";

/** What a context is made for. */
export type ChannelKeys = Pick<ChannelRunner, "signer" | "remoteNodeId"> &
  Partial<Pick<ChannelRunner, "commitments">>;

/** What an outpoint is to a channel: its funding, an output of what spent that, an output of what spent one of those. */
export type Stage = "funding" | "closing" | "second";

type Made = readonly [outpoint: Outpoint, stage: Stage];

export class ChannelTable {
  private readonly runners = new ByteMap<ChannelRunner>();
  /** By outpoint: a peer may open a channel on any, also on one that matters to another channel. */
  private readonly watched = new Map<string, Map<ChannelRunner, Stage>>();

  constructor(private readonly host: RunnerHost) {}

  get size(): number {
    return this.runners.size;
  }

  all(): ChannelRunner[] {
    return this.runners.values();
  }

  live(): ChannelRunner[] {
    return this.all().filter((runner) => runner.channel.kind === "live");
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
    return this.all().filter((runner) => equal(runner.remoteNodeId, remoteNodeId));
  }

  unfundedOf(remoteNodeId: PublicKey): ChannelRunner[] {
    return this.ofPeer(remoteNodeId).filter(({ channel }) => isUnfunded(channel));
  }

  add(start: RunnerStart): ChannelRunner {
    const runner = new ChannelRunner(this.host, start);
    this.runners.set(start.id, runner);
    return runner;
  }

  rename(runner: ChannelRunner, id: ChannelId): void {
    this.forget(runner);
    runner.id = id;
    this.runners.set(id, runner);
  }

  remove(runner: ChannelRunner): void {
    this.forget(runner);
    for (const [key, runners] of this.watched) {
      if (runners.delete(runner) && runners.size === 0) this.watched.delete(key);
    }
  }

  /** Another channel may stand under the id by now. */
  private forget(runner: ChannelRunner): void {
    if (this.runners.get(runner.id) === runner) this.runners.delete(runner.id);
  }

  /** Also one that is stored, or about to be, under this id and not yet renamed. */
  holds(id: ChannelId): boolean {
    return this.get(id) !== undefined || this.all().some(({ storedId }) => equal(storedId, id));
  }

  /** False where it was watched for this channel already. */
  watch(runner: ChannelRunner, outpoint: Outpoint, stage: Stage): boolean {
    const key = outpointKey(outpoint);
    const runners = this.watched.get(key) ?? new Map<ChannelRunner, Stage>();
    if (runners.has(runner)) return false;
    this.watched.set(key, runners.set(runner, stage));
    return true;
  }

  /**
   * What a transaction that spends something of the channel makes of it: all outputs of a commitment, of an HTLC
   * transaction those that its inputs are bound to. What is made of those is nobody's business (rule `bounded`).
   */
  madeBy(runner: ChannelRunner, transaction: Transaction, txid: Txid): readonly Made[] {
    const stages = transaction.inputs.map(({ outpoint }) =>
      this.watched.get(outpointKey(outpoint))?.get(runner),
    );
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
      const runners = this.watched.get(outpointKey(outpoint)) ?? [];
      for (const [runner] of runners) touched.add(runner);
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
