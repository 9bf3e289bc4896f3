/**
 * The second peer: a whole node of docs/PROTOCOL.md on one link, written from that page and the BOLTs
 * alone, as an oracle for the core. Simple where it may be, and unforgiving.
 */
import { ascii, type Bytes, fromHex, hex, sha256 } from "./bytes.ts";
import type { Channel } from "./channel.ts";
import type { ChannelType } from "./commitment.ts";
import { pointOf } from "./curve.ts";
import { ChannelSecrets, randomFrom } from "./keys.ts";
import type { Message } from "./messages.ts";
import { must } from "./must.ts";
import { Opening, type OpenOptions } from "./opening.ts";
import { type Pipe, Session } from "./session.ts";

export interface PeerOptions {
  readonly seed: Bytes;
  readonly chainHash: Bytes;
  /** Feature bits of `init`. */
  readonly features?: readonly number[];
}

const MAX_MESSAGE_BYTES = 65535;
const UNGREETED_BYTES = 4096;

/** Bits of docs/PROTOCOL.md "Features", offered (odd): all but zeroconf. */
export const OFFERED = [5, 13, 23, 27, 41, 45, 47, 61, 211, 213];
const ALL_CHANNELS = hex(new Uint8Array(32));

export class SecondPeer {
  readonly nodeId: Bytes;
  readonly channels = new Map<string, Channel>();
  /** Messages that came, of all kinds but ping and pong, oldest first. */
  readonly heard: Message[] = [];
  /** Messages that are of no channel. */
  readonly services: Message[] = [];
  readonly complaints: string[] = [];
  session: Session | undefined;
  /** Why the last session ended. */
  ended: string | undefined;
  private readonly secret: Bytes;
  private openings: Opening[] = [];
  private greeted = false;
  private remoteId: Bytes | undefined;
  private remoteMaxBytes = UNGREETED_BYTES;
  private randomCount = 0;
  private nowMs = 0;

  constructor(private readonly options: PeerOptions) {
    this.secret = sha256(options.seed, ascii("node"));
    this.nodeId = pointOf(this.secret);
  }

  /** A new link; the peer calls where it is told whom. */
  attach(pipe: Pipe, remoteId?: Bytes): void {
    if (this.greeted) this.onEnd("another link");
    this.ended = undefined;
    const session: Session = new Session(pipe, {
      secret: this.secret,
      remoteId,
      random: () => this.random(),
      onEstablished: (id) => {
        this.remoteId = id;
        this.greet();
      },
      onMessage: (message) => this.handle(message),
      onEnd: (reason) => {
        if (this.session === session) this.onEnd(reason);
      },
    });
    this.session = session;
    session.tick(this.nowMs);
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.session && this.ended === undefined) this.session.tick(nowMs);
  }

  get isConnected(): boolean {
    return this.greeted;
  }

  /** The channel opened last. */
  get channel(): Channel {
    const last = [...this.channels.values()].at(-1);
    if (!last) throw new Error("the second peer has no channel");
    return last;
  }

  open(options: OpenOptions): Opening {
    const opening = new Opening("opener", this.random(), this.openingContext());
    this.openings.push(opening);
    opening.open(options);
    return opening;
  }

  send(message: Message): void {
    if (this.session?.established) this.session.send(message);
  }

  private greet(): void {
    this.send({
      type: "init",
      features: bitmap(this.options.features ?? OFFERED),
      chainHashes: [this.options.chainHash],
      maxMessageBytes: MAX_MESSAGE_BYTES,
    });
  }

  private onEnd(reason: string): void {
    this.ended = reason;
    this.greeted = false;
    this.openings = [];
    for (const channel of this.channels.values()) channel.disconnected();
  }

  private handle(message: Message): void {
    this.heard.push(message);
    if (!this.greeted) {
      this.onInit(message);
      return;
    }
    if (message.type === "error" || message.type === "warning") {
      this.complaints.push(`${message.type}: ${String(message.data)}`);
    }
    const opening = this.openingOf(message);
    if (opening) {
      this.onOpening(opening, message);
      return;
    }
    const id = hex((message.channelId ?? new Uint8Array(0)) as Bytes);
    const channel = this.channels.get(id);
    if (channel) channel.handle(message);
    else if (id === "" || id === ALL_CHANNELS) this.services.push(message);
    else must(message.type === "error", `${message.type} for a channel that is not`);
  }

  private onInit(message: Message): void {
    must(message.type === "init", `${message.type} before init`);
    this.greeted = true;
    this.remoteMaxBytes = Number(message.maxMessageBytes);
    must(this.remoteMaxBytes >= 4096, "less than 4096 bytes");
    for (const channel of this.channels.values()) channel.connected();
  }

  private openingOf(message: Message): Opening | undefined {
    if (message.type === "open_channel") {
      const id = message.temporaryChannelId as Bytes;
      const opening = new Opening("acceptor", id, this.openingContext());
      this.openings.push(opening);
      return opening;
    }
    const id = message.temporaryChannelId ?? message.channelId;
    if (!(id instanceof Uint8Array) || message.type.startsWith("funding_o")) return undefined;
    const isFor = (opening: Opening) =>
      [opening.temporaryId, opening.channelId].some((own) => own && hex(own) === hex(id));
    return this.openings.find(isFor);
  }

  private onOpening(opening: Opening, message: Message): void {
    if (message.type === "error" || message.type === "warning") return;
    const channel = opening.handle(message);
    if (!channel) return;
    this.openings = this.openings.filter((one) => one !== opening);
    this.channels.set(hex(channel.options.id), channel);
  }

  private openingContext() {
    if (!this.remoteId) throw new Error("no peer to open a channel with");
    return {
      chainHash: this.options.chainHash,
      secrets: new ChannelSecrets(this.random()),
      nodeSecret: this.secret,
      remoteId: this.remoteId,
      alias: 1_000_000 + this.channels.size,
      send: (message: Message) => this.send(message),
    };
  }

  private random(): Bytes {
    return randomFrom(this.options.seed, this.randomCount++);
  }
}

/** All types, so that tests can go through them. */
export const ALL_TYPES: readonly ChannelType[] = [
  "zero_fee_commitments",
  "anchors",
  "static_remotekey",
];

function bitmap(bits: readonly number[]): Bytes {
  const value = bits.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n);
  const text = value.toString(16);
  return fromHex(text.length % 2 ? `0${text}` : text);
}
