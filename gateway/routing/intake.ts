/** Takes what peers tell: in bounds, signed by whom it is about, funded on chain; what waits for its announcement waits here. */
import {
  decodeStatement,
  isAnnouncementSigned,
  outpointKey,
  type RoutingStatement,
} from "../../core/messages/routing-statement.ts";
import type { Outpoint } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import type { Proof } from "./chain-check.ts";
import type { Outcome, RoutingTable, Told } from "./table.ts";
import { TokenBucket } from "./token-bucket.ts";

type Announcement = Extract<RoutingStatement, { type: "announcement" }>;
type OfChannel = Extract<RoutingStatement, { type: "update" | "close" }>;
type Signatures = Extract<RoutingStatement, { type: "signatures" }>;

export interface IntakeOptions {
  readonly crypto: Crypto;
  readonly table: RoutingTable;
  /** Rejects where the chain cannot be asked. */
  prove(body: Announcement["body"]): Promise<Proof>;
  nowSeconds(): number;
  /** The table took it. */
  onTaken(told: Told, from: PublicKey): void;
  /** For the two ends of a channel alone. */
  onSignatures(from: PublicKey, body: Signatures["body"]): void;
  /** A peer told something that no honest peer tells. */
  onRefused(from: PublicKey, reason: string): void;
}

const TAKE_BURST = 4_000;
const TAKE_PER_SECOND = 100;
/** Peers whose limits are remembered. */
const MAX_PEERS = 1_000;
/** Announcements that wait for the chain's answer. */
const MAX_CHECKS = 1_000;
/** Announcements that are a block or two too early. */
const MAX_EARLY = 500;
/** Updates and closes of one peer that came before their announcement. */
const MAX_ORPHANS_OF_PEER = 200;
/** One that is not on chain may be a block's difference; so many are not. */
const MAX_UNPROVEN = 20;
/** A clock may be so far ahead of ours. */
const MAX_AHEAD_SECONDS = 24 * 3_600;

interface Peer {
  readonly id: PublicKey;
  readonly bucket: TokenBucket;
  readonly orphans: Map<string, Uint8Array>;
  /** It told something forged: it is heard again when it comes again. */
  isMuted: boolean;
  /** Channels that it told of and that are not on chain. */
  unproven: number;
}

const FRESH = { isMuted: false, unproven: 0 };

interface Waiting {
  readonly statement: Announcement;
  readonly bytes: Uint8Array;
  readonly from: PublicKey;
}

export class Intake {
  private readonly peers = new Map<string, Peer>();
  private readonly checking = new Map<string, Waiting>();
  private readonly early = new Map<string, Waiting>();
  private checks: Promise<void> = Promise.resolve();

  constructor(private readonly options: IntakeOptions) {}

  /** Its link is new. */
  hear(peer: PublicKey): void {
    const known = this.peers.get(toHex(peer));
    if (!known) return;
    known.isMuted = false;
    known.unproven = 0;
  }

  receive(from: PublicKey, told: Uint8Array, nowMs: number): void {
    const peer = this.peerOf(from);
    if (peer.isMuted || !peer.bucket.take(nowMs)) return;
    const bytes = told.slice(); // it may be a part of something large, and is kept
    try {
      const statement = decodeStatement(bytes);
      if (statement) this.take(peer, statement, bytes);
    } catch (cause) {
      if (!(cause instanceof ProtocolViolation)) throw cause;
      this.refuse(peer, cause.message);
    }
  }

  /** What was too early is looked at again. */
  newBlock(): void {
    const all = [...this.early.values()];
    this.early.clear();
    for (const one of all) this.check(one);
  }

  /** Until nothing waits for the chain any more. */
  async settled(): Promise<void> {
    while (this.checking.size > 0) await this.checks;
  }

  private take(peer: Peer, statement: RoutingStatement, bytes: Uint8Array): void {
    const { options } = this;
    switch (statement.type) {
      case "signatures":
        options.onSignatures(peer.id, statement.body);
        return;
      case "announcement":
        this.announced(peer, statement, bytes);
        return;
      case "update": {
        // One from far ahead would stand against all that its sender says later.
        if (statement.body.sequence > options.nowSeconds() + MAX_AHEAD_SECONDS) return;
        this.applied(peer, statement, bytes, options.table.update(statement, bytes));
        return;
      }
      case "close":
        this.applied(peer, statement, bytes, options.table.close(statement, bytes));
    }
  }

