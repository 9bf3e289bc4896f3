/** The peers of a node: sessions, and `init` before anything else (BOLT 1 "The init Message"). */
import type { Negotiated } from "../channel/context.ts";
import type { Message } from "../messages/message.ts";
import type { Crypto, Entropy } from "../ports/crypto.ts";
import type { Link } from "../ports/link.ts";
import type { NodeSigner } from "../ports/signer.ts";
import { channelId, type PublicKey } from "../primitives/brands.ts";
import { ByteMap } from "../primitives/byte-map.ts";
import { toHex } from "../primitives/bytes.ts";
import { demand, ProtocolViolation } from "../primitives/errors.ts";
import type { IdentityCard } from "../transport/identity.ts";
import { Sessions } from "../transport/sessions.ts";
import type { SessionTiming } from "../transport/timing.ts";
import { greeting, isAlike, negotiated } from "./greeting.ts";

export interface PeersOptions {
  readonly crypto: Crypto;
  readonly signer: NodeSigner;
  readonly entropy: Entropy;
  readonly features: Uint8Array;
  readonly chainHash: Uint8Array;
  readonly maxMessageBytes: number;
  readonly maxLinks: number;
  readonly timing?: SessionTiming;
  readonly nowMs: number;
  /** What is said to whoever asks on a link. */
  card?(): IdentityCard;
}

export interface PeerEvents {
  /** `init` was exchanged. */
  connected(remoteNodeId: PublicKey): void;
  disconnected(remoteNodeId: PublicKey, reason: string): void;
  /** May throw ProtocolViolation: the peer is told, the session dropped. */
  message(remoteNodeId: PublicKey, message: Message): void;
  alarm(text: string): void;
}

/** A `warning` under this id speaks of all channels (BOLT 1). */
const ALL_CHANNELS = channelId(new Uint8Array(32));

interface Peer {
  negotiated: Negotiated | undefined;
}

export class Peers {
  private readonly sessions: Sessions;
  private readonly known = new ByteMap<Peer>();
  /** With the peer that came last. */
  private newest: Negotiated | undefined;

  constructor(
    private readonly options: PeersOptions,
    private readonly events: PeerEvents,
  ) {
    const { signer: identity, ...rest } = options;
    this.sessions = new Sessions({
      ...rest,
      identity,
      events: {
        onEstablished: (id) => this.established(id),
        onMessage: (id, message) => this.received(id, message),
        onClosed: (id, reason) => this.closed(id, reason),
        onViolation: (id, violation) => this.complain(id, violation),
      },
    });
  }

  attach(link: Link, remoteNodeId?: PublicKey): void {
    this.sessions.add(link, remoteNodeId);
  }

  /** What both sides said in `init`; undefined while the peer is away. */
  negotiated(remoteNodeId: PublicKey): Negotiated | undefined {
    return this.known.get(remoteNodeId)?.negotiated;
  }

  /** What `work` sends to this peer leaves in as few packets as it can, in the same order, when `work` is done. */
  together(remoteNodeId: PublicKey, work: () => void): void {
    const session = this.sessions.to(remoteNodeId);
    if (session) session.together(work);
    else work();
  }

  send(remoteNodeId: PublicKey, message: Message): boolean {
    return this.sessions.send(remoteNodeId, message);
  }

  /** The link that the peer is on; undefined while it is away. */
  linkOf(remoteNodeId: PublicKey): Pick<Link, "name" | "kind"> | undefined {
    const session = this.negotiated(remoteNodeId) && this.sessions.to(remoteNodeId);
    return session && { name: session.link.name, kind: session.link.kind };
  }

  drop(remoteNodeId: PublicKey, reason: string): void {
    this.sessions.to(remoteNodeId)?.drop(reason);
  }

  /** The peer calls again at once, and may find another process of this node. */
  move(remoteNodeId: PublicKey, reason: string): void {
    this.sessions.to(remoteNodeId)?.move(reason);
  }

  tick(nowMs: number): void {
    this.sessions.tick(nowMs);
  }

  close(reason: string): void {
    this.sessions.close(reason);
  }

  private established(remoteNodeId: PublicKey): void {
    this.known.set(remoteNodeId, { negotiated: undefined });
    this.send(remoteNodeId, greeting(this.options));
  }

  private received(remoteNodeId: PublicKey, message: Message): void {
    const peer = this.known.get(remoteNodeId);
    if (!peer) return;
    try {
      if (peer.negotiated) {
        demand(message.type !== "init", "init", "comes once");
        this.events.message(remoteNodeId, message);
      } else {
        demand(message.type === "init", "init", "must be the first message");
        peer.negotiated = this.alike(negotiated(this.options, message));
        this.sessions.to(remoteNodeId)?.setPeerMaxMessage(message.maxMessageBytes);
        this.events.connected(remoteNodeId);
      }
    } catch (cause) {
      if (!(cause instanceof ProtocolViolation)) throw cause;
      this.complain(remoteNodeId, cause);
      this.drop(remoteNodeId, cause.message);
    }
  }

  /** What most peers of a host have in common is kept once. */
  private alike(fresh: Negotiated): Negotiated {
    if (!this.newest || !isAlike(this.newest, fresh)) this.newest = fresh;
    return this.newest;
  }

  private complain(remoteNodeId: PublicKey, { message: data }: ProtocolViolation): void {
    this.send(remoteNodeId, { type: "warning", channelId: ALL_CHANNELS, data });
    const name = toHex(remoteNodeId).slice(0, 16);
    this.events.alarm(`peer ${name} broke the protocol: ${data}`);
  }

  private closed(remoteNodeId: PublicKey, reason: string): void {
    const peer = this.known.get(remoteNodeId);
    this.known.delete(remoteNodeId);
    if (peer?.negotiated) this.events.disconnected(remoteNodeId, reason);
  }
}
