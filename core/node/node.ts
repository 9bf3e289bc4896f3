/** A Lightning node: peers, channels and the chain, wired to the ports; the one place where effects are performed (DESIGN §2). */
import type { ArchivedHtlc, Claim } from "../chain/monitor/watched.ts";
import type { Context, Feerates } from "../channel/context.ts";
import type { Channel } from "../channel/draft.ts";
import type { ChannelEvent } from "../channel/effects.ts";
import { channelIdOf } from "../channel/first-record.ts";
import type { Command, OpenCommand } from "../channel/inputs.ts";
import { accept, open } from "../channel/opening.ts";
import { boundedFeerates } from "../channel/policy.ts";
import type { ChannelRecord } from "../channel/record.ts";
import type { Message, MessageNamed } from "../messages/message.ts";
import type { BlockEvent, Outpoint } from "../ports/chain.ts";
import type { Link } from "../ports/link.ts";
import type { Store, StoredChannel } from "../ports/store.ts";
import type { BlockHeight, ChannelId, PublicKey } from "../primitives/brands.ts";
import { blockHeight, channelId } from "../primitives/brands.ts";
import { isZero, toHex } from "../primitives/bytes.ts";
import { assert, demand, ProtocolViolation } from "../primitives/errors.ts";
import { parseTransaction, transactionId } from "../transactions/transaction.ts";
import type { ChannelRunner, RunnerHost } from "./channel-runner.ts";
import { type ChannelKeys, ChannelTable, type Listed, type Stage } from "./channel-table.ts";
import { channelIdOfMessage, fundingScriptOf, nameOf, unconnected } from "./greeting.ts";
import { KeyIndices } from "./key-index.ts";
import type { NodeOptions } from "./options.ts";
import { Peers } from "./peers.ts";
import { Reloading } from "./reloading.ts";

/** Blocks that are looked at again after a start: a reorganisation may have happened meanwhile. */
export const REWIND_BLOCKS = 144;
/** Channels that one peer may have in opening at a time. */
const MAX_OPENINGS_PER_PEER = 2;
const ELSEWHERE = "another process serves this peer";
const NOT_BEGUN: Channel = { kind: "ended", reason: "not begun" };

export class Node implements RunnerHost {
  readonly store: Store;
  private readonly peers: Peers;
  private readonly table: ChannelTable;
  private readonly reloading: Reloading;
  /** Stored channels that this program cannot read: their peers are told nothing. */
  private readonly unreadable = new Set<string>();
  private tipHeight: BlockHeight = blockHeight(0);
  private feerates: Feerates = { now: 2_500, soon: 1_000, economy: 253 };

  private constructor(
    readonly options: NodeOptions,
    private readonly keyIndices: KeyIndices,
  ) {
    this.store = options.store;
    this.table = new ChannelTable(this);
    this.reloading = new Reloading(options, this.table, (stored) => this.restore(stored));
    this.peers = new Peers(options, {
      connected: (id) => {
        if (options.servesPeer?.(id) === false) return this.peers.move(id, ELSEWHERE);
        options.events.onPeer(id, "connected");
        this.table.connected(id);
      },
      disconnected: (id, reason) => {
        for (const runner of this.table.ofPeer(id)) runner.input({ type: "disconnected" });
        options.events.onPeer(id, "disconnected", reason);
      },
      message: (id, message) => this.dispatch(id, message),
      alarm: (text) => options.events.onAlarm(text),
    });
  }

  /** Reads every channel from the store; `tipHeight` is the newest block that it knew. */
  static async start(options: NodeOptions, tipHeight: BlockHeight): Promise<Node> {
    const keyIndices = await KeyIndices.load(options.store, options.keyIndices);
    const node = new Node(options, keyIndices);
    node.tipHeight = tipHeight;
    if (keyIndices.fault) options.events.onAlarm(keyIndices.fault);
    for (const stored of await options.store.load()) node.restore(stored);
    // Power failed between a record and the counter: without it the index would be used again when the record is gone.
    await node.keepKeyIndex();
    return node;
  }

  get nodeId(): PublicKey {
    return this.options.signer.nodeId;
  }

  get height(): BlockHeight {
    return this.tipHeight;
  }

  /** All channels, opening ones included; or those with one peer. */
  channels(of?: PublicKey): readonly Listed[] {
    return this.table.list(of);
  }

