/** A BLE connection as a stream link: writes cut to the MTU, small frames sent together, a queue that has an end (docs/LINKS.md "BLE"). */
import type { Link } from "../../core/ports/link.ts";
import { encodeFrame } from "../../core/transport/framing.ts";
import { isPacket, Kind } from "../../core/transport/packets.ts";
import type { BleConnection } from "./drivers.ts";

/** Bytes that wait for the radio; whoever does not take them is let go. */
export const MAX_QUEUED_BYTES = 16_384;

/** "Another customer is served, come again": alone in one notification, and ignored by sessions. */
export function busyNotice(): Uint8Array {
  return encodeFrame([Uint8Array.of(Kind.busy)]);
}

/** Whether these bytes of a stream are a packet's frame, as only the two ends of a session make them. */
export function isPacketFrame(frame: Uint8Array): boolean {
  // Delimiter, the first block's length (1: the content begins with a zero), content.
  return (frame[1] ?? 1) > 1 && isPacket(frame.subarray(2));
}

export class BleStream implements Link {
  readonly kind = "stream";
  readonly name: string;
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  private readonly waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  /** Bytes of the first one that have left. */
  private sent = 0;
  private isOpen = true;
  private isPumping = false;

  constructor(private readonly connection: BleConnection) {
    this.name = `ble:${connection.address}`;
    connection.onBytes = (bytes) => {
      if (this.isOpen) this.onBytes(bytes);
    };
    connection.onWritable = () => this.pump();
    connection.onClosed = (reason) => this.end(reason);
  }

  /** Frames wait for the radio. */
  get isWaiting(): boolean {
    return this.waiting.length > 0;
  }

  send(bytes: Uint8Array): void {
    if (!this.isOpen || bytes.length === 0) return;
    if (this.waitingBytes + bytes.length > MAX_QUEUED_BYTES) {
      this.closeFor("the other side does not take what is sent");
      return;
    }
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
    this.pump();
  }

  close(): void {
    this.closeFor("closed here");
  }

  closeFor(reason: string): void {
    if (!this.isOpen) return;
    this.end(reason);
    this.connection.close();
  }

  private pump(): void {
    // A driver may call `onWritable` inside of `send`.
    if (this.isPumping) return;
    this.isPumping = true;
    while (this.isOpen && this.waiting.length > 0) {
      const piece = this.nextPiece(this.connection.maxWrite);
      if (!this.isTaken(piece)) break;
      this.drop(piece.length);
    }
    this.isPumping = false;
  }

  /** A stack that fails ends the link: the payment goes on over the next one. */
  private isTaken(piece: Uint8Array): boolean {
    try {
      return this.connection.send(piece);
    } catch (cause) {
      this.closeFor(`the radio failed: ${cause instanceof Error ? cause.message : String(cause)}`);
      return false;
    }
  }

  /** A view of the first frame, or a copy where several fit. */
  private nextPiece(maxBytes: number): Uint8Array {
    const first = this.waiting[0] as Uint8Array;
    const rest = first.subarray(this.sent, this.sent + maxBytes);
    if (rest.length === maxBytes || this.waiting.length === 1) return rest;
    const piece = new Uint8Array(Math.min(maxBytes, this.waitingBytes));
    piece.set(rest);
    let at = rest.length;
    for (let i = 1; at < piece.length; i++) {
      const next = (this.waiting[i] as Uint8Array).subarray(0, piece.length - at);
      piece.set(next, at);
      at += next.length;
    }
    return piece;
  }

  private drop(count: number): void {
    this.waitingBytes -= count;
    let left = count + this.sent;
    while (this.waiting.length > 0 && left >= (this.waiting[0] as Uint8Array).length) {
      left -= (this.waiting.shift() as Uint8Array).length;
    }
    this.sent = left;
  }

  private end(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.waiting.length = 0;
    this.waitingBytes = 0;
    this.onClosed(reason);
  }
}
