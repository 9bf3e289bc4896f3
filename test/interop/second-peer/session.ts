/** A session over one link (docs/PROTOCOL.md "Frames", "Sessions"): the acts, numbered packets, ping and pong, goodbye. */
import { type Bytes, concat, same } from "./bytes.ts";
import { encodeFrame, FrameReader } from "./framing.ts";
import type { Message } from "./messages.ts";
import { type Ciphers, Initiator, Responder } from "./noise.ts";
import { PacketReader, PacketWriter } from "./packets.ts";

/** A stream of bytes, or datagrams, to one other machine. */
export interface Pipe {
  readonly kind: "stream" | "datagram";
  send(bytes: Bytes): void;
  onBytes: (bytes: Bytes) => void;
  onClosed: (reason: string) => void;
}

export interface SessionOptions {
  readonly secret: Bytes;
  /** Known by the initiator; a responder learns it. */
  readonly remoteId: Bytes | undefined;
  readonly random: () => Bytes;
  onEstablished(remoteId: Bytes): void;
  onMessage(message: Message): void;
  onEnd(reason: string): void;
}

const ACT_ONE = 1;
const ACT_TWO = 2;
const ACT_THREE = 3;
const NO_SESSION = 5;
const ACT_WAIT_MS = 5000;
const PING_AFTER_MS = 5000;
const DEAD_AFTER_MS = 15000;
const MOST_PONG_BYTES = 1024;

export class Session {
  /** Bytes of the link that were no frame. */
  get damaged(): number {
    return this.reader.damaged;
  }
  packetsReceived = 0;
  pongsReceived = 0;
  private readonly reader = new FrameReader();
  private initiator: Initiator | undefined;
  private responder: Responder | undefined;
  private answered: { readonly actOne: Bytes; readonly actTwo: Bytes } | undefined;
  private ciphers: Ciphers | undefined;
  private sent = 0;
  private readonly writer = new PacketWriter();
  private readonly packets = new PacketReader();
  private confirmed = false;
  /** Why it ended. */
  endedBy: string | undefined;
  private nowMs = 0;
  private heardAtMs = 0;
  private pingedAtMs = 0;

  constructor(
    private readonly pipe: Pipe,
    private readonly options: SessionOptions,
  ) {
    pipe.onBytes = (bytes) => this.read(bytes);
    pipe.onClosed = (reason) => this.end(reason);
    this.call();
  }

  get established(): boolean {
    return this.ciphers !== undefined && this.endedBy === undefined;
  }

  send(message: Message): void {
    this.sendBytes(this.writer.write([message]));
  }

  /** An encrypted message of one byte. */
  goodbye(reason: number): void {
    this.sendBytes(Uint8Array.of(reason));
    this.end(`we said goodbye ${reason}`);
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs;
    const silence = nowMs - this.heardAtMs;
    if (!this.ciphers) {
      if (silence >= ACT_WAIT_MS) this.call();
      return;
    }
    if (silence >= DEAD_AFTER_MS) this.end("silence");
    else if (silence >= PING_AFTER_MS && nowMs - this.pingedAtMs >= PING_AFTER_MS) {
      this.pingedAtMs = nowMs;
      this.send({ type: "ping", pongBytes: 2, ignored: new Uint8Array(0) });
    }
  }

  private call(): void {
    const { remoteId, secret, random } = this.options;
    this.heardAtMs = this.nowMs;
    if (!remoteId) return;
    this.initiator = new Initiator(secret, remoteId, random());
    this.sendFrame(ACT_ONE, this.initiator.actOne());
  }

  private end(reason: string): void {
    if (this.endedBy !== undefined) return;
    this.endedBy = reason;
    this.options.onEnd(reason);
  }