  record(id: ChannelId): ChannelRecord | undefined {
    const channel = this.table.get(id)?.channel;
    return channel?.kind === "live" ? channel.record : undefined;
  }

  /** Nothing is under way in any channel. */
  get isIdle(): boolean {
    return this.table.all().every((runner) => runner.isIdle);
  }

  /** Every channel has worked on the blocks that were told; payments may be under way. */
  get isAbreastOfChain(): boolean {
    return this.table.all().every((runner) => runner.isAbreastOfChain);
  }

  isConnected(remoteNodeId: PublicKey): boolean {
    return this.peers.negotiated(remoteNodeId) !== undefined;
  }

  /** Largest message that the peer takes, in bytes; 0 while it is away. */
  peerMaxMessageBytes(remoteNodeId: PublicKey): number {
    return this.peers.negotiated(remoteNodeId)?.remoteMaxMessageBytes ?? 0;
  }

  /** The link that a connected peer is on: who may administer, and whom a customer pays, depend on it. */
  linkOf(remoteNodeId: PublicKey): Pick<Link, "name" | "kind"> | undefined {
    return this.peers.linkOf(remoteNodeId);
  }

  /** Uses a link: with `remoteNodeId` it calls that node, else it waits to be called. */
  attach(link: Link, remoteNodeId?: PublicKey): void {
    this.peers.attach(link, remoteNodeId);
  }

  /** Lets time pass; call it some times a second. */
  tick(nowMs: number): void {
    this.peers.tick(nowMs);
    this.table.tick(nowMs, this.options.restAfterMs);
    this.reloading.tick();
  }

  /** Does a piece of work for payments to come, in idle time; false: none is left. */
  workAhead(): boolean {
    return this.table.all().some((runner) => runner.workAhead(this.options.crypto));
  }

  /** Runs channels that another process ran until now; of blocks from `fromHeight` on they are to be told anew. */
  adopt(all: readonly StoredChannel[], fromHeight?: BlockHeight): void {
    const isNew = (id: ChannelId) => !this.table.holds(id) && !this.isStored(id);
    for (const stored of all) if (isNew(stored.channelId)) this.restore(stored, fromHeight);
  }

  /** Runs the peer's channels no more: true once nothing of them is under way, and another process may. */
  release(remoteNodeId: PublicKey): boolean {
    this.peers.move(remoteNodeId, ELSEWHERE);
    this.reloading.forget(remoteNodeId);
    return this.table.retire(remoteNodeId);
  }

  /** Ends all sessions; stored channels stay. */
  close(reason = "the node is stopping"): void {
    this.peers.close(reason);
  }

  /** Sends a message that belongs to no channel; false where the peer is not connected. */
  sendService(remoteNodeId: PublicKey, message: Message): boolean {
    return this.isConnected(remoteNodeId) && this.peers.send(remoteNodeId, message);
  }

  /** Starts opening; events under the temporary id tell how it goes. */
  open(command: Omit<OpenCommand, "type" | "keyIndex" | "temporaryChannelId">): ChannelId {
    const { remoteNodeId } = command;
    assert(this.isConnected(remoteNodeId), "the peer is not connected");
    assert(this.table.size < this.options.maxChannels, "this node has all the channels it can");
    assert(!this.keyIndices.isUsedUp, "this node has used up its channel keys");
    const id = channelId(this.options.entropy.random(32));
    const keyIndex = this.keyIndices.take();
    const signer = this.options.signer.channel(keyIndex);
    const runner = this.table.add({ id, remoteNodeId, signer, channel: NOT_BEGUN });
    const full: OpenCommand = { ...command, type: "open", temporaryChannelId: id, keyIndex };
    runner.begin(open(this.context({ signer, remoteNodeId }), full));
    return id;
  }

  /** Commands of one channel; outcomes are events. Updates given together share a signature. False: there is no such channel. */
  command(id: ChannelId, ...commands: readonly Exclude<Command, { type: "open" }>[]): boolean {
    const runner = this.table.get(id);
    runner?.inputs(commands);
    return runner !== undefined;
  }

  setFeerates(feerates: Feerates): void {
    this.feerates = boundedFeerates(feerates, this.options.policy);
  }

