/** Two or more nodes with sessions over wires that a test may cut, change and listen to; time passes only when told. */
import type { Message } from "../../core/messages/message.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Link } from "../../core/ports/link.ts";
import { type PublicKey, secretKey } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { Session } from "../../core/transport/session.ts";
import { Sessions } from "../../core/transport/sessions.ts";
import type { SessionTiming } from "../../core/transport/timing.ts";
import { providers } from "./crypto-providers.ts";

export const crypto = providers.at(-1) as Crypto;
export const timing: SessionTiming = {
  pingAfterMs: 1_000,
  deadAfterMs: 3_000,
  handshakeTimeoutMs: 2_000,
  minBackoffMs: 100,
  maxBackoffMs: 4_000,
};

export type Side = "a" | "b";
/** What becomes of bytes on their way: none, one or more chunks arrive. */
export type Passage = (bytes: Uint8Array, from: Side) => readonly Uint8Array[];

export interface Sent {
  readonly from: Side;
  readonly bytes: Uint8Array;
}

/** A cable between two links; what is sent waits until `pump`. */
export class Wire {
  readonly a: Link;
  readonly b: Link;
  readonly log: Sent[] = [];
  passage: Passage = (bytes) => [bytes];
  private readonly queue: Sent[] = [];

  constructor(
    readonly kind: Link["kind"] = "stream",
    private readonly quietMs = 0,
  ) {
    this.a = this.end("a");
    this.b = this.end("b");
  }

  /** Delivers until nothing is under way. */
  pump(): void {
    for (let sent = this.queue.shift(); sent !== undefined; sent = this.queue.shift()) {
      this.inject(sent.bytes, sent.from);
    }
  }

  /** Delivers what is under way now, not the answers to it. */
  step(): void {
    for (const sent of this.queue.splice(0)) this.inject(sent.bytes, sent.from);
  }

  /** Bytes on the wire that seem to come from that side. */
  inject(bytes: Uint8Array, from: Side): void {
    this.log.push({ from, bytes: bytes.slice() });
    for (const chunk of this.passage(bytes, from)) this[from === "a" ? "b" : "a"].onBytes(chunk);
  }

  sentBy(side: Side): readonly Uint8Array[] {
    return this.log.filter(({ from }) => from === side).map(({ bytes }) => bytes);
  }

  private end(side: Side): Link {
    return {
      name: `wire:${side}`,
      kind: this.kind,
      quietMs: this.quietMs,
      send: (bytes) => this.queue.push({ from: side, bytes: bytes.slice() }),
      close: () => undefined,
      onBytes: () => undefined,
      onClosed: () => undefined,
    };
  }
}

export function identityOf(seed: number) {
  const secret = secretKey(new Uint8Array(32).fill(seed));
  return {
    nodeId: crypto.publicKeyOf(secret),
    ecdh: (point: PublicKey) => crypto.ecdh(secret, point),
  };
}

/** Repeatable bytes, different for each seed and each start of a node. */
export function entropyOf(seed: number, start = 0) {
  let count = 0;
  return {
    random(length: number): Uint8Array {
      const input = Uint8Array.of(seed, start >> 8, start, count >> 16, count >> 8, count);
      count++;
      return crypto.sha256(input).slice(0, length);
    },
  };
}

/** What a node saw, in order. */
export class Diary {
  readonly entries: string[] = [];
  readonly messages: Message[] = [];
  onMessageHook: (message: Message) => void = () => undefined;
  onEstablishedHook: () => void = () => undefined;

  readonly events = {
    onEstablished: (id: PublicKey) => {
      this.entries.push(`up ${toHex(id).slice(0, 8)}`);
      this.onEstablishedHook();
    },
    onMessage: (message: Message) => {
      this.messages.push(message);
      this.onMessageHook(message);
    },
    onClosed: (reason: string) => {
      this.entries.push(`down: ${reason}`);
    },
    onViolation: (violation: { tag: string }) => {
      this.entries.push(`violation: ${violation.tag}`);
    },
  };

