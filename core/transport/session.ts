/** One peer over one link: handshake, encrypted messages, liveness, and the next handshake when one ends (docs/PROTOCOL.md "Sessions"). */
import { DEVICE_MAX_MESSAGE_BYTES, messageLimits, type UnknownMessage } from "../messages/codec.ts";
import type { Message } from "../messages/message.ts";
import type { Link } from "../ports/link.ts";
import type { PublicKey } from "../primitives/brands.ts";
import { compare, concatAll, equal, plain } from "../primitives/bytes.ts";
import { ProtocolViolation, unreachable } from "../primitives/errors.ts";
import { Caller } from "./calling.ts";
import { TAG_BYTES } from "./cipher.ts";
import { Established, type Origin } from "./established.ts";
import { encodeFrame, FrameDecoder } from "./framing.ts";
import { Goodbye, type GoodbyeCode, goodbyeOf, goodbyeReason } from "./goodbye.ts";
import { PendingHandshakes } from "./handshakes.ts";
import { encodeCard } from "./identity.ts";
import type { TransportKeys } from "./noise.ts";
import { Outbox, PacketReader } from "./packet.ts";
import { isPacket, Kind, type Numbering, numberingOf } from "./packets.ts";
import type { SessionOptions, SessionStart } from "./session-options.ts";
import { defaultTiming, type SessionTiming } from "./timing.ts";

/** Longest pong; a ping that asks for more is not answered. */
const MAX_PONG_BYTES = 1024;
/** The version of this page's handshake and packets: others fail at act one. */
const DEVICE_PROLOGUE = "picobolt/2";
const NO_BYTES = new Uint8Array(0);
const ACT_ONE = Uint8Array.of(Kind.actOne);
const ACT_TWO = Uint8Array.of(Kind.actTwo);
const ACT_THREE = Uint8Array.of(Kind.actThree);
const NO_SESSION = Uint8Array.of(Kind.noSession);
const CARD = Uint8Array.of(Kind.card);

/** Driven by the link's bytes and by `tick`, which comes some times within the shortest of the timings. */
export class Session {
  private readonly timing: SessionTiming;
  private readonly outbox: Outbox;
  /** Of a stream; datagrams are whole. */
  private readonly decoder: FrameDecoder | undefined;
  readonly link: Link;
  /** Whom this session calls. */
  readonly callee: PublicKey | undefined;
  /** While there are some, and for as long as they are counted. */
  private incoming: PendingHandshakes | undefined;
  private readonly caller: Caller | undefined;
  private readonly numbering: Numbering;
  private readonly maxFrameBytes: number;
  private current: Established | undefined;
  private nowMs: number;
  private hintedMs = Number.NEGATIVE_INFINITY;
  private presentedMs = Number.NEGATIVE_INFINITY;
  private finished = false;
  private peerMaxMessageBytes = DEVICE_MAX_MESSAGE_BYTES;
  /** Bytes that arrived while others were worked on. */
  private inbox: Uint8Array[] | undefined;
  /** How many `together` are under way, one inside the other. */
  private bursts = 0;

  constructor(
    private readonly options: SessionOptions,
    { link, nowMs, remoteNodeId }: SessionStart,
  ) {
    this.link = link;
    this.callee = remoteNodeId;
    this.timing = options.timing ?? defaultTiming;
    this.nowMs = nowMs;
    this.numbering = numberingOf(link.kind);
    this.maxFrameBytes = this.numbering.headerBytes + TAG_BYTES + options.maxMessageBytes;
    this.outbox = new Outbox(options.encoders);
    if (link.kind === "stream") {
      this.decoder = new FrameDecoder(this.maxFrameBytes, (frame) => this.receiveFrame(frame));
    }
    if (remoteNodeId !== undefined) {
      this.caller = new Caller(this.handshakes(), remoteNodeId, this.timing, nowMs);
    }
    link.onBytes = (bytes) => this.receive(bytes);
    link.onClosed = (reason) => this.finish(`the link closed: ${reason}`);
  }

  /** The peer, and how this session began; undefined while none is established. */
  get origin(): Origin | undefined {
    return this.current?.origin;
  }

  /** Closed for good: by `close`, or because the link is gone. */
  get isFinished(): boolean {
    return this.finished;
  }

  /** From the peer's `init`; 4096 until then, and again in each new session. */
  get peerMaxMessage(): number {
    return this.peerMaxMessageBytes;
  }
  setPeerMaxMessage(bytes: number): void {
    this.peerMaxMessageBytes = bytes;
  }

  /** False where no session is established: the message is lost, as it may be on any link. */
  send(message: Message): boolean {
    const { current, outbox } = this;
    if (current === undefined) return false;
    const most = this.peerMaxMessageBytes;
    const length = outbox.add(current.outgoing.shorten(message));
    if (length > most) {
      outbox.removeLast();
      // A peer may take less than it once did: what is under way cannot be told to it, and that is nobody's bug.
      this.drop(`${message.type}: ${length} bytes, the peer takes ${most}`);
      return false;
    }
    if (message.type !== "pong") current.asked(this.nowMs);
    if (outbox.isBeyond(most)) this.sendFrame(current.seal(outbox.takeAllButLast()));
    if (this.bursts === 0) this.flush();
    return true;
  }

