/** An authenticated peer: its ciphers, what it may send next, and whether it still lives (docs/PROTOCOL.md "Sessions"). */
import { MessageExpander, MessageShortener } from "../messages/short-form.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { PublicKey } from "../primitives/brands.ts";
import { CIPHER_BYTES, ReceivingCipher, SendingCipher } from "./cipher.ts";
import type { TransportKeys } from "./noise.ts";
import { distance, type Numbering, packetHeader } from "./packets.ts";
import type { SessionTiming } from "./timing.ts";

export interface Origin {
  readonly remoteNodeId: PublicKey;
  readonly weInitiated: boolean;
  readonly sinceMs: number;
}

/** What a packet's frame turned out to be. */
export type Opened =
  | { readonly type: "packet"; readonly plaintext: Uint8Array }
  /** Repeated, old, forged or damaged: as if it had never come. */
  | { readonly type: "ignored" }
  /** It is the peer's own, and `count` packets before it never came. */
  | { readonly type: "lost"; readonly count: number };

export type Liveness =
  | { readonly type: "alive" }
  | { readonly type: "ping" }
  | { readonly type: "dead"; readonly reason: string };

const IGNORED: Opened = { type: "ignored" };
const ALIVE: Liveness = { type: "alive" };
const PING: Liveness = { type: "ping" };

export class Established {
  /** What was said before, in each direction. */
  readonly outgoing = new MessageShortener();
  readonly incoming = new MessageExpander(this.outgoing);
  private readonly sending: SendingCipher;
  private readonly receiving: ReceivingCipher;
  /** Time of the last authentic packet. */
  private heardMs: number;
  /** The peer has shown that it finished the handshake too. */
  private confirmed: boolean;
  /** The last ping of those that nothing was heard after. */
  private pingedMs: number | undefined;
  /** The first packet that was heard since we last said anything. */
  private listeningMs: number | undefined;
  /** Since then something of ours waits for an answer: nothing was heard after it. */
  private askedMs: number | undefined;
  /** The peer seems to have forgotten us: dead then, unless it is heard before. */
  private doubtUntilMs: number | undefined;

  constructor(
    crypto: Crypto,
    keys: TransportKeys,
    private readonly numbering: Numbering,
    readonly origin: Origin,
    /** The link's (`Link.quietMs`). */
    private readonly quietMs = 0,
  ) {
    const memory = new Uint8Array(2 * CIPHER_BYTES);
    this.sending = new SendingCipher(crypto, keys.sending, { memory, at: 0 });
    this.receiving = new ReceivingCipher(crypto, keys.receiving, { memory, at: CIPHER_BYTES });
    this.heardMs = origin.sinceMs;
    this.confirmed = !origin.weInitiated;
  }

  get hasSent(): boolean {
    return this.sending.count > 0;
  }

  /** The parts of the next packet's frame. */
  seal(plaintext: Uint8Array): readonly Uint8Array[] {
    this.listeningMs = undefined;
    const header = packetHeader(this.numbering, this.sending.count);
    return [header, this.sending.sealPacket(plaintext)];
  }

  open(frame: Uint8Array, nowMs: number): Opened {
    const { numbering } = this;
    const count = distance(numbering, frame, this.receiving.count);
    if (count < 0 || count > numbering.maxAhead) return IGNORED;
    const packet = frame.subarray(numbering.headerBytes);
    if (count > 0) {
      // Only a packet that the peer made proves a loss: a forged number ends nothing.
      const lost = this.receiving.isAuthenticAhead(count, packet);
      return lost ? { type: "lost", count } : IGNORED;
    }
    const plaintext = this.receiving.openPacket(packet);
    if (plaintext === undefined) return IGNORED;
    this.heardMs = nowMs;
    this.listeningMs ??= nowMs;
    this.confirmed = true;
    this.pingedMs = undefined;
    this.askedMs = undefined;
    this.doubtUntilMs = undefined;
    return { type: "packet", plaintext };
  }

  /** Something was sent that the peer answers, sooner or later. */
  asked(nowMs: number): void {
    this.askedMs ??= nowMs;
  }

  /** The peer says, unauthenticated, that it has no session: true where that is worth a ping. */
  doubt(untilMs: number): boolean {
    if (this.doubtUntilMs !== undefined) return false;
    this.doubtUntilMs = untilMs;
    return true;
  }

  liveness(nowMs: number, timing: SessionTiming): Liveness {
    if (!this.confirmed && nowMs - this.heardMs >= timing.handshakeTimeoutMs) {
      return { type: "dead", reason: "the peer did not finish the handshake" };
    }
    if (this.doubtUntilMs !== undefined && nowMs >= this.doubtUntilMs) {
      return { type: "dead", reason: "the peer has forgotten the session" };
    }
    const silentMs = nowMs - this.worryFromMs(timing);
    if (silentMs >= timing.deadAfterMs) {
      return { type: "dead", reason: `nothing heard for ${silentMs} ms` };
    }
    const waitedMs = Math.max(silentMs, this.listenedMs(nowMs, timing));
    const sincePingMs = nowMs - (this.pingedMs ?? -Infinity);
    if (Math.min(waitedMs, sincePingMs) < timing.pingAfterMs) return ALIVE;
    this.pingedMs = nowMs;
    return PING;
  }

  /**
   * How long the peer was heard and told nothing. On a slow link what it sends may take longer than it waits for a word
   * of ours, and none is due before the last of it. Where links are quiet, an answer that is late is no such talk.
   */
  private listenedMs(nowMs: number, { pingAfterMs }: SessionTiming): number {
    const { quietMs, listeningMs } = this;
    return listeningMs === undefined || quietMs > pingAfterMs ? 0 : nowMs - listeningMs;
  }

  private worryFromMs({ pingAfterMs }: SessionTiming): number {
    const { quietMs, heardMs } = this;
    return quietMs > pingAfterMs ? (this.askedMs ?? heardMs + quietMs - pingAfterMs) : heardMs;
  }

  wipe(): void {
    this.sending.wipe();
    this.receiving.wipe();
  }
}
