/** One peer over one link: handshake, encrypted messages, liveness, and the next handshake when one ends (docs/PROTOCOL.md "Sessions"). */
import { CborEncoder } from "../messages/cbor.ts";
import {
  DEVICE_MAX_MESSAGE_BYTES,
  decodeMessage,
  encodeMessageWith,
  messageLimits,
} from "../messages/codec.ts";
import type { Message } from "../messages/message.ts";
import type { Entropy } from "../ports/crypto.ts";
import type { Link } from "../ports/link.ts";
import { type PublicKey, type SecretKey, secretKey } from "../primitives/brands.ts";
import { compare, concat, equal } from "../primitives/bytes.ts";
import { assert, ProtocolViolation } from "../primitives/errors.ts";
import {
  MESSAGES_PER_KEY,
  NOISE_OVERHEAD_BYTES,
  ReceivingCipher,
  SendingCipher,
} from "./cipher.ts";
import { encodeFrame, FrameDecoder } from "./framing.ts";
import { ifAuthentic, PendingHandshakes } from "./handshakes.ts";
import {
  finishHandshake,
  type HandshakeContext,
  type InitiatorState,
  startHandshake,
  type TransportKeys,
} from "./noise.ts";
import { DATA_HEADER_BYTES, dataHeader, distance, Kind, sequenceOf } from "./packets.ts";

export interface SessionTiming {
  /** Silence after which a ping is sent. */
  readonly pingAfterMs: number;
  /** Silence after which the session has ended. */
  readonly deadAfterMs: number;
  /** For each act, and for the first message after the last one. */
  readonly handshakeTimeoutMs: number;
  /** The initiator's pause before it tries again doubles from here … */
  readonly minBackoffMs: number;
  /** … to here; a random quarter is added. */
  readonly maxBackoffMs: number;
}

export const defaultTiming: SessionTiming = {
  pingAfterMs: 5_000,
  deadAfterMs: 15_000,
  handshakeTimeoutMs: 5_000,
  minBackoffMs: 250,
  maxBackoffMs: 30_000,
};

export interface SessionEvents {
  /** The peer is authenticated; the node sends `init` now. */
  onEstablished(remoteNodeId: PublicKey): void;
  /** Byte strings in it are views of memory that nobody else uses. Never ping, pong or an unknown odd message. */
  onMessage(message: Message): void;
  /** An established session ended; an initiator tries again by itself until `close`. */
  onClosed(reason: string): void;
  /** The peer sent what is no message; the session ends right after this, `send` still works inside. */
  onViolation?(violation: ProtocolViolation): void;
}

export interface SessionOptions extends HandshakeContext {
  readonly entropy: Entropy;
  readonly link: Link;
  /** Whom to call; without it the session answers whoever calls. */
  readonly remoteNodeId?: PublicKey;
  /** The largest message that we take. */
  readonly maxMessageBytes: number;
  readonly timing?: SessionTiming;
  readonly events: SessionEvents;
}

/** Why a session ended, as told to the peer in an encrypted goodbye: a message of this one byte. */
export const Goodbye = { closing: 0, superseded: 1, lost: 2, violation: 3 } as const;
type GoodbyeCode = (typeof Goodbye)[keyof typeof Goodbye];
const goodbyeReasons: Readonly<Record<number, string>> = {
  [Goodbye.closing]: "the peer closed the session",
  [Goodbye.superseded]: "the peer has a newer session",
  [Goodbye.lost]: "the peer noticed lost messages",
  [Goodbye.violation]: "the peer could not understand a message",
};

/** Longest pong; a ping that asks for more is not answered. */
const MAX_PONG_BYTES = 1024;

interface Established {
  readonly remoteNodeId: PublicKey;
  readonly sending: SendingCipher;
  readonly receiving: ReceivingCipher;
  readonly weInitiated: boolean;
  readonly sinceMs: number;
  /** Time of the last authentic packet. */
  heardMs: number;
  /** The peer proved that it holds the keys, too. */
  confirmed: boolean;
  /** A ping is out since then. */
  pingedMs: number | undefined;
  /** The peer seems to have forgotten us: ends the session unless it is heard before. */
  doubtUntilMs: number | undefined;
}

type Calling =
  | { readonly phase: "waiting"; readonly untilMs: number }
  | { readonly phase: "called"; readonly state: InitiatorState; readonly untilMs: number }
  | { readonly phase: "idle" };

