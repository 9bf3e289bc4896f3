/** Feeds a node from a chain source, block by block and in order, and remembers how far it came (BOLT 5: reorganisations are undone). */
import { type Node, REWIND_BLOCKS } from "../../core/node/node.ts";
import type { BlockEvent, ChainSource, ConfirmedTransaction } from "../../core/ports/chain.ts";
import type { Store } from "../../core/ports/store.ts";
import { type BlockHeight, blockHeight, type ChannelId } from "../../core/primitives/brands.ts";
import type { ChainPublisher } from "./publisher.ts";

/** What is followed for: the part of a Node that blocks concern. */
export interface FollowedNode
  extends Pick<
    Node,
    "rewind" | "setFeerates" | "channels" | "transactionConfirmed" | "reconsider"
  > {
  readonly isAbreastOfChain: boolean;
  blockConnected(block: BlockEvent): void;
}

export interface FollowOptions {
  readonly node: FollowedNode;
  readonly source: ChainSource;
  readonly store: Store;
  readonly publisher: Pick<
    ChainPublisher,
    "hold" | "resume" | "blockDone" | "blockUndone" | "idle"
  >;
  /** Something failed and following goes on. */
  readonly onError?: (error: Error) => void;
}

export interface ChainFollowing {
  /** Until the node has worked on every block up to the tip that was known at the start. */
  readonly caughtUp: Promise<void>;
  /** Between two blocks: `begin` adds channels to the node, which are then told what happened to them from that height on. */
  adopt(newcomers: Newcomers): Promise<void>;
  /** No block reaches the node after this; the source stays open. */
  stop(): Promise<void>;
}

/** Channels that another process ran until now. */
export interface Newcomers {
  readonly ids: readonly ChannelId[];
  /** What was told to them; they are told all that came after it. */
  readonly from: BlockHeight;
  /** Adds them to the node. */
  begin(): Promise<void>;
  /** Blocks that are read again, for whoever came with them. */
  replayed?(transactions: readonly ConfirmedTransaction[]): void;
}

const HEIGHT = "chain-height";
/** While catching up, the height is stored this often. */
const STORE_EVERY_BLOCKS = 100;
/** Channels of a crowd that comes; between them the process renews its leases, and answers. */
const RECONSIDERED_AT_ONCE = 16;

/** The newest block that the node has worked on, for Node.start; undefined at its first start. */
export async function processedHeight(store: Store): Promise<BlockHeight | undefined> {
  const stored = await store.getValue(HEIGHT);
  if (stored?.length !== 4) return undefined;
  return blockHeight(new DataView(stored.buffer, stored.byteOffset, 4).getUint32(0));
}

/** Once per node and source. The last REWIND_BLOCKS are read again: a reorganisation may have happened meanwhile. */
export async function followChain(options: FollowOptions): Promise<ChainFollowing> {
  const { node, source, store, publisher } = options;
  const { height: tip } = await source.tip();
  const from = await firstHeight(node, store, tip);
  publisher.hold();
  node.rewind(from, true);
  await worked(node);
  const follower = new Feed(options, tip);
  source.subscribe(
    {
      blockConnected: (block) => follower.turn(() => follower.connected(block)),
      blockDisconnected: (height) => follower.turn(() => follower.disconnected(height)),
    },
    from,
  );
  // Nothing but the genesis block: there is no block to wait for.
  if (from > tip) await follower.turn(() => follower.arrive());
  return {
    caughtUp: follower.caughtUp,
    adopt: (newcomers) => follower.adopt(newcomers),
    stop: () => follower.stop(),
  };
}

/** Without a stored height, records may have come from another machine: whatever ended their channels is later than they are. */
async function firstHeight(node: FollowedNode, store: Store, tip: BlockHeight) {
  const processed = await processedHeight(store);
  if (processed !== undefined) {
    return blockHeight(Math.max(1, Math.min(processed, tip) + 1 - REWIND_BLOCKS));
  }
  const births = node.channels().flatMap(({ channel }) => {
    return channel.kind === "live" ? [channel.record.createdAtHeight] : [];
  });
  return blockHeight(Math.max(1, Math.min(tip, ...births)));
}

class Feed {
  readonly caughtUp: Promise<void>;
  #arrived!: () => void;
  #behind = true;
  /** Of the last block that the node was told. */
  #height: BlockHeight;
  #stopped = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(
    private readonly options: FollowOptions,
    private readonly tip: BlockHeight,
  ) {
    this.#height = blockHeight(0);
    this.caughtUp = new Promise((resolve) => {
      this.#arrived = resolve;
    });
  }

  /** One event after the other; what fails is told, and never stops the chain. */
  turn(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      if (this.#stopped) return;
      try {
        await work();
      } catch (error) {
        this.options.onError?.(error instanceof Error ? error : new Error(String(error)));
      }
    });
    return this.#turn;
  }

  /** Until the last block that the others were told; nothing is sent meanwhile. */
  async adopt({ ids, from, begin, replayed }: Newcomers): Promise<void> {
    const { node, source, publisher } = this.options;
    const work = async () => {
      publisher.hold();
      await begin();
      await worked(node);
      try {
        await source.replay({ from, to: this.#height }, ({ transactions }) => {
          for (const { raw, height } of transactions) node.transactionConfirmed(raw, height);
          replayed?.(transactions);
        });
      } finally {
        if (!this.#behind) publisher.resume();
      }
      for (let at = 0; at < ids.length; at += RECONSIDERED_AT_ONCE) {
        node.reconsider(ids.slice(at, at + RECONSIDERED_AT_ONCE));
        await new Promise((wake) => setImmediate(wake));
      }
      await worked(node);
    };
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    await done;
  }

  async connected(block: BlockEvent): Promise<void> {
    const { node, publisher } = this.options;
    const arriving = this.#behind && block.height >= this.tip;
    if (!this.#behind || arriving) await this.#learnFeerates();
    node.blockConnected(block);
    this.#height = block.height;
    await worked(node);
    publisher.blockDone(block.transactions);
    if (arriving) {
      this.#behind = false;
      publisher.resume();
    }
    await publisher.idle();
    if (!this.#behind || block.height % STORE_EVERY_BLOCKS === 0) await this.#store(block.height);
    if (arriving) this.#arrived();
  }

  /** At a chain without a block. */
  async arrive(): Promise<void> {
    if (!this.#behind) return;
    this.#behind = false;
    await this.#learnFeerates();
    this.options.publisher.resume();
    this.#arrived();
  }

  async disconnected(height: BlockHeight): Promise<void> {
    const { node, publisher } = this.options;
    this.#height = blockHeight(Math.max(0, height - 1));
    publisher.blockUndone(height);
    node.rewind(height);
    await worked(node);
    await this.#store(blockHeight(Math.max(0, height - 1)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#turn;
  }

  async #learnFeerates(): Promise<void> {
    const { source, node } = this.options;
    try {
      const [now, soon, economy] = await Promise.all([
        source.feeratePerKw("now"),
        source.feeratePerKw("soon"),
        source.feeratePerKw("economy"),
      ]);
      node.setFeerates({ now, soon, economy });
    } catch (error) {
      this.options.onError?.(error as Error); // the last known ones stay
    }
  }

  async #store(height: BlockHeight): Promise<void> {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, height);
    await this.options.store.setValue(HEIGHT, bytes);
  }
}

/** A node with a store of its own pace works on after its methods return. It need not be idle: under load it never is. */
async function worked(node: FollowedNode): Promise<void> {
  while (!node.isAbreastOfChain) await new Promise((wake) => setImmediate(wake));
}
