/** What a session is made of, and whom it tells (docs/PROTOCOL.md "Sessions"). */
import type { Message } from "../messages/message.ts";
import type { Entropy } from "../ports/crypto.ts";
import type { Link } from "../ports/link.ts";
import type { PublicKey } from "../primitives/brands.ts";
import type { ProtocolViolation } from "../primitives/errors.ts";
import type { IdentityCard } from "./identity.ts";
import type { HandshakeContext } from "./noise.ts";
import type { SessionTiming } from "./timing.ts";

export interface SessionEvents {
  /** The peer is authenticated; the node sends `init` now. */
  onEstablished(remoteNodeId: PublicKey): void;
  /** Byte strings in it are views of memory that nobody else writes. Never ping, pong or an unknown odd message. */
  onMessage(message: Message): void;
  /** An established session ended; an initiator calls again by itself until `close`. */
  onClosed(reason: string): void;
  /** The peer sent what is no message; the session ends right after this, `send` still works inside. */
  onViolation?(violation: ProtocolViolation): void;
}

export interface SessionOptions extends HandshakeContext {
  readonly entropy: Entropy;
  readonly link: Link;
  /** Whom to call, from the first tick on; without it the session answers whoever calls. */
  readonly remoteNodeId?: PublicKey;
  /** The largest packet that we take, and so the largest message, as our `init` says. */
  readonly maxMessageBytes: number;
  readonly timing?: SessionTiming;
  readonly nowMs: number;
  readonly events: SessionEvents;
  /** What is said to whoever asks; without it nobody is answered. */
  card?(): IdentityCard;
}
