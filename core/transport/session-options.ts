/** What a session is made of, and whom it tells (docs/PROTOCOL.md "Sessions"). */
import type { CborEncoder } from "../messages/cbor.ts";
import type { Message } from "../messages/message.ts";
import type { Entropy } from "../ports/crypto.ts";
import type { Link } from "../ports/link.ts";
import type { PublicKey } from "../primitives/brands.ts";
import type { ProtocolViolation } from "../primitives/errors.ts";
import type { IdentityCard } from "./identity.ts";
import type { HandshakeContext } from "./noise.ts";
import type { Session } from "./session.ts";
import type { SessionTiming } from "./timing.ts";

/** Each is told of which peer, and of which session where sessions share their events. */
export interface SessionEvents {
  /** The peer is authenticated; the node sends `init` now. */
  onEstablished(remoteNodeId: PublicKey, session: Session): void;
  /** Byte strings in it are views of memory that nobody else writes. Never ping, pong or an unknown odd message. */
  onMessage(message: Message, remoteNodeId: PublicKey): void;
  /** An established session ended; an initiator calls again by itself until `close`. */
  onClosed(reason: string, remoteNodeId: PublicKey, session: Session): void;
  /** The peer sent what is no message; the session ends right after this, `send` still works inside. */
  onViolation?(violation: ProtocolViolation, remoteNodeId: PublicKey): void;
}

/** One session's own. */
export interface SessionStart {
  readonly link: Link;
  readonly nowMs: number;
  /** Whom to call, from the first tick on; without it the session answers whoever calls. */
  readonly remoteNodeId?: PublicKey | undefined;
}

/** What all sessions of a node share: a host has thousands. */
export interface SessionOptions extends HandshakeContext {
  readonly entropy: Entropy;
  /** The largest packet that we take, and so the largest message, as our `init` says. */
  readonly maxMessageBytes: number;
  readonly timing?: SessionTiming;
  readonly events: SessionEvents;
  /** A packet is made in one of them. */
  readonly encoders?: CborEncoder[];
  /** What is said to whoever asks; without it nobody is answered. */
  card?(): IdentityCard;
}