  /** The blocks from `fromHeight` on are told anew or are gone: what was learnt from them is dropped. */
  rewind(fromHeight: BlockHeight, isReread = false): void {
    this.tipHeight = blockHeight(Math.min(this.tipHeight, Math.max(0, fromHeight - 1)));
    this.table.tell({ type: "reorganised", fromHeight, isReread });
  }

  blockConnected(block: Pick<BlockEvent, "height" | "transactions">): void {
    this.tipHeight = block.height;
    for (const { raw, height } of block.transactions) this.transactionConfirmed(raw, height);
    this.reconsider();
  }

  /** A confirmed (on a device: proven) transaction that creates or spends what is watched. */
  transactionConfirmed(raw: Uint8Array, height: BlockHeight): void {
    const transaction = parseTransaction(raw);
    const txid = transactionId(this.options.crypto, transaction);
    for (const runner of this.table.touchedBy(transaction, txid)) {
      runner.input({ type: "confirmed", raw, height });
      // What the end of a channel made may be spent in the same block.
      for (const made of this.table.madeBy(runner, transaction, txid))
        this.watch(runner, made[0], undefined, made[1]);
    }
  }

  /** Every channel, or these, works on what is known by now: after a block, and after proofs that came later than it. */
  reconsider(ids?: readonly ChannelId[]): void {
    this.table.tell({ type: "tip" }, ids);
  }

  /** The context of a live channel as of now, for tools that ask the core what it would do. */
  contextOf(id: ChannelId): Omit<Context, "archive"> | undefined {
    const runner = this.table.get(id);
    return runner && this.context(runner);
  }

  context(of: ChannelKeys, archive: readonly ArchivedHtlc[] = []): Context {
    const { crypto, policy, chainHash, payoutScript, maxMessageBytes } = this.options;
    const context: Context = {
      crypto,
      nodeSigner: this.options.signer,
      signer: of.signer,
      policy,
      negotiated: this.peers.negotiated(of.remoteNodeId) ?? unconnected(maxMessageBytes),
      chainHash,
      tipHeight: this.tipHeight,
      feerates: this.feerates,
      payoutScript,
      archive,
      commitments: of.commitments,
    };
    const declineReason = this.options.declineReason?.();
    return declineReason === undefined ? context : { ...context, declineReason };
  }

  together(runner: ChannelRunner, work: () => void): void {
    this.peers.together(runner.remoteNodeId, work);
  }

  send(runner: ChannelRunner, message: Message): void {
    this.peers.send(runner.remoteNodeId, message);
  }

  disconnect(from: Pick<ChannelRunner, "remoteNodeId">, reason: string): void {
    this.peers.drop(from.remoteNodeId, reason);
  }

  /** What a confirmed transaction made is watched already: only a funding comes with its script. */
  watch(r: ChannelRunner, outpoint: Outpoint, script?: Uint8Array, stage?: Stage): void {
    const isNew = this.table.watch(r, outpoint, stage ?? (script ? "funding" : "second"));
    if (isNew) this.options.chain.watch(outpoint, script);
  }

  publish(runner: ChannelRunner, claim: Claim): void {
    this.options.chain.publish(runner.id, claim);
  }

  publishClose(runner: ChannelRunner, raw: Uint8Array): void {
    this.options.chain.publishClose(runner.id, raw);
  }

  notify(runner: ChannelRunner, event: ChannelEvent): void {
    const { id } = runner;
    if (event.type === "created") {
      this.table.rename(runner, event.channelId);
      void this.keepKeyIndex();
    }
    this.options.events.onChannelEvent(id, event);
  }

  ended(runner: ChannelRunner): void {
    this.table.remove(runner);
  }

  halted(runner: ChannelRunner, cause: unknown): void {
    const text = cause instanceof Error ? cause.message : String(cause);
    if (this.table.isRetiring(runner)) return; // others read it from the store
    this.reloading.add(runner);
    this.options.events.onAlarm(
      `channel ${nameOf(runner.id)} halted, nothing was sent: ${text}; it will be read from the store again`,
      cause,
    );
    // It is none of the peer's doing: it calls again at once, and the channel is read from the store by then.
    this.peers.move(runner.remoteNodeId, "a channel halted here");
  }

  private dispatch(remoteNodeId: PublicKey, message: Message): void {
    const id = channelIdOfMessage(message);
    if (message.type === "open_channel") this.accept(remoteNodeId, message);
    else if (!id) this.options.events.onServiceMessage(remoteNodeId, message);
    else if (isZero(id)) this.forAllChannels(remoteNodeId, message);
    else this.toChannel(remoteNodeId, id, message);
  }