/** Driven by the link's bytes and by `tick`; `tick` some times within the shortest of the timings. */
export class Session {
  private readonly link: Link;
  private readonly events: SessionEvents;
  private readonly timing: SessionTiming;
  private readonly encoder = new CborEncoder();
  private readonly decoder: FrameDecoder;
  private readonly pending: PendingHandshakes;
  private readonly maxFrameBytes: number;
  private current: Established | undefined;
  private calling: Calling;
  private nowMs = 0;
  private failures = 0;
  private hintedMs: number | undefined;
  private finished = false;
  private peerMaxMessageBytes = DEVICE_MAX_MESSAGE_BYTES;

  constructor(private readonly options: SessionOptions) {
    const { link, maxMessageBytes } = options;
    this.link = link;
    this.events = options.events;
    this.timing = options.timing ?? defaultTiming;
    this.maxFrameBytes = DATA_HEADER_BYTES + NOISE_OVERHEAD_BYTES + maxMessageBytes;
    this.decoder = new FrameDecoder(this.maxFrameBytes, (frame) => this.receiveFrame(frame));
    this.pending = new PendingHandshakes(options, this.timing.handshakeTimeoutMs, () =>
      this.freshKey(),
    );
    this.calling =
      options.remoteNodeId === undefined
        ? { phase: "idle" }
        : { phase: "waiting", untilMs: Number.NEGATIVE_INFINITY };
    link.onBytes = (bytes) => this.receive(bytes);
    link.onClosed = (reason) => this.end(`the link closed: ${reason}`);
  }

  get linkName(): string {
    return this.link.name;
  }

  get remoteNodeId(): PublicKey | undefined {
    return this.current?.remoteNodeId;
  }

  /** Of the established session: who began it, and when. */
  get origin(): { readonly weInitiated: boolean; readonly sinceMs: number } | undefined {
    return this.current;
  }

  /** Closed for good: by `close`, or because the link is gone. */
  get isFinished(): boolean {
    return this.finished;
  }

  /** The node sets this from the peer's `init`; 4096 until then. */
  setPeerMaxMessageBytes(bytes: number): void {
    this.peerMaxMessageBytes = bytes;
  }

  get peerMaxMessage(): number {
    return this.peerMaxMessageBytes;
  }

  /** False where no session is established: the message is lost, as it may be on any link. */
  send(message: Message): boolean {
    const { current } = this;
    if (current === undefined) return false;
    const bytes = encodeMessageWith(this.encoder, message);
    const limit = this.peerMaxMessageBytes;
    assert(
      bytes.length <= limit,
      `${message.type} has ${bytes.length} bytes, the peer takes ${limit}`,
    );
    this.sendPacket(current, bytes);
    return true;
  }