  /** How often a session was established. */
  get ups(): number {
    return this.entries.filter((entry) => entry.startsWith("up")).length;
  }
  get downs(): readonly string[] {
    return this.entries.filter((entry) => entry.startsWith("down"));
  }
  /** The texts of the warnings that arrived. */
  get texts(): readonly string[] {
    return this.messages.map((message) =>
      message.type === "warning" ? message.data : message.type,
    );
  }
}

export interface NodeOptions {
  readonly seed: number;
  readonly calls?: PublicKey;
  readonly maxMessageBytes?: number;
  readonly nowMs?: number;
  /** Another one: other ephemeral keys. */
  readonly start?: number;
}

export class TestNode {
  readonly diary = new Diary();
  readonly session: Session;
  readonly nodeId: PublicKey;

  constructor(link: Link, { seed, calls, maxMessageBytes, nowMs, start }: NodeOptions) {
    const identity = identityOf(seed);
    this.nodeId = identity.nodeId;
    const shared = {
      crypto,
      identity,
      entropy: entropyOf(seed, start),
      maxMessageBytes: maxMessageBytes ?? 4096,
      timing,
      events: this.diary.events,
    };
    this.session = new Session(shared, { link, nowMs: nowMs ?? 0, remoteNodeId: calls });
  }

  say(data: string): boolean {
    return this.session.send(note(data));
  }
}

export function note(data: string): Message {
  return { type: "warning", channelId: new Uint8Array(32) as never, data };
}

/** A calls B over one wire. */
export class Lab {
  nowMs = 0;
  a: TestNode;
  b: TestNode;

  constructor(
    readonly wire: Wire = new Wire(),
    private start = 0,
  ) {
    this.b = new TestNode(wire.b, { seed: 22, start });
    this.a = new TestNode(wire.a, { seed: 11, calls: this.b.nodeId, start });
  }

  restartA(): void {
    const { nowMs, b } = this;
    const start = ++this.start;
    this.a = new TestNode(this.wire.a, { seed: 11, calls: b.nodeId, nowMs, start });
  }
  restartB(): void {
    this.b = new TestNode(this.wire.b, { seed: 22, nowMs: this.nowMs, start: ++this.start });
  }

  /** Lets time pass in steps of 50 ms, delivering all along. */
  advance(ms: number): void {
    for (let passed = 0; passed < ms; passed += 50) {
      this.nowMs += 50;
      this.a.session.tick(this.nowMs);
      this.b.session.tick(this.nowMs);
      this.wire.pump();
    }
  }

  connect(): this {
    this.advance(50);
    return this;
  }

  exchange(): { toA: readonly string[]; toB: readonly string[] } {
    const [fromA, fromB] = [this.a.diary.messages.length, this.b.diary.messages.length];
    this.a.say("ping from a");
    this.b.say("ping from b");
    this.wire.pump();
    return { toA: this.a.diary.texts.slice(fromA), toB: this.b.diary.texts.slice(fromB) };
  }

  /** Both talk to each other. */
  get works(): boolean {
    const { toA, toB } = this.exchange();
    return toA.join() === "ping from b" && toB.join() === "ping from a";
  }
}

/** A node with a registry of sessions over any number of wires. */
export function sessionsOf(seed: number) {
  const diary: string[] = [];
  const name = (id: PublicKey) => toHex(id).slice(0, 8);
  const identity = identityOf(seed);
  const sessions = new Sessions({
    crypto,
    identity,
    entropy: entropyOf(seed),
    maxMessageBytes: 4096,
    maxLinks: 4,
    timing,
    nowMs: 0,
    events: {
      onEstablished: (id, session) => diary.push(`up ${name(id)} ${session.link.name}`),
      onMessage: (id, message) =>
        diary.push(`${name(id)}: ${message.type === "warning" ? message.data : message.type}`),
      onClosed: (id, reason) => diary.push(`down ${name(id)}: ${reason}`),
    },
  });
  return { sessions, diary, nodeId: identity.nodeId };
}