  private announced(peer: Peer, statement: Announcement, bytes: Uint8Array): void {
    const { crypto, table } = this.options;
    const key = outpointKey(statement.body);
    if (table.wants(statement.body) !== "unknown") return;
    if (this.checking.has(key) || this.early.has(key)) return;
    if (this.checking.size >= MAX_CHECKS) return;
    if (!isAnnouncementSigned(crypto, statement)) {
      this.refuse(peer, "a channel was announced with a false signature");
      return;
    }
    this.check({ statement, bytes, from: peer.id });
  }

  /** One after the other: a peer's many announcements do not flood the chain node. */
  private check(waiting: Waiting): void {
    const key = outpointKey(waiting.statement.body);
    this.checking.set(key, waiting);
    this.checks = this.checks.then(async () => {
      const proof = await this.options
        .prove(waiting.statement.body)
        .catch((): Proof => ({ type: "too-early" }));
      this.checking.delete(key);
      this.checked(key, waiting, proof);
    });
  }

  private checked(key: string, waiting: Waiting, proof: Proof): void {
    const { table, onTaken, onRefused } = this.options;
    const { statement, bytes, from } = waiting;
    if (proof.type === "too-early") {
      if (this.early.size < MAX_EARLY) this.early.set(key, waiting);
      return;
    }
    if (proof.type === "refused") {
      const peer = this.peerOf(from);
      const reason = `a channel was announced that ${proof.reason}`;
      if (++peer.unproven >= MAX_UNPROVEN) this.refuse(peer, reason);
      else onRefused(from, reason);
      return;
    }
    if (table.wants(statement.body) !== "unknown") return;
    onTaken(table.add(statement.body, bytes), from);
    this.adopt(statement.body);
  }

  /** What was told of a channel before the channel itself; also where we announced it ourselves. */
  adopt(outpoint: Outpoint): void {
    const key = outpointKey(outpoint);
    for (const peer of this.peers.values()) {
      for (const slot of ["update-0", "update-1", "close-0", "close-1"]) {
        const bytes = peer.orphans.get(`${key}/${slot}`);
        peer.orphans.delete(`${key}/${slot}`);
        const statement = bytes && decodeStatement(bytes);
        if (statement) this.take(peer, statement, bytes);
      }
    }
  }

  private applied(
    peer: Peer,
    statement: OfChannel,
    bytes: Uint8Array,
    outcome: Outcome | Told,
  ): void {
    if (typeof outcome === "object") {
      this.options.onTaken(outcome, peer.id);
    } else if (outcome === "forged") {
      this.refuse(peer, `a channel's ${statement.type} came with a false signature`);
    } else if (outcome === "unknown-channel") {
      keepOrphan(peer, statement, bytes);
    }
  }

  private refuse(peer: Peer, reason: string): void {
    peer.isMuted = true;
    peer.orphans.clear();
    this.options.onRefused(peer.id, reason);
  }

  private peerOf(id: PublicKey): Peer {
    const name = toHex(id);
    const bucket = new TokenBucket(TAKE_BURST, TAKE_PER_SECOND);
    const peer = this.peers.get(name) ?? { id, bucket, orphans: new Map(), ...FRESH };
    this.peers.delete(name);
    this.peers.set(name, peer);
    const [oldest] = this.peers.keys();
    if (this.peers.size > MAX_PEERS && oldest !== undefined) this.peers.delete(oldest);
    return peer;
  }
}

/** Of a side's updates the newest, whatever the order in which they came. */
function keepOrphan({ orphans }: Peer, statement: OfChannel, bytes: Uint8Array): void {
  const { type, body } = statement;
  const slot = `${outpointKey(body)}/${type}-${body.side}`;
  const kept = orphans.get(slot);
  const earlier = kept && decodeStatement(kept);
  if (earlier?.type === "update" && statement.type === "update") {
    if (statement.body.sequence <= earlier.body.sequence) return;
  }
  orphans.delete(slot);
  orphans.set(slot, bytes);
  const [oldest] = orphans.keys();
  if (orphans.size > MAX_ORPHANS_OF_PEER && oldest !== undefined) orphans.delete(oldest);
}