  /**
   * What `work` sends leaves in as few packets as it can, in the same order, when `work` is done. Nothing waits for
   * time to pass: whoever sends after something became durable still does.
   */
  together(work: () => void): void {
    this.bursts++;
    try {
      work();
    } finally {
      this.bursts--;
      if (this.bursts === 0) this.flush();
    }
  }

  private flush(): void {
    const { current, outbox } = this;
    if (current === undefined || outbox.isEmpty) return;
    const sealed = current.seal(outbox.takeAll());
    outbox.release();
    this.sendFrame(sealed);
  }

  /** Lets time pass; `nowMs` never goes back. */
  tick(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.finished) return;
    if (this.incoming?.isOver(nowMs)) this.incoming = undefined;
    if (this.current !== undefined) this.checkLiveness(this.current);
    if (this.current !== undefined) return;
    const actOne = this.caller?.tick(nowMs);
    if (actOne !== undefined) this.sendFrame([ACT_ONE, actOne]);
  }

  /** Ends the session for good and tells the peer; the link stays open. */
  close(reason = "closed here"): void {
    this.finish(reason, Goodbye.closing);
  }

  /** Ends the established session because of what the peer did in it; an initiator calls again after a pause. */
  drop(reason: string): void {
    this.endCurrent(reason, Goodbye.violation, true);
  }

  /** Ends the established session: another process of ours is to have the next one. */
  move(reason: string): void {
    this.endCurrent(reason, Goodbye.moved);
  }

  /** Ends the session because another one to this peer is better; calls no more until `wake`. */
  supersede(): void {
    this.endCurrent("another session to this peer took over", Goodbye.superseded);
    this.hold();
  }

  /** Calls no more until `wake`; an established session goes on. */
  hold(): void {
    this.caller?.hold();
  }

  /** Calls at the next tick, where it may call at all. */
  wake(): void {
    if (this.current === undefined && !this.finished) this.caller?.callNow(this.nowMs);
  }

  private receive(bytes: Uint8Array): void {
    if (this.inbox !== undefined) {
      this.inbox.push(new Uint8Array(bytes));
      return;
    }
    const inbox = [bytes];
    this.inbox = inbox;
    try {
      // Answers leave before more is read: a link may deliver while we send.
      for (let next = inbox.shift(); next !== undefined; next = inbox.shift()) {
        const chunk = next;
        this.together(() => this.receiveChunk(chunk));
      }
    } finally {
      this.inbox = undefined;
    }
  }

  private receiveChunk(bytes: Uint8Array): void {
    if (this.decoder) this.decoder.push(bytes);
    else if (bytes.length <= this.maxFrameBytes) this.receiveFrame(plain(bytes));
  }

  private receiveFrame(frame: Uint8Array): void {
    if (this.finished) return;
    if (isPacket(frame)) {
      if (this.current === undefined) this.hintNoSession();
      else this.receivePacket(this.current, frame);
      return;
    }
    switch (frame[0]) {
      case Kind.actOne:
        this.receiveActOne(frame.subarray(1));
        break;
      case Kind.actTwo:
        this.receiveActTwo(frame.subarray(1));
        break;
      case Kind.actThree:
        this.receiveActThree(frame.subarray(1));
        break;
      case Kind.noSession:
        this.receiveNoSession();
        break;
      case Kind.whoAreYou:
        this.presentCard();
        break;
    }
  }

  /** Where both call at once, the call of the lower node id counts. */
  private receiveActOne(actOne: Uint8Array): void {
    const { callee, caller, options } = this;
    const ours = callee !== undefined && compare(options.identity.nodeId, callee) < 0;
    if (ours && caller?.isCalling) return;
    this.incoming ??= new PendingHandshakes(this.handshakes(), this.timing.handshakeTimeoutMs);
    const actTwo = this.incoming.answer(actOne, this.nowMs);
    if (actTwo !== undefined) this.sendFrame([ACT_TWO, actTwo]);
  }

  private receiveActTwo(actTwo: Uint8Array): void {
    const finished = this.caller?.finish(actTwo);
    if (finished === undefined || this.callee === undefined) return;
    this.sendFrame([ACT_THREE, finished.actThree]);
    this.establish(finished.keys, {
      remoteNodeId: this.callee,
      weInitiated: true,
      sinceMs: this.nowMs,
    });
  }

  private receiveActThree(actThree: Uint8Array): void {
    const accepted = this.incoming?.accept(actThree, this.nowMs);
    if (accepted === undefined) return;
    const { keys, remoteNodeId } = accepted;
    // A stranger on the same link does not push a living peer out.
    const expected = this.callee ?? this.current?.origin.remoteNodeId;
    if (expected !== undefined && !equal(expected, remoteNodeId)) return;
    this.establish(keys, { remoteNodeId, weInitiated: false, sinceMs: this.nowMs });
    // The initiator waits for a first message to know that act three arrived.
    if (this.current?.hasSent === false) this.ping();
  }

  private establish(keys: TransportKeys, origin: Origin): void {
    this.endCurrent("the peer began a new session");
    if (this.finished) return;
    this.incoming?.clear();
    this.caller?.hold();
    this.peerMaxMessageBytes = DEVICE_MAX_MESSAGE_BYTES;
    const { crypto, events } = this.options;
    this.current = new Established(crypto, keys, this.numbering, origin, this.link.quietMs);
    events.onEstablished(origin.remoteNodeId, this);
  }

  private receivePacket(current: Established, frame: Uint8Array): void {
    const opened = current.open(frame, this.nowMs);
    switch (opened.type) {
      case "ignored":
        break;
      case "lost":
        this.endCurrent(`${opened.count} packets were lost`, Goodbye.lost);
        break;
      case "packet": {
        const goodbye = goodbyeOf(opened.plaintext);
        if (goodbye === undefined) this.receiveMessages(current, opened.plaintext);
        else this.receiveGoodbye(goodbye);
        break;
      }
      default:
        unreachable(opened);
    }
  }

  /** Each is worked on before the next one is read: one that ends the session takes those behind it along. */
  private receiveMessages(current: Established, plaintext: Uint8Array): void {
    const { remoteNodeId } = current.origin;
    const limits = messageLimits(this.options.maxMessageBytes);
    const reader = new PacketReader(plaintext, limits, current.incoming);
    while (this.current === current) {
      const message = this.read(reader, remoteNodeId);
      if (message === undefined) return;
      this.receiveMessage(message, remoteNodeId);
    }
  }

  private receiveMessage(message: Message | UnknownMessage, from: PublicKey): void {
    this.caller?.succeeded();
    switch (message.type) {
      case "ping":
        if (message.pongBytes > MAX_PONG_BYTES) break;
        this.send({ type: "pong", ignored: new Uint8Array(message.pongBytes) });
        break;
      case "pong":
      case "unknown":
        break;
      default:
        this.options.events.onMessage(message, from);
    }
  }

  /** Undefined at the packet's end, and where it was no message: then the session has ended. */
  private read(reader: PacketReader, from: PublicKey): Message | UnknownMessage | undefined {
    try {
      return reader.next();
    } catch (error) {
      if (!(error instanceof ProtocolViolation)) throw error;
      this.options.events.onViolation?.(error, from);
      this.endCurrent(error.message, Goodbye.violation, true);
      return undefined;
    }
  }

  private receiveGoodbye(code: number): void {
    const slowly = code === Goodbye.superseded || code === Goodbye.violation;
    this.endCurrent(goodbyeReason(code), undefined, slowly);
  }

  /** Whoever sends us data without a session learns so; unauthenticated, so no more than a hint. */
  private hintNoSession(): void {
    if (this.nowMs - this.hintedMs < this.timing.minBackoffMs) return;
    this.hintedMs = this.nowMs;
    this.sendFrame([NO_SESSION]);
  }

  /** Anybody may ask, at the pace of our shortest pause. */
  private presentCard(): void {
    const card = this.options.card?.();
    if (card === undefined || this.nowMs - this.presentedMs < this.timing.minBackoffMs) return;
    this.presentedMs = this.nowMs;
    this.sendFrame([CARD, encodeCard(card)]);
  }

  private receiveNoSession(): void {
    const untilMs = this.nowMs + this.timing.handshakeTimeoutMs / 4;
    if (this.current === undefined) this.caller?.hurry(this.nowMs);
    else if (this.current.doubt(untilMs)) this.ping();
  }

  private checkLiveness(current: Established): void {
    const state = current.liveness(this.nowMs, this.timing);
    if (state.type === "dead") this.endCurrent(state.reason, Goodbye.lost);
    if (state.type === "ping") this.ping();
  }

  private ping(): void {
    this.send({ type: "ping", pongBytes: 0, ignored: NO_BYTES });
  }

  /** Ends the established session, where there is one; an initiator calls again after a pause. */
  private endCurrent(reason: string, goodbye?: GoodbyeCode, slowly = false): void {
    const { current } = this;
    if (current === undefined) return;
    if (goodbye !== undefined) {
      this.flush();
      this.sendFrame(current.seal(Uint8Array.of(goodbye)));
    }
    this.outbox.clear();
    this.current = undefined;
    current.wipe();
    this.caller?.pause(this.nowMs, slowly);
    this.options.events.onClosed(reason, current.origin.remoteNodeId, this);
  }

  private finish(reason: string, goodbye?: GoodbyeCode): void {
    if (this.finished) return;
    this.finished = true;
    this.incoming = undefined;
    this.endCurrent(reason, goodbye);
    this.caller?.hold();
  }

  private handshakes() {
    const { crypto, identity, entropy } = this.options;
    return { crypto, identity, entropy, prologue: DEVICE_PROLOGUE };
  }

  private sendFrame(parts: readonly Uint8Array[]): void {
    this.link.send(this.decoder ? encodeFrame(parts) : concatAll(parts));
  }
}