  private toChannel(remoteNodeId: PublicKey, id: ChannelId, message: Message): void {
    const runner = this.table.ofMessage(remoteNodeId, id);
    if (runner) {
      if (message.type === "funding_created") this.checkOutpoint(message);
      runner.input({ type: "message", message });
      return;
    }
    const asks = message.type !== "error" && message.type !== "warning";
    if (asks && !this.isStored(id)) {
      const data = "this channel is not known here";
      this.peers.send(remoteNodeId, { type: "error", channelId: id, data });
    }
  }

  /** It exists, though it is not at work: a word that it does not would make the peer close it. */
  isStored(id: ChannelId): boolean {
    return this.reloading.has(id) || this.unreadable.has(toHex(id));
  }

  /** BOLT 1: an error or a warning under the id of zeroes speaks of every channel with this peer. */
  private forAllChannels(remoteNodeId: PublicKey, message: Message): void {
    if (message.type === "warning") {
      this.options.events.onAlarm(`peer ${nameOf(remoteNodeId)} warns: ${message.data}`);
    }
    if (message.type !== "error") return;
    for (const runner of this.table.ofPeer(remoteNodeId))
      runner.input({ type: "message", message });
  }

  /** Two channels on one outpoint would share their id, and the newer record would replace the older one. */
  private checkOutpoint(message: MessageNamed<"funding_created">): void {
    const { fundingTxid: txid, fundingOutputIndex: vout } = message;
    const id = channelIdOf({ txid, vout });
    const isFree = !this.table.holds(id) && !this.isStored(id);
    demand(isFree, "funding_created.funding_txid", "funds another channel here");
  }

  private accept(remoteNodeId: PublicKey, message: MessageNamed<"open_channel">): void {
    const { temporaryChannelId: id } = message;
    const inUse = this.table.holds(id) || this.isStored(id);
    demand(!inUse, "open_channel.temporary_channel_id", "is in use");
    const openings = this.table.unfundedOf(remoteNodeId).length;
    const { keyIndices } = this;
    const isFull = this.table.size >= this.options.maxChannels || keyIndices.isUsedUp;
    const refuse = (data: string) =>
      this.peers.send(remoteNodeId, { type: "error", channelId: id, data });
    if (isFull || openings >= MAX_OPENINGS_PER_PEER) {
      refuse("no more channels can be opened here");
      return;
    }
    const keyIndex = keyIndices.next;
    const signer = this.options.signer.channel(keyIndex);
    const context = this.context({ signer, remoteNodeId });
    try {
      const first = accept(context, message, { remoteNodeId, keyIndex });
      keyIndices.take();
      this.table.add({ id, remoteNodeId, signer, channel: NOT_BEGUN }).begin(first);
    } catch (cause) {
      if (!(cause instanceof ProtocolViolation)) throw cause;
      refuse(cause.message);
    }
  }

  private keepKeyIndex(): Promise<void> {
    return this.keyIndices
      .keep()
      .catch((cause: unknown) =>
        this.options.events.onAlarm("the counter of channel keys could not be stored", cause),
      );
  }

  private restore(stored: StoredChannel, fromHeight?: BlockHeight): boolean {
    try {
      const runner = this.table.restore(stored, this.options.signer, this.store.suspects);
      const record = this.record(runner.id);
      assert(record, "a restored channel has a record");
      this.keyIndices.seen(record.terms.keyIndex);
      this.watchAgain(runner, record);
      if (fromHeight) runner.input({ type: "reorganised", fromHeight, isReread: true });
      return true;
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      this.unreadable.add(toHex(stored.channelId));
      const alarm = `channel ${nameOf(stored.channelId)} cannot be read: ${text}`;
      this.options.events.onAlarm(alarm, cause);
      return false;
    }
  }

  private watchAgain(runner: ChannelRunner, record: ChannelRecord): void {
    const { crypto } = this.options;
    this.watch(runner, record.terms.fundingOutpoint, fundingScriptOf(crypto, record));
    for (const { raw } of record.facts) {
      const transaction = parseTransaction(raw);
      const txid = transactionId(crypto, transaction);
      for (const made of this.table.madeBy(runner, transaction, txid))
        this.watch(runner, made[0], undefined, made[1]);
    }
  }
}
