/** What a node is made of: its ports, its policy, and whom it tells (DESIGN §2 "ports"). */
import type { Claim } from "../chain/monitor/watched.ts";
import type { ChannelPolicy } from "../channel/context.ts";
import type { ChannelEvent } from "../channel/effects.ts";
import type { Message } from "../messages/message.ts";
import type { Outpoint } from "../ports/chain.ts";
import type { Crypto, Entropy } from "../ports/crypto.ts";
import type { NodeSigner } from "../ports/signer.ts";
import type { Store } from "../ports/store.ts";
import type { ChannelId, PublicKey } from "../primitives/brands.ts";
import type { IdentityCard } from "../transport/identity.ts";
import type { SessionTiming } from "../transport/timing.ts";
import type { KeyIndexRange } from "./key-index.ts";

/** What the node asks of the chain; a gateway answers with its bitcoind, a device with its gateway. */
export interface NodeChain {
  watch(outpoint: Outpoint, script?: Uint8Array): void;
  /** Again at every block until it confirms: adapters are idempotent. */
  publish(channel: ChannelId, claim: Claim): void;
  publishClose(channel: ChannelId, raw: Uint8Array): void;
}

export interface NodeEvents {
  onChannelEvent(id: ChannelId, event: ChannelEvent): void;
  onPeer(remoteNodeId: PublicKey, state: "connected" | "disconnected", reason?: string): void;
  /** A message that belongs to no channel (core/messages/service.ts). */
  onServiceMessage(remoteNodeId: PublicKey, message: Message): void;
  /** Something that a person must see: a channel that halted, a record that cannot be read. */
  onAlarm(text: string, cause?: unknown): void;
}

export interface NodeOptions {
  readonly crypto: Crypto;
  readonly signer: NodeSigner;
  readonly store: Store;
  readonly entropy: Entropy;
  readonly chain: NodeChain;
  readonly chainHash: Uint8Array;
  readonly policy: ChannelPolicy;
  readonly features: Uint8Array;
  /** Our `init`'s: a device 4096, a host 65535. */
  readonly maxMessageBytes: number;
  readonly payoutScript: Uint8Array;
  readonly maxChannels: number;
  readonly maxLinks: number;
  readonly events: NodeEvents;
  readonly timing?: SessionTiming;
  /** Channels to which nothing happens for so long take less memory, and a moment to wake; absent: none rests. */
  readonly restAfterMs?: number;
  readonly nowMs: number;
  /** What is said to whoever asks on a link, authenticated or not (docs/PROTOCOL.md "Identity"). */
  card?(): IdentityCard;
  /** Where several processes share this node's seed: whether this one runs that peer's channels. */
  servesPeer?(remoteNodeId: PublicKey): boolean;
  /** Then each has its own channel keys. */
  readonly keyIndices?: KeyIndexRange;
  /** Why new payments are declined right now; undefined: they are not. */
  declineReason?(): string | undefined;
}
