/** The routing of a gateway: its table of channels between gateways, told and heard over its peers, checked on chain, asked by payments. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Message } from "../../core/messages/message.ts";
import { outpointKey } from "../../core/messages/routing-statement.ts";
import type { Node } from "../../core/node/node.ts";
import type { BlockEvent, ChainSource } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { NodeSigner } from "../../core/ports/signer.ts";
import type {
  BlockHeight,
  ChannelId,
  MilliSatoshi,
  PublicKey,
} from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { parseTransaction } from "../../core/transactions/transaction.ts";
import type { ForwardPolicy } from "../payments/forward-policy.ts";
import { type ChainCheckOptions, proveChannel } from "./chain-check.ts";
import { Gossip } from "./gossip.ts";
import { Intake } from "./intake.ts";
import { OwnChannels } from "./own-channels.ts";
import { TableRouter } from "./router.ts";
import { type KnownChannel, RoutingTable, type Told } from "./table.ts";

export interface RoutingOptions {
  readonly crypto: Crypto;
  readonly signer: NodeSigner;
  readonly source: Pick<
    ChainSource,
    "transaction" | "unspentOutput" | "watchOutpoint" | "genesisHash"
  >;
  /** What we ask for; the same on each of our channels. */
  readonly policy: ForwardPolicy;
  /** Asked for when it has started. */
  node(): Node;
  nowSeconds(): number;
  onAlarm(text: string): void;
}

/** One end's terms, as it told them. */
export interface RouteEnd {
  readonly nodeId: string;
  readonly enabled: boolean;
  readonly feeBaseMsat: number;
  readonly feeProportionalMillionths: number;
  readonly cltvExpiryDelta: number;
  readonly htlcMinimumMsat: MilliSatoshi;
  readonly htlcMaximumMsat: MilliSatoshi;
  /** Seconds since 1970. */
  readonly updated: number;
}

/** A channel between gateways, for people and the API. */
export interface KnownRoute {
  /** `txid:vout`, the txid in the order of the bytes inside transactions. */
  readonly outpoint: string;
  /** BOLT 7: block x transaction x output. */
  readonly shortChannelId: string;
  readonly capacitySat: number;
  readonly nodes: readonly [string, string];
  readonly isOurs: boolean;
  /** By who told them; an end that told nothing is not there. */
  readonly ends: readonly RouteEnd[];
}

const LOOK_EVERY_MS = 1_000;

export class Routing {
  readonly table: RoutingTable;
  readonly router: TableRouter;
  private readonly intake: Intake;
  private readonly gossip: Gossip;
  private readonly own: OwnChannels;
  private readonly proving: ChainCheckOptions;
  /** Announced channels whose block may have left the chain. */
  private readonly doubtful = new Set<string>();
  /** Connected gateways that we have a channel with, hexadecimal. */
  private readonly routers = new Set<string>();
  private nowMs = 0;
  private lookedAtMs = 0;

  constructor(private readonly options: RoutingOptions) {
    const { crypto, source, signer, policy } = options;
    const node = () => options.node();
    const nowSeconds = () => options.nowSeconds();
    const send = (peer: PublicKey, statement: Uint8Array) =>
      node().sendService(peer, { type: "routing", statement });
    this.proving = { crypto, source, height: () => node().height };
    const table = new RoutingTable(crypto);
    this.table = table;
    this.gossip = new Gossip({ table, send });
    this.intake = new Intake({
      crypto,
      table,
      prove: (body) => proveChannel(this.proving, body),
      nowSeconds,
      onTaken: (told, from) => this.taken(told, from),
      onSignatures: (from, body) => this.own.signaturesCame(from, body),
      onRefused: (from, reason) =>
        options.onAlarm(`routing: ${toHex(from).slice(0, 16)}: ${reason}`),
    });
    this.own = new OwnChannels({
      ...options,
      table,
      node,
      nowSeconds,
      send,
      onTold: (told) => this.taken(told),
      onAnnounced: (body) => this.intake.adopt(body),
    });
    this.router = new TableRouter({
      table,
      self: toHex(signer.nodeId),
      usable: (peer) => this.own.usable(peer),
      height: () => node().height,
      nowSeconds,
      maxBlocksToExpiry: policy.maxBlocksToExpiry,
    });
  }

