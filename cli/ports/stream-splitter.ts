/** Separates what a device writes on one serial line: text lines for people, and frames between zero bytes (docs/PROTOCOL.md "Framing"). */
import { FrameDecoder } from "../../core/transport/framing.ts";

export type StreamPiece =
  | { readonly type: "text"; readonly line: string }
  | { readonly type: "frame"; readonly frame: Uint8Array }
  | { readonly type: "noise"; readonly byteLength: number };

/** The longest frame that a host takes, encoded. */
const MAX_SEGMENT_BYTES = 70_000;
const MAX_FRAME_BYTES = 66_000;
const MAX_LINE_BYTES = 1000;
const NEWLINE = 0x0a;

export class StreamSplitter {
  /** Bytes since the last delimiter or line end. */
  private segment: number[] = [];
  private isText = true;

  constructor(private readonly onPiece: (piece: StreamPiece) => void) {}

  receive(bytes: Uint8Array): void {
    for (const byte of bytes) this.take(byte);
  }

  /** The line that was not ended: a prompt, or the last words before a crash. */
  flush(): void {
    if (this.isText) this.endLine();
  }

  private take(byte: number): void {
    if (byte === 0) {
      this.endSegment();
      return;
    }
    this.isText &&= isPrintable(byte);
    this.segment.push(byte);
    const isLong = this.isText && this.segment.length >= MAX_LINE_BYTES;
    if ((byte === NEWLINE && this.isText) || isLong) this.endLine();
    if (this.segment.length > MAX_SEGMENT_BYTES) this.noise();
  }

  private endLine(): void {
    const line = textOf(Uint8Array.from(this.segment));
    if (line === undefined) {
      this.noise();
      return;
    }
    this.reset();
    if (line) this.onPiece({ type: "text", line });
  }

  private endSegment(): void {
    if (this.segment.length === 0) return;
    const frame = frameOf(Uint8Array.from(this.segment));
    if (frame) {
      this.reset();
      this.onPiece({ type: "frame", frame });
    } else if (this.isText) this.endLine();
    else this.noise();
  }

  private noise(): void {
    const byteLength = this.segment.length;
    this.reset();
    this.onPiece({ type: "noise", byteLength });
  }

  private reset(): void {
    this.segment = [];
    this.isText = true;
  }
}

function frameOf(segment: Uint8Array): Uint8Array | undefined {
  let found: Uint8Array | undefined;
  const decoder = new FrameDecoder(MAX_FRAME_BYTES, (frame) => {
    found = frame.slice();
  });
  decoder.push(segment);
  decoder.push(Uint8Array.of(0));
  return found;
}

/** Undefined where it is no UTF-8. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes).trimEnd();
  } catch {
    return undefined;
  }
}

/** UTF-8, tabs, line ends, and the escapes of colours. */
function isPrintable(byte: number): boolean {
  return byte >= 0x20 ? byte !== 0x7f : [0x09, 0x0a, 0x0d, 0x1b].includes(byte);
}
