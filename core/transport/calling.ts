/** The initiator's side before a session stands: call, wait for act two, pause, call again (BOLT 8). */
import type { Entropy } from "../ports/crypto.ts";
import type { PublicKey } from "../primitives/brands.ts";
import { freshSecretKey, ifAuthentic } from "./handshakes.ts";
import {
  finishHandshake,
  type HandshakeContext,
  type InitiatorState,
  startHandshake,
  type TransportKeys,
} from "./noise.ts";
import type { SessionTiming } from "./timing.ts";

type Phase =
  | { readonly name: "idle" }
  | { readonly name: "waiting"; readonly untilMs: number }
  | {
      readonly name: "called";
      readonly state: InitiatorState;
      readonly untilMs: number;
      /** Somebody says that the peer never heard it: called again without a pause. */
      readonly isHurried?: boolean;
    };

/** More doublings than any backoff has. */
const MAX_FAILURES = 30;
const IDLE: Phase = { name: "idle" };

export class Caller {
  private phase: Phase;
  private failures = 0;
  private hurriedMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly context: HandshakeContext & { readonly entropy: Entropy },
    private readonly remoteNodeId: PublicKey,
    private readonly timing: SessionTiming,
    nowMs: number,
  ) {
    this.phase = { name: "waiting", untilMs: nowMs };
  }

  /** A call of ours is out. */
  get isCalling(): boolean {
    return this.phase.name === "called";
  }

  /** Act one, where it is time to call; a call that was not answered is followed by a pause. */
  tick(nowMs: number): Uint8Array | undefined {
    if (this.phase.name === "idle" || nowMs < this.phase.untilMs) return undefined;
    if (this.phase.name === "called" && !this.phase.isHurried) {
      this.pause(nowMs);
      return undefined;
    }
    const { state, actOne } = startHandshake(
      this.context,
      this.remoteNodeId,
      freshSecretKey(this.context),
    );
    this.phase = { name: "called", state, untilMs: nowMs + this.timing.handshakeTimeoutMs };
    return actOne;
  }

  /** Act three and the keys; undefined, and still waiting, where act two does not answer our call. */
  finish(
    actTwo: Uint8Array,
  ): { readonly actThree: Uint8Array; readonly keys: TransportKeys } | undefined {
    const { phase } = this;
    if (phase.name !== "called") return undefined;
    return ifAuthentic(() => finishHandshake(this.context, phase.state, actTwo));
  }

  /** Calls no more until `pause` or `callNow`. */
  hold(): void {
    this.phase = IDLE;
  }

  callNow(nowMs: number): void {
    this.failures = 0;
    this.phase = { name: "waiting", untilMs: nowMs };
  }

  /** Whoever says, unauthenticated, that the peer is there again shortens a pause, or a call that it never heard; not often. */
  hurry(nowMs: number): void {
    const { minBackoffMs, handshakeTimeoutMs } = this.timing;
    if (this.phase.name === "idle" || this.failures === MAX_FAILURES) return;
    if (nowMs - this.hurriedMs < handshakeTimeoutMs) return;
    this.hurriedMs = nowMs;
    const untilMs = Math.min(this.phase.untilMs, nowMs + minBackoffMs);
    // Until then an answer to a call that is out counts: the word came from anybody.
    this.phase = { ...this.phase, untilMs, ...(this.isCalling && { isHurried: true }) };
  }

  /** Calls after a pause that doubles each time; `longest` where calling soon would not help. */
  pause(nowMs: number, longest = false): void {
    const { minBackoffMs, maxBackoffMs } = this.timing;
    if (longest) this.failures = MAX_FAILURES;
    const pauseMs = Math.min(minBackoffMs * 2 ** this.failures, maxBackoffMs);
    this.failures = Math.min(this.failures + 1, MAX_FAILURES);
    const jitter = 1 + (this.context.entropy.random(1)[0] as number) / 1024;
    this.phase = { name: "waiting", untilMs: nowMs + pauseMs * jitter };
  }

  /** The session works: the next pause is the shortest again. */
  succeeded(): void {
    this.failures = 0;
  }
}
