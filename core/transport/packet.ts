/** What one packet holds: a CBOR sequence of messages in their short form, or a goodbye (docs/PROTOCOL.md "Packets"). */
import { CborEncoder, type CborLimits, CborSequence } from "../messages/cbor.ts";
import { messageOfItems, type UnknownMessage } from "../messages/codec.ts";
import type { Message } from "../messages/message.ts";
import type { CborValue } from "../messages/schema.ts";
import type { MessageExpander } from "../messages/short-form.ts";
import { demand } from "../primitives/errors.ts";

/** Messages in one packet. */
export const MAX_PACKET_MESSAGES = 64;

/** Messages on their way into a packet. What is taken is a view that stands until the next use of the outbox. */
export class Outbox {
  private held: CborEncoder | undefined;
  private count = 0;
  /** Where the last message begins. */
  private last = 0;
  /** Bytes that were taken, and are still in front. */
  private taken = 0;

  /** Encoders that nobody uses: thousands of sessions have few packets in the making at a time. */
  constructor(private readonly encoders: CborEncoder[] = []) {}

  private get encoder(): CborEncoder {
    this.held ??= this.encoders.pop() ?? new CborEncoder();
    return this.held;
  }

  /** What was taken has been used. */
  release(): void {
    const { held } = this;
    if (!held || this.count > 0) return;
    held.truncate(0);
    this.taken = 0;
    this.held = undefined;
    this.encoders.push(held);
  }

  get isEmpty(): boolean {
    return this.count === 0;
  }

  /** The bytes that the message takes. */
  add(short: CborValue): number {
    if (this.taken > 0) {
      this.encoder.shift(this.taken);
      this.taken = 0;
    }
    this.last = this.encoder.length;
    this.encoder.append(short);
    this.count++;
    return this.encoder.length - this.last;
  }

  removeLast(): void {
    this.encoder.truncate(this.last);
    this.count--;
  }

  /** The last message does not fit behind those before it. */
  isBeyond(maxBytes: number): boolean {
    return this.encoder.length > maxBytes || this.count > MAX_PACKET_MESSAGES;
  }

  takeAllButLast(): Uint8Array {
    this.count = 1;
    this.taken = this.last;
    return this.encoder.view(this.last);
  }

  takeAll(): Uint8Array {
    const view = this.encoder.view().subarray(this.taken);
    this.count = 0;
    this.taken = this.encoder.length;
    return view;
  }

  clear(): void {
    this.count = 0;
    this.release();
  }
}

/** Reads a packet's messages one after the other; byte strings in them are views of it. */
export class PacketReader {
  private readonly sequence: CborSequence;
  private count = 0;

  constructor(
    plaintext: Uint8Array,
    limits: CborLimits,
    private readonly expander: MessageExpander,
  ) {
    this.sequence = new CborSequence(plaintext, limits);
  }

  /** Undefined at the end. @throws ProtocolViolation */
  next(): Message | UnknownMessage | undefined {
    if (this.sequence.isAtEnd) {
      demand(this.count > 0, "message-form", "a packet holds a message");
      return undefined;
    }
    this.count++;
    demand(this.count <= MAX_PACKET_MESSAGES, "message-form", "too many messages in a packet");
    return messageOfItems(this.expander.expand(this.sequence.next()));
  }
}
