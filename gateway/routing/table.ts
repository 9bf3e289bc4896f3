/** The table of channels between gateways: what was announced and proven, each end's newest update, and what is closed for good. */
import {
  type ChannelAnnouncement,
  type ChannelUpdate,
  isSignedByItsSide,
  outpointKey,
  type RoutingStatement,
} from "../../core/messages/routing-statement.ts";
import type { Outpoint } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { toHex } from "../../core/primitives/bytes.ts";

export type Side = 0 | 1;

/** A statement that was taken, as it is told on. */
export interface Told {
  readonly key: string;
  /** A later statement of the same slot replaces this one. */
  readonly slot: "announcement" | "update-0" | "update-1" | "close";
  readonly bytes: Uint8Array;
}

export interface KnownChannel {
  readonly key: string;
  readonly body: ChannelAnnouncement;
  /** Hexadecimal node ids. */
  readonly nodes: readonly [string, string];
  readonly told: Told;
  readonly updates: readonly [KnownUpdate | undefined, KnownUpdate | undefined];
}

export interface KnownUpdate {
  readonly body: ChannelUpdate;
  readonly told: Told;
}

/** Why a statement was not taken. */
export type Outcome = "old" | "forged" | "unknown-channel";

export const MAX_CHANNELS = 5_000;
/** Closed ones that are remembered until the chain says so too. */
const MAX_CLOSED = 10_000;

export class RoutingTable {
  private readonly known = new Map<string, KnownChannel>();
  private readonly ofNode = new Map<string, Set<string>>();
  private readonly closed = new Map<string, Told>();

  constructor(private readonly crypto: Crypto) {}

  get size(): number {
    return this.known.size;
  }

  get(key: string): KnownChannel | undefined {
    return this.known.get(key);
  }

  channels(): IterableIterator<KnownChannel> {
    return this.known.values();
  }

  /** Those that this node has an end of. */
  channelsOf(node: string): readonly KnownChannel[] {
    return [...(this.ofNode.get(node) ?? [])].map((key) => this.known.get(key) as KnownChannel);
  }

  /** The newest of what a node says of itself: what it asks for on channels that nobody announces. */
  newestUpdateOf(node: string): ChannelUpdate | undefined {
    const all = this.channelsOf(node).flatMap(
      ({ nodes, updates }) => updates[nodes[0] === node ? 0 : 1]?.body ?? [],
    );
    return all.reduce<ChannelUpdate | undefined>(
      (newest, one) => (newest && newest.sequence >= one.sequence ? newest : one),
      undefined,
    );
  }

  /** Whether an announcement is worth its checks. The first that was proven holds. */
  wants(outpoint: Outpoint): "unknown" | "known" | "closed" | "full" {
    const key = outpointKey(outpoint);
    if (this.known.has(key)) return "known";
    if (this.closed.has(key)) return "closed";
    return this.known.size >= MAX_CHANNELS ? "full" : "unknown";
  }

  /** Its signatures and its funding are checked already. */
  add(body: ChannelAnnouncement, bytes: Uint8Array): Told {
    const key = outpointKey(body);
    const nodes = [toHex(body.node0), toHex(body.node1)] as const;
    const told: Told = { key, slot: "announcement", bytes };
    this.known.set(key, { key, body, nodes, told, updates: [undefined, undefined] });
    for (const node of nodes) this.keysOf(node).add(key);
    return told;
  }

  update(
    statement: Extract<RoutingStatement, { type: "update" }>,
    bytes: Uint8Array,
  ): Outcome | Told {
    const { body } = statement;
    const key = outpointKey(body);
    const channel = this.known.get(key);
    if (!channel) return this.closed.has(key) ? "old" : "unknown-channel";
    const side = body.side as Side;
    const newest = channel.updates[side]?.body.sequence ?? -1;
    if (body.sequence <= newest) return "old";
    if (!isSignedByItsSide(this.crypto, statement, channel.body)) return "forged";
    const told: Told = { key, slot: side === 0 ? "update-0" : "update-1", bytes };
    const mine: KnownUpdate = { body, told };
    const [of0, of1] = channel.updates;
    this.known.set(key, { ...channel, updates: side === 0 ? [mine, of1] : [of0, mine] });
    return told;
  }

  close(
    statement: Extract<RoutingStatement, { type: "close" }>,
    bytes: Uint8Array,
  ): Outcome | Told {
    const key = outpointKey(statement.body);
    const channel = this.known.get(key);
    if (!channel) return this.closed.has(key) ? "old" : "unknown-channel";
    if (!isSignedByItsSide(this.crypto, statement, channel.body)) return "forged";
    const told: Told = { key, slot: "close", bytes };
    this.drop(key);
    this.closed.set(key, told);
    if (this.closed.size > MAX_CLOSED) {
      const [oldest] = this.closed.keys();
      if (oldest !== undefined) this.closed.delete(oldest);
    }
    return told;
  }

  /** The chain says that it is over: an announcement of it would not be proven again. */
  drop(key: string): void {
    const channel = this.known.get(key);
    this.closed.delete(key);
    if (!channel) return;
    this.known.delete(key);
    for (const node of channel.nodes) {
      const keys = this.keysOf(node);
      keys.delete(key);
      if (keys.size === 0) this.ofNode.delete(node);
    }
  }

  /** All of it, each announcement before its updates. */
  *statements(): Generator<Told> {
    for (const { told, updates } of this.known.values()) {
      yield told;
      for (const update of updates) if (update) yield update.told;
    }
  }

  private keysOf(node: string): Set<string> {
    const keys = this.ofNode.get(node) ?? new Set();
    this.ofNode.set(node, keys);
    return keys;
  }
}
