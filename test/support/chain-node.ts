/** A whole node on a lab's chain, as a gateway runs one: source, wallet, publisher, blocks in order; and copies of it. */
import { encodeRecord } from "../../core/channel/codec.ts";
import type { ChannelPolicy } from "../../core/channel/context.ts";
import type { ChannelEvent } from "../../core/channel/effects.ts";
import { hostPolicy } from "../../core/channel/policy.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { Node } from "../../core/node/node.ts";
import type { ChainSource, ChainWallet } from "../../core/ports/chain.ts";
import type { CommitOutcome, StoreCommit, StoredChannel } from "../../core/ports/store.ts";
import { blockHeight, type ChannelId, type PublicKey } from "../../core/primitives/brands.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import { type ChainFollowing, followChain, processedHeight } from "../../gateway/chain/follow.ts";
import { ChainPublisher, type PublisherStep } from "../../gateway/chain/publisher.ts";
import { Watching, type WatchingEvent } from "../../gateway/tower/watching.ts";
import type { ChainLab } from "./chain-lab.ts";
import { crypto, FEATURES, type Told } from "./node-pair.ts";

/** Short delays, so that a channel's end takes few blocks. */
export const quickPolicy: ChannelPolicy = {
  ...hostPolicy,
  toSelfDelay: 6,
  minimumDepth: 1,
  fulfillSafetyBlocks: 4,
  timeoutGraceBlocks: 1,
  irrevocableDepth: 3,
};

export interface ChainNodeOptions {
  /** Also its wallet's name. */
  readonly name: string;
  readonly seed: Uint8Array;
  readonly policy?: ChannelPolicy;
  readonly store?: BackupStore;
  /** The owner's extended public key (cold payout). */
  readonly payoutKey?: string;
  /** Instead of the lab's wallet of that name. */
  readonly wallet?: ChainWallet;
  /** The node that watches for it. */
  readonly tower?: PublicKey;
  /** Of the penalties as it signs them. */
  readonly penaltyFeeratePerKw?: number;
}

/** Hands records out as bytes, as a disk would: what starts from it starts from seed and record alone. */
export class BackupStore extends MemoryStore {
  /** Commits take their time, as a database's do. */
  slow = false;

  override commit(change: StoreCommit): CommitOutcome {
    if (!this.slow) return super.commit(change);
    const later = new Promise((wake) => setImmediate(wake)).then(() => super.commit(change));
    return later as unknown as CommitOutcome; // as the port allows
  }

  override load(): readonly StoredChannel[] {
    return super.load().map((stored) => {
      const { live } = stored.record as { readonly live: unknown };
      return { ...stored, record: encodeRecord(live as ChannelRecord) };
    });
  }

  /** The channels as they are now; not how far the chain was read. */
  copy(): BackupStore {
    const copy = new BackupStore();
    for (const { channelId, record, archive } of super.load()) {
      const { live } = record as { readonly live: unknown };
      copy.commit({
        channelId,
        record: () => encodeRecord(live as ChannelRecord),
        live,
        archive,
      });
    }
    return copy;
  }
}

export class ChainNode {
  readonly told: Told[] = [];
  readonly alarms: string[] = [];
  readonly steps: PublisherStep[] = [];
  readonly signer: SeedSigner;
  readonly payoutScript: Uint8Array;
  readonly store: BackupStore;
  node!: Node;
  source!: ChainSource;
  publisher!: ChainPublisher;
  watching!: Watching;
  readonly watched: WatchingEvent[] = [];
  private following: ChainFollowing | undefined;
  private drawn = 0;

  private constructor(
    readonly lab: ChainLab,
    readonly options: ChainNodeOptions,
  ) {
    const { seed, payoutKey, store } = options;
    this.signer = new SeedSigner(crypto, seed, payoutKey === undefined ? {} : { payoutKey });
    this.payoutScript = p2wpkh(crypto, this.signer.nodeId);
    this.store = store ?? new BackupStore();
  }

  static async start(lab: ChainLab, options: ChainNodeOptions): Promise<ChainNode> {
    const made = new ChainNode(lab, options);
    await made.restart();
    return made;
  }

  get nodeId(): PublicKey {
    return this.signer.nodeId;
  }

  get isRunning(): boolean {
    return this.following !== undefined;
  }

  /** Starts, or starts again from its store. */
  async restart(): Promise<void> {
    const { lab, signer, store, payoutScript } = this;
    this.source = await lab.source();
    this.publisher = new ChainPublisher({
      crypto,
      source: this.source,
      wallet: this.options.wallet ?? (await lab.wallet(this.options.name)),
      signerOf: (id) => {
        const record = this.node.record(id);
        return record && signer.channel(record.terms.keyIndex);
      },
      onStep: (step) => this.steps.push(step),
    });
    const { tower, penaltyFeeratePerKw: feeratePerKw } = this.options;
    this.watching = new Watching(
      {
        crypto,
        signer,
        store,
        source: this.source,
        publisher: this.publisher,
        send: (peer, message) => this.node.sendService(peer, message),
        onEvent: (event) => this.watched.push(event),
      },
      { ...(tower ? { tower } : {}), ...(feeratePerKw === undefined ? {} : { feeratePerKw }) },
    );
    this.watching.start(payoutScript);
    const height = (await processedHeight(store)) ?? blockHeight(0);
    this.node = await Node.start(
      {
        crypto,
        signer,
        store: this.watching.store,
        entropy: { random: (length) => this.random(length) },
        chain: this.publisher,
        chainHash: lab.genesisHash,
        policy: this.options.policy ?? quickPolicy,
        features: FEATURES,
        maxMessageBytes: 65535,
        payoutScript,
        maxChannels: 16,
        maxLinks: 16,
        events: {
          onChannelEvent: (id, event) => this.told.push({ id, event }),
          onPeer: (peer, state) => this.watching.peer(peer, state),
          onServiceMessage: (peer, message) => void this.watching.receive(peer, message),
          onAlarm: (text) => this.alarms.push(text),
        },
        nowMs: 0,
      },
      height,
    );
    this.following = await followChain({
      node: this.node,
      source: this.source,
      store,
      publisher: this.publisher,
      onError: (error) => this.alarms.push(error.message),
    });
    await lab.settle();
    await this.following.caughtUp;
  }

  /** As if the power went: nothing is heard or sent any more; the store stays. */
  async stop(): Promise<void> {
    if (!this.following) return;
    await this.following.stop();
    await this.idle();
    await this.publisher.close();
    await this.source.close();
    this.following = undefined;
  }

  tick(nowMs: number): void {
    this.node.tick(nowMs);
    this.watching.tick(nowMs);
  }

  /** Until nothing is under way in the node and on its way to the chain. */
  async idle(): Promise<void> {
    while (!this.node.isIdle) await new Promise((wake) => setImmediate(wake));
    await this.publisher.idle();
  }

  record(id: ChannelId): ChannelRecord {
    const record = this.node.record(id);
    if (!record) throw new Error(`${this.options.name} has no such channel any more`);
    return record;
  }

  /** All events of one type, oldest first. */
  events<T extends ChannelEvent["type"]>(type: T): Extract<ChannelEvent, { type: T }>[] {
    return this.told.flatMap(({ event }) => (event.type === type ? [event as never] : []));
  }

  stepsOf(type: PublisherStep["type"]): readonly PublisherStep[] {
    return this.steps.filter((step) => step.type === type);
  }

  private random(length: number): Uint8Array {
    const { seed, name } = this.options;
    const salt = ascii(`${name} ${seed.join()} ${++this.drawn}`);
    return crypto.sha256(salt).slice(0, length);
  }
}
