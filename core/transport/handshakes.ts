/** Handshakes that others begin, while they are not finished: few, cheap to refuse, gone after a while (BOLT 8). */
import type { Crypto, Entropy } from "../ports/crypto.ts";
import { type PublicKey, type SecretKey, secretKey } from "../primitives/brands.ts";
import { equal } from "../primitives/bytes.ts";
import { assert, ProtocolViolation } from "../primitives/errors.ts";
import {
  acceptHandshake,
  answerHandshake,
  type HandshakeContext,
  type ResponderState,
  type TransportKeys,
} from "./noise.ts";

/** Handshakes waiting for act three on one link. */
export const MAX_PENDING_HANDSHAKES = 4;
/** Acts one that are worked on (two curve operations each) within one handshake timeout. */
export const MAX_ACTS_ONE = 8;

interface KeySource {
  readonly crypto: Crypto;
  readonly entropy: Entropy;
}

interface Pending {
  readonly actOne: Uint8Array;
  readonly actTwo: Uint8Array;
  readonly state: ResponderState;
  readonly deadlineMs: number;
}

export class PendingHandshakes {
  private pending: readonly Pending[] = [];
  private windowEndMs = 0;
  private answered = 0;

  constructor(
    private readonly context: HandshakeContext & KeySource,
    private readonly timeoutMs: number,
  ) {}

  /** Act two for an act one; undefined where it is not authentic or too many came. A repeated one is answered alike. */
  answer(actOne: Uint8Array, nowMs: number): Uint8Array | undefined {
    this.expire(nowMs);
    const repeated = this.pending.find((pending) => equal(pending.actOne, actOne));
    if (repeated !== undefined) return repeated.actTwo;
    if (!this.mayAnswer(nowMs)) return undefined;
    const { context } = this;
    const answer = ifAuthentic(() => answerHandshake(context, actOne, freshSecretKey(context)));
    if (answer === undefined) return undefined;
    const deadlineMs = nowMs + this.timeoutMs;
    const { state, actTwo } = answer;
    const added: Pending = { actOne: actOne.slice(), actTwo, state, deadlineMs };
    this.pending = [...this.pending.slice(1 - MAX_PENDING_HANDSHAKES), added];
    return actTwo;
  }

  /** The peer that act three proves, where it belongs to one of ours. One that does not fit changes nothing. */
  accept(
    actThree: Uint8Array,
    nowMs: number,
  ): { readonly keys: TransportKeys; readonly remoteNodeId: PublicKey } | undefined {
    this.expire(nowMs);
    for (const { state } of this.pending) {
      const accepted = ifAuthentic(() => acceptHandshake(this.context, state, actThree));
      if (accepted !== undefined) return accepted;
    }
    return undefined;
  }

  clear(): void {
    this.pending = [];
  }

  /** Nothing waits, and nothing is counted any more. */
  isOver(nowMs: number): boolean {
    this.expire(nowMs);
    return this.pending.length === 0 && nowMs >= this.windowEndMs;
  }

  private expire(nowMs: number): void {
    if (this.pending.some((pending) => pending.deadlineMs <= nowMs)) {
      this.pending = this.pending.filter((pending) => pending.deadlineMs > nowMs);
    }
  }

  private mayAnswer(nowMs: number): boolean {
    if (nowMs >= this.windowEndMs) {
      this.windowEndMs = nowMs + this.timeoutMs;
      this.answered = 0;
    }
    this.answered++;
    return this.answered <= MAX_ACTS_ONE;
  }
}

/** The step's outcome; undefined where the other side's bytes are not what the handshake asks for. */
export function ifAuthentic<T>(step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    if (error instanceof ProtocolViolation) return undefined;
    throw error;
  }
}

/** An ephemeral key. */
export function freshSecretKey({ crypto, entropy }: KeySource): SecretKey {
  for (let attempt = 0; attempt < 16; attempt++) {
    const bytes = entropy.random(32);
    if (crypto.isSecretKey(bytes)) return secretKey(bytes);
  }
  assert(false, "the entropy source gives no valid secret key");
}