  /** Lets time pass. `nowMs` never goes back. */
  tick(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.finished) return;
    this.pending.expire(nowMs);
    if (this.current !== undefined) this.checkLiveness(this.current);
    const { calling } = this;
    if (calling.phase === "idle" || nowMs < calling.untilMs) return;
    if (calling.phase === "waiting") this.call();
    else this.retryLater();
  }

  /** Ends the session for good, and tells the peer; the link stays open. */
  close(reason = "closed here"): void {
    if (this.finished) return;
    this.end(reason, Goodbye.closing);
  }

  /** Ends the session because another one to the same peer is better; does not call again until `wake`. */
  supersede(): void {
    this.endCurrent("another session to this peer took over", Goodbye.superseded);
    this.calling = { phase: "idle" };
  }

  /** Calls again, now, where it may call at all. */
  wake(): void {
    if (this.options.remoteNodeId === undefined || this.current || this.finished) return;
    this.failures = 0;
    this.calling = { phase: "waiting", untilMs: this.nowMs };
  }

  private receive(bytes: Uint8Array): void {
    if (this.finished) return;
    if (this.link.kind === "stream") this.decoder.push(bytes);
    else if (bytes.length <= this.maxFrameBytes) this.receiveFrame(bytes);
  }

  private receiveFrame(frame: Uint8Array): void {
    if (this.finished) return;
    switch (frame[0]) {
      case Kind.actOne:
        return this.receiveActOne(frame.subarray(1));
      case Kind.actTwo:
        return this.receiveActTwo(frame.subarray(1));
      case Kind.actThree:
        return this.receiveActThree(frame.subarray(1));
      case Kind.data:
        return this.receiveData(frame);
      case Kind.noSession:
        return this.receiveNoSession();
    }
  }

  private call(): void {
    const { remoteNodeId } = this.options;
    if (remoteNodeId === undefined) return;
    const { state, actOne } = startHandshake(this.options, remoteNodeId, this.freshKey());
    const untilMs = this.nowMs + this.timing.handshakeTimeoutMs;
    this.calling = { phase: "called", state, untilMs };
    this.sendFrame([Uint8Array.of(Kind.actOne), actOne]);
  }

  private retryLater(): void {
    if (this.options.remoteNodeId === undefined || this.finished) return;
    const { minBackoffMs, maxBackoffMs } = this.timing;
    const doubled = minBackoffMs * 2 ** Math.min(this.failures, 30);
    this.failures++;
    const jitter = 1 + (this.options.entropy.random(1)[0] as number) / 1024;
    const pauseMs = Math.min(doubled, maxBackoffMs) * jitter;
    this.calling = { phase: "waiting", untilMs: this.nowMs + pauseMs };
  }

  /** Where both call at once, the lower node id's call counts. */
  private receiveActOne(actOne: Uint8Array): void {
    const { remoteNodeId, identity } = this.options;
    const weCall = remoteNodeId !== undefined && this.calling.phase !== "idle";
    if (weCall && compare(identity.nodeId, remoteNodeId) < 0) return;
    const actTwo = this.pending.answer(actOne, this.nowMs);
    if (actTwo !== undefined) this.sendFrame([Uint8Array.of(Kind.actTwo), actTwo]);
  }

  private receiveActTwo(actTwo: Uint8Array): void {
    const { calling } = this;
    const { remoteNodeId } = this.options;
    if (calling.phase !== "called" || remoteNodeId === undefined) return;
    const finished = ifAuthentic(() => finishHandshake(this.options, calling.state, actTwo));
    if (finished === undefined) return;
    this.sendFrame([Uint8Array.of(Kind.actThree), finished.actThree]);
    this.establish(remoteNodeId, finished.keys, true);
  }

  private receiveActThree(actThree: Uint8Array): void {
    const accepted = this.pending.accept(actThree, this.nowMs);
    if (accepted === undefined) return;
    // A stranger on the same link does not push a living peer out.
    const expected = this.options.remoteNodeId ?? this.current?.remoteNodeId;
    if (expected !== undefined && !equal(expected, accepted.remoteNodeId)) return;
    this.establish(accepted.remoteNodeId, accepted.keys, false);
    // The initiator waits for a first message to know that act three arrived.
    const { current } = this;
    if (current !== undefined && current.sending.count === 0) this.ping(current);
  }

  private establish(remoteNodeId: PublicKey, keys: TransportKeys, weInitiated: boolean): void {
    this.endCurrent("the peer began a new session");
    this.pending.clear();
    this.calling = { phase: "idle" };
    this.peerMaxMessageBytes = DEVICE_MAX_MESSAGE_BYTES;
    const { crypto } = this.options;
    this.current = {
      remoteNodeId,
      sending: new SendingCipher(crypto, keys.sending),
      receiving: new ReceivingCipher(crypto, keys.receiving),
      weInitiated,
      sinceMs: this.nowMs,
      heardMs: this.nowMs,
      confirmed: !weInitiated,
      pingedMs: undefined,
      doubtUntilMs: undefined,
    };
    this.events.onEstablished(remoteNodeId);
  }

  private receiveData(frame: Uint8Array): void {
    const { current } = this;
    if (frame.length < DATA_HEADER_BYTES + NOISE_OVERHEAD_BYTES) return;
    if (current === undefined) return this.hintNoSession();
    const { receiving } = current;
    const packet = frame.subarray(DATA_HEADER_BYTES);
    const ahead = distance(sequenceOf(frame), receiving.count);
    if (ahead < 0 || ahead > MESSAGES_PER_KEY) return;
    if (ahead > 0) {
      // Only a packet that the peer made proves a loss: a forged number ends nothing.
      if (!receiving.isAuthenticAhead(ahead, packet)) return;
      return this.endCurrent(`${ahead} messages were lost`, Goodbye.lost);
    }
    const message = receiving.open(packet);
    if (message === undefined) return;
    current.heardMs = this.nowMs;
    current.pingedMs = undefined;
    current.doubtUntilMs = undefined;
    current.confirmed = true;
    if (message.length === 1) this.receiveGoodbye(message[0] as number);
    else this.receiveMessage(current, message);
  }

  private receiveMessage(current: Established, bytes: Uint8Array): void {
    let message: ReturnType<typeof decodeMessage>;
    try {
      message = decodeMessage(bytes, messageLimits(this.options.maxMessageBytes));
    } catch (error) {
      if (!(error instanceof ProtocolViolation)) throw error;
      this.events.onViolation?.(error);
      this.failures = Number.MAX_SAFE_INTEGER;
      if (this.current === current) this.endCurrent(error.message, Goodbye.violation);
      return;
    }
    switch (message.type) {
      case "ping":
        if (message.pongBytes > MAX_PONG_BYTES) return;
        this.send({ type: "pong", ignored: new Uint8Array(message.pongBytes) });
        return;
      case "pong":
      case "unknown":
        return;
      default:
        if (this.failures !== 0) this.failures = 0;
        this.events.onMessage(message);
    }
  }

  private receiveGoodbye(code: number): void {
    const reason = goodbyeReasons[code] ?? "the peer ended the session";
    this.endCurrent(reason);
    if (code === Goodbye.superseded) this.calling = { phase: "idle" };
    if (code === Goodbye.violation) {
      this.failures = Number.MAX_SAFE_INTEGER;
      this.retryLater();
    }
  }

  /** A receiver without a session says so: unauthenticated, so it is a hint and no more. */
  private hintNoSession(): void {
    const { hintedMs } = this;
    if (hintedMs !== undefined && this.nowMs - hintedMs < this.timing.minBackoffMs) return;
    this.hintedMs = this.nowMs;
    this.sendFrame([Uint8Array.of(Kind.noSession)]);
  }

  private receiveNoSession(): void {
    const { current } = this;
    if (current === undefined || current.doubtUntilMs !== undefined) return;
    current.doubtUntilMs = this.nowMs + this.timing.handshakeTimeoutMs;
    this.ping(current);
  }

  private checkLiveness(current: Established): void {
    const { pingAfterMs, deadAfterMs, handshakeTimeoutMs } = this.timing;
    const silentMs = this.nowMs - current.heardMs;
    if (!current.confirmed && silentMs >= handshakeTimeoutMs) {
      this.endCurrent("the peer did not finish the handshake");
    } else if (current.doubtUntilMs !== undefined && this.nowMs >= current.doubtUntilMs) {
      this.endCurrent("the peer has forgotten the session");
    } else if (silentMs >= deadAfterMs) {
      this.endCurrent(`nothing heard for ${silentMs} ms`, Goodbye.lost);
    } else if (silentMs >= pingAfterMs && current.pingedMs === undefined) this.ping(current);
  }

  private ping(current: Established): void {
    current.pingedMs = this.nowMs;
    this.send({ type: "ping", pongBytes: 0, ignored: new Uint8Array(0) });
  }

  /** Ends the established session, where there is one; an initiator tries again. */
  private endCurrent(reason: string, goodbye?: GoodbyeCode): void {
    const { current } = this;
    if (current === undefined) return;
    if (goodbye !== undefined) this.sendPacket(current, Uint8Array.of(goodbye));
    this.current = undefined;
    current.sending.wipe();
    current.receiving.wipe();
    this.retryLater();
    this.events.onClosed(reason);
  }

  private end(reason: string, goodbye?: GoodbyeCode): void {
    if (this.finished) return;
    this.finished = true;
    this.calling = { phase: "idle" };
    this.pending.clear();
    this.endCurrent(reason, goodbye);
  }

  private sendPacket(current: Established, message: Uint8Array): void {
    const head = dataHeader(current.sending.count);
    const { header, body } = current.sending.seal(message);
    this.sendFrame([head, header, body]);
  }

  private sendFrame(parts: readonly Uint8Array[]): void {
    this.link.send(this.link.kind === "stream" ? encodeFrame(parts) : concat(...parts));
  }

  private freshKey(): SecretKey {
    for (let attempt = 0; attempt < 16; attempt++) {
      const bytes = this.options.entropy.random(32);
      if (this.options.crypto.isSecretKey(bytes)) return secretKey(bytes);
    }
    assert(false, "the entropy source gives no valid secret key");
  }
}
