/** Tells peers what the table took: all of it when they come, then what is new, each statement once and no faster than they take it. */

import type { PublicKey } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import type { RoutingTable, Told } from "./table.ts";
import { TokenBucket } from "./token-bucket.ts";

export interface GossipOptions {
  readonly table: RoutingTable;
  /** False: the peer is away. */
  send(peer: PublicKey, statement: Uint8Array): boolean;
}

/** A quarter, and half, of what a peer takes (intake.ts): nothing that is honestly told is lost to its limits. */
const SEND_BURST = 1_000;
const SEND_PER_SECOND = 50;
/** Whom the table is told; bounds what waits in memory. */
export const MAX_PEERS = 64;

interface Peer {
  readonly id: PublicKey;
  /** What it is still to be told, newest last; one for each slot of a channel. */
  readonly outbox: Map<string, Told>;
}

export class Gossip {
  private readonly peers = new Map<string, Peer>();
  /** Kept while a peer is away: who comes back again and again is told no more for it. */
  private readonly buckets = new Map<string, TokenBucket>();

  constructor(private readonly options: GossipOptions) {}

  /** The whole table is told it, from the next tick on. */
  join(id: PublicKey): void {
    const name = toHex(id);
    if (this.peers.size >= MAX_PEERS && !this.peers.has(name)) return;
    const outbox = new Map<string, Told>();
    for (const told of this.options.table.statements()) outbox.set(slotOf(told), told);
    this.peers.set(name, { id, outbox });
  }

  leave(id: PublicKey): void {
    this.peers.delete(toHex(id));
  }

  /** To all but `from`, who told us: what is not new is not told on, so that nothing goes in circles. */
  tell(told: Told, from?: PublicKey): void {
    const teller = from && toHex(from);
    for (const [name, { outbox }] of this.peers) {
      if (told.slot === "close") forget(outbox, told.key);
      if (name === teller) outbox.delete(slotOf(told));
      else outbox.set(slotOf(told), told);
    }
  }

  /** Nothing more is said of a channel that is spent. */
  forget(key: string): void {
    for (const { outbox } of this.peers.values()) forget(outbox, key);
  }

  tick(nowMs: number): void {
    for (const [name, { id, outbox }] of this.peers) {
      if (outbox.size === 0) continue;
      const bucket = this.bucketOf(name);
      for (const [slot, { bytes }] of outbox) {
        if (!bucket.take(nowMs)) break;
        if (!this.options.send(id, bytes)) break;
        outbox.delete(slot);
      }
    }
  }

  private bucketOf(name: string): TokenBucket {
    const bucket = this.buckets.get(name) ?? new TokenBucket(SEND_BURST, SEND_PER_SECOND);
    this.buckets.delete(name);
    this.buckets.set(name, bucket);
    if (this.buckets.size > 4 * MAX_PEERS) {
      const [oldest] = this.buckets.keys();
      if (oldest !== undefined) this.buckets.delete(oldest);
    }
    return bucket;
  }
}

function slotOf({ key, slot }: Told): string {
  return `${key}/${slot}`;
}

function forget(outbox: Map<string, Told>, key: string): void {
  for (const slot of ["announcement", "update-0", "update-1", "close"] as const) {
    outbox.delete(slotOf({ key, slot, bytes: NOTHING }));
  }
}

const NOTHING = new Uint8Array(0);