  /** All that is known, for people. */
  routes(): readonly KnownRoute[] {
    return [...this.table.channels()].map((channel) => this.routeOf(channel));
  }

  peer(id: PublicKey, state: "connected" | "disconnected"): void {
    if (state === "connected") {
      this.welcome(id);
      return;
    }
    this.gossip.leave(id);
    this.routers.delete(toHex(id));
  }

  channelEvent(id: ChannelId, event: ChannelEvent): void {
    switch (event.type) {
      case "created":
      case "ready":
      case "reestablished": {
        const record = this.options.node().record(event.type === "created" ? event.channelId : id);
        if (record) this.welcome(record.remoteNodeId);
        return;
      }
      case "closing":
      case "forceClosing":
      case "onChain":
      case "outdated":
      case "closed":
        this.own.look();
        return;
      default:
        return;
    }
  }

  /** False: the message is for others. */
  receive(from: PublicKey, message: Message): boolean {
    if (message.type !== "routing") return false;
    // Who has no channel with us has nothing to lose: it is not heard, and not told.
    if (this.routers.has(toHex(from))) this.intake.receive(from, message.statement, this.nowMs);
    return true;
  }

  blockConnected(block: Pick<BlockEvent, "height" | "transactions">): void {
    for (const { raw } of block.transactions) {
      for (const { outpoint } of parseTransaction(raw).inputs) this.spent(outpointKey(outpoint));
    }
    this.own.look();
    this.intake.newBlock();
    for (const key of [...this.doubtful]) this.proveAgain(key);
  }

  rewind(fromHeight: BlockHeight): void {
    for (const { key, body } of this.table.channels()) {
      if (body.blockHeight >= fromHeight) this.doubtful.add(key);
    }
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs;
    this.gossip.tick(nowMs);
    if (nowMs - this.lookedAtMs < LOOK_EVERY_MS) return;
    this.lookedAtMs = nowMs;
    this.own.look(nowMs);
  }

  /** Until nothing waits for the chain. */
  settled(): Promise<void> {
    return this.intake.settled();
  }

  private welcome(id: PublicKey): void {
    if (!this.isRouter(id)) return;
    const name = toHex(id);
    if (!this.routers.has(name)) {
      this.routers.add(name);
      this.intake.hear(id);
      this.gossip.join(id);
    }
    this.own.peerCame(id);
  }

  /** It is connected, has a channel with us, and keeps a table as well: a gateway, no device. */
  private isRouter(id: PublicKey): boolean {
    const node = this.options.node();
    const [first] = node.channels(id);
    return first !== undefined && node.contextOf(first.id)?.negotiated.routingTable === true;
  }

  private taken(told: Told, from?: PublicKey): void {
    const channel = this.table.get(told.key);
    if (told.slot === "announcement" && channel) this.options.source.watchOutpoint(channel.body);
    this.gossip.tell(told, from);
  }

  private spent(key: string): void {
    if (this.table.get(key)) this.gossip.forget(key);
    this.table.drop(key);
  }

  private proveAgain(key: string): void {
    const channel = this.table.get(key);
    this.doubtful.delete(key);
    if (!channel) return;
    proveChannel(this.proving, channel.body)
      .then((proof) => {
        if (proof.type === "too-early") this.doubtful.add(key);
        if (proof.type === "refused") this.spent(key);
      })
      .catch(() => this.doubtful.add(key));
  }

  private routeOf({ body, nodes, updates }: KnownChannel): KnownRoute {
    return {
      outpoint: outpointKey(body),
      shortChannelId: `${body.blockHeight}x${body.blockIndex}x${body.vout}`,
      capacitySat: body.capacity,
      nodes,
      isOurs: nodes.includes(toHex(this.options.signer.nodeId)),
      ends: updates.flatMap((update, side) => {
        if (!update) return [];
        const { txid: _, vout: _vout, side: _side, sequence, ...terms } = update.body;
        return [{ nodeId: nodes[side] as string, ...terms, updated: sequence }];
      }),
    };
  }
}