  private sendBytes(bytes: Bytes): void {
    if (!this.ciphers) throw new Error("no session to send in");
    const number = this.sent++;
    const isStream = this.pipe.kind === "stream";
    const header = isStream ? [128 + (number % 128)] : [128 + ((number >> 8) % 128), number % 256];
    this.sendWhole(concat(Uint8Array.from(header), this.ciphers.send.seal(bytes)));
  }

  private sendFrame(kind: number, content: Bytes): void {
    this.sendWhole(concat(Uint8Array.of(kind), content));
  }

  private sendWhole(frame: Bytes): void {
    this.pipe.send(this.pipe.kind === "stream" ? encodeFrame(frame) : frame);
  }

  private read(bytes: Bytes): void {
    const frames = this.pipe.kind === "stream" ? this.reader.read(bytes) : [bytes];
    for (const frame of frames) {
      if (this.endedBy !== undefined) continue;
      if ((frame[0] ?? 0) >= 128) this.readPacket(frame);
      else this.readFrame(frame[0] ?? 0, frame.slice(1));
    }
  }

  private readFrame(kind: number, content: Bytes): void {
    if (kind === ACT_ONE && content.length === 50) this.readActOne(content);
    else if (kind === ACT_TWO && content.length === 50) this.readActTwo(content);
    else if (kind === ACT_THREE && content.length === 66) this.readActThree(content);
    else if (kind === NO_SESSION && this.initiator && !this.confirmed) this.call();
  }

  private readActOne(actOne: Bytes): void {
    if (this.options.remoteId) return; // we call, and expect no call
    if (this.answered && same(this.answered.actOne, actOne)) {
      this.sendFrame(ACT_TWO, this.answered.actTwo);
      return;
    }
    this.responder = new Responder(this.options.secret, this.options.random());
    this.answered = { actOne, actTwo: this.responder.actTwo(actOne) };
    this.sendFrame(ACT_TWO, this.answered.actTwo);
  }

  private readActTwo(actTwo: Bytes): void {
    if (!this.initiator || this.ciphers) return;
    const { act, ciphers } = this.initiator.actThree(actTwo);
    this.sendFrame(ACT_THREE, act);
    this.establish(ciphers);
  }

  private readActThree(actThree: Bytes): void {
    if (!this.responder) return;
    const ciphers = this.responder.finish(actThree);
    this.responder = undefined;
    this.establish(ciphers);
  }

  private establish(ciphers: Ciphers): void {
    this.ciphers = ciphers;
    this.heardAtMs = this.nowMs;
    this.options.onEstablished(ciphers.remoteId);
  }

  private readPacket(frame: Bytes): void {
    if (!this.ciphers) {
      this.sendFrame(NO_SESSION, new Uint8Array(0));
      return;
    }
    const isStream = this.pipe.kind === "stream";
    const first = (frame[0] ?? 0) - 128;
    const number = isStream ? first : (first << 8) + (frame[1] ?? 0);
    const numbers = isStream ? 128 : 32768;
    const ahead = (number - (this.packetsReceived % numbers) + numbers) % numbers;
    if (ahead >= numbers / 2) return; // a repetition
    if (ahead > 0) {
      this.goodbye(2);
      return;
    }
    const bytes = this.ciphers.receive.open(frame.slice(isStream ? 1 : 2));
    this.packetsReceived++;
    this.heardAtMs = this.nowMs;
    this.confirmed = true;
    if (bytes.length === 1 && (bytes[0] ?? 0) < 24) {
      this.end(`goodbye ${bytes[0]}`);
      return;
    }
    for (const message of this.packets.read(bytes)) {
      if (this.endedBy === undefined) this.readMessage(message);
    }
  }

  private readMessage(message: Message): void {
    const { pongBytes } = message;
    if (message.type === "pong") this.pongsReceived++;
    else if (message.type !== "ping") this.options.onMessage(message);
    else if (Number(pongBytes) <= MOST_PONG_BYTES) {
      this.send({ type: "pong", ignored: new Uint8Array(Number(pongBytes)) });
    }
  }
}
