/** All sessions of a node: one per peer, the newest authenticated one wins (BOLT 1 "Connection Handling"). */
import type { Message } from "../messages/message.ts";
import type { Link } from "../ports/link.ts";
import type { PublicKey } from "../primitives/brands.ts";
import { ByteMap } from "../primitives/byte-map.ts";
import { compare, equal } from "../primitives/bytes.ts";
import { assert, type ProtocolViolation } from "../primitives/errors.ts";
import type { Origin } from "./established.ts";
import { Session } from "./session.ts";
import type { SessionOptions } from "./session-options.ts";
import { defaultTiming } from "./timing.ts";

export interface PeerEvents {
  /** Also where the peer comes again: `onClosed` was called for its earlier session. */
  onEstablished(remoteNodeId: PublicKey, session: Session): void;
  onMessage(remoteNodeId: PublicKey, message: Message): void;
  onClosed(remoteNodeId: PublicKey, reason: string): void;
  onViolation?(remoteNodeId: PublicKey, violation: ProtocolViolation): void;
}

export type SessionsOptions = Omit<SessionOptions, "events" | "encoders"> & {
  /** Links at a time. */
  readonly maxLinks: number;
  readonly events: PeerEvents;
  readonly nowMs: number;
};

export class Sessions {
  private readonly all: Session[] = [];
  /** By the peer's node id in hexadecimal. */
  private readonly chosen = new ByteMap<Session>();
  private readonly shared: SessionOptions;
  private nowMs: number;

  constructor(private readonly options: SessionsOptions) {
    const { events, nowMs } = options;
    this.nowMs = nowMs;
    this.shared = {
      ...options,
      encoders: [],
      events: {
        onEstablished: (id, session) => this.choose(id, session),
        onMessage: (message, id) => events.onMessage(id, message),
        onViolation: (violation, id) => events.onViolation?.(id, violation),
        onClosed: (reason, id, session) => this.closed(id, session, reason),
      },
    };
  }

  /** Takes the link over; with `remoteNodeId` it calls that node at the next tick, else it waits to be called. */
  add(link: Link, remoteNodeId?: PublicKey): Session {
    assert(this.all.length < this.options.maxLinks, `more than ${this.options.maxLinks} links`);
    const session = new Session(this.shared, { link, remoteNodeId, nowMs: this.nowMs });
    this.all.push(session);
    return session;
  }

  to(remoteNodeId: PublicKey): Session | undefined {
    return this.chosen.get(remoteNodeId);
  }

  /** False where the peer is not connected. */
  send(remoteNodeId: PublicKey, message: Message): boolean {
    return this.to(remoteNodeId)?.send(message) ?? false;
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs;
    for (const session of [...this.all]) session.tick(nowMs);
    for (let i = this.all.length - 1; i >= 0; i--) {
      if (this.all[i]?.isFinished) this.all.splice(i, 1);
    }
  }

  close(reason: string): void {
    for (const session of [...this.all]) session.close(reason);
    this.all.length = 0;
  }

  private choose(id: PublicKey, session: Session): void {
    const older = this.to(id);
    if (older !== undefined && older !== session) {
      if (this.olderStays(id, older.origin, session.origin)) {
        session.supersede();
        return;
      }
      older.supersede();
    }
    this.chosen.set(id, session);
    for (const other of this.callersOf(id)) if (other !== session) other.hold();
    this.options.events.onEstablished(id, session);
  }

  /** Where both nodes called at the same time over two links, both must keep the same one: the lower node id's call. */
  private olderStays(id: PublicKey, older: Origin | undefined, newer: Origin | undefined): boolean {
    if (older === undefined || newer === undefined) return false;
    const { handshakeTimeoutMs } = this.options.timing ?? defaultTiming;
    const together = newer.sinceMs - older.sinceMs < handshakeTimeoutMs;
    if (!together || older.weInitiated === newer.weInitiated) return false;
    const weAreLower = compare(this.options.identity.nodeId, id) < 0;
    return older.weInitiated === weAreLower;
  }

  private closed(id: PublicKey, session: Session, reason: string): void {
    if (this.to(id) !== session) return;
    this.chosen.delete(id);
    this.options.events.onClosed(id, reason);
    for (const other of this.callersOf(id)) if (other !== session) other.wake();
  }

  private callersOf(id: PublicKey): readonly Session[] {
    return this.all.filter(({ callee }) => callee !== undefined && equal(callee, id));
  }
}
