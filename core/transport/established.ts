/** An authenticated peer: its ciphers, what it may send next, and whether it still lives (docs/PROTOCOL.md "Sessions"). */
import type { Crypto } from "../ports/crypto.ts";
import type { PublicKey } from "../primitives/brands.ts";
import {
  MESSAGES_PER_KEY,
  NOISE_OVERHEAD_BYTES,
  ReceivingCipher,
  SendingCipher,
} from "./cipher.ts";
import type { TransportKeys } from "./noise.ts";
import { DATA_HEADER_BYTES, dataHeader, distance, sequenceOf } from "./packets.ts";
import type { SessionTiming } from "./timing.ts";

export interface Origin {
  readonly remoteNodeId: PublicKey;
  readonly weInitiated: boolean;
  readonly sinceMs: number;
}

/** What a data frame turned out to be. */
export type Opened =
  | { readonly type: "message"; readonly message: Uint8Array }
  /** Repeated, old, forged or damaged: as if it had never come. */
  | { readonly type: "ignored" }
  /** It is the peer's own, and `count` messages before it never came. */
  | { readonly type: "lost"; readonly count: number };

export type Liveness =
  | { readonly type: "alive" }
  | { readonly type: "ping" }
  | { readonly type: "dead"; readonly reason: string };

const IGNORED: Opened = { type: "ignored" };
const ALIVE: Liveness = { type: "alive" };

export class Established {
  private readonly sending: SendingCipher;
  private readonly receiving: ReceivingCipher;
  /** Time of the last authentic packet. */
  private heardMs: number;
  /** The peer has shown that it finished the handshake too. */
  private confirmed: boolean;
  private pinged = false;
  /** The peer seems to have forgotten us: dead then, unless it is heard before. */
  private doubtUntilMs: number | undefined;

  constructor(
    crypto: Crypto,
    keys: TransportKeys,
    readonly origin: Origin,
  ) {
    this.sending = new SendingCipher(crypto, keys.sending);
    this.receiving = new ReceivingCipher(crypto, keys.receiving);
    this.heardMs = origin.sinceMs;
    this.confirmed = !origin.weInitiated;
  }

  get hasSent(): boolean {
    return this.sending.count > 0;
  }

  /** The parts of the next data frame. */
  seal(message: Uint8Array): readonly Uint8Array[] {
    const head = dataHeader(this.sending.count);
    const { header, body } = this.sending.seal(message);
    return [head, header, body];
  }

  open(frame: Uint8Array, nowMs: number): Opened {
    if (frame.length < DATA_HEADER_BYTES + NOISE_OVERHEAD_BYTES) return IGNORED;
    const packet = frame.subarray(DATA_HEADER_BYTES);
    const count = distance(sequenceOf(frame), this.receiving.count);
    if (count < 0 || count > MESSAGES_PER_KEY) return IGNORED;
    if (count > 0) {
      // Only a packet that the peer made proves a loss: a forged number ends nothing.
      const lost = this.receiving.isAuthenticAhead(count, packet);
      return lost ? { type: "lost", count } : IGNORED;
    }
    const message = this.receiving.open(packet);
    if (message === undefined) return IGNORED;
    this.heardMs = nowMs;
    this.confirmed = true;
    this.pinged = false;
    this.doubtUntilMs = undefined;
    return { type: "message", message };
  }

  /** The peer says, unauthenticated, that it has no session: true where that is worth a ping. */
  doubt(untilMs: number): boolean {
    if (this.doubtUntilMs !== undefined) return false;
    this.doubtUntilMs = untilMs;
    return true;
  }

  liveness(nowMs: number, timing: SessionTiming): Liveness {
    const silentMs = nowMs - this.heardMs;
    if (!this.confirmed && silentMs >= timing.handshakeTimeoutMs) {
      return { type: "dead", reason: "the peer did not finish the handshake" };
    }
    if (this.doubtUntilMs !== undefined && nowMs >= this.doubtUntilMs) {
      return { type: "dead", reason: "the peer has forgotten the session" };
    }
    if (silentMs >= timing.deadAfterMs) {
      return { type: "dead", reason: `nothing heard for ${silentMs} ms` };
    }
    if (silentMs < timing.pingAfterMs || this.pinged) return ALIVE;
    this.pinged = true;
    return { type: "ping" };
  }

  wipe(): void {
    this.sending.wipe();
    this.receiving.wipe();
  }
}
