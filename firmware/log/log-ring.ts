/** The last lines of a device's log and why it last failed, in a memory that a reset keeps; bounded, and never a secret. */
import { decodeUtf8, encodeUtf8, utf8Length } from "../../core/messages/utf8.ts";
import { concatAll } from "../../core/primitives/bytes.ts";
import { crc32 } from "../../core/primitives/crc32.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { ByteReader, ByteWriter } from "../../core/transactions/codec.ts";
import type { System } from "../board.ts";

export interface LogLine {
  /** Rises by one with each line. */
  readonly number: number;
  /** Seconds since the start that wrote it. */
  readonly uptimeSeconds: number;
  readonly text: string;
}

export const MAX_LOG_LINES = 64;
export const MAX_LINE_BYTES = 160;
/** Where the board retains nothing. */
const USUAL_BYTES = 2048;
const VERSION = 1;
const HEADER_BYTES = 7;

export class LogRing {
  /** Why the run before ended, where it could say so. */
  readonly crashReason: string | undefined;
  /** As they are retained: most are written many times and never read. */
  private readonly lines: { readonly number: number; readonly bytes: Uint8Array }[] = [];
  private nextNumber = 1;
  private bytes = 0;
  private isStale = false;
  private crash = "";

  constructor(
    private readonly system: System,
    private readonly nowMs: () => number,
  ) {
    const kept = readKept(system);
    this.crashReason = kept?.crash || undefined;
    for (const line of kept?.lines ?? []) this.push(line);
  }

  /** Also printed. */
  add(text: string): void {
    const cut = cutToBytes(text, MAX_LINE_BYTES);
    this.system.print(cut);
    const uptimeSeconds = Math.floor(this.nowMs() / 1000);
    this.push({ number: this.nextNumber, uptimeSeconds, text: cut });
    this.isStale = true;
  }

  /** The device is about to fail, or to start anew: kept at once. */
  addCrash(reason: string): void {
    this.crash = cutToBytes(reason, MAX_LINE_BYTES);
    this.add(`crash: ${reason}`);
    this.flush();
  }

  after(number: number, most: number): readonly LogLine[] {
    const newer = this.lines.filter((line) => line.number > number).slice(0, most);
    return newer.map(({ bytes }) => decodeLine(new ByteReader(bytes)));
  }

  get last(): number {
    return this.nextNumber - 1;
  }

  /** Writes what is new into the retained memory. */
  flush(): void {
    const { retained } = this.system;
    if (!this.isStale || !retained) return;
    this.isStale = false;
    retained.write(encodeKept(this.crash, this.lines));
  }

  private push(line: LogLine): void {
    const bytes = encodeLine(line);
    this.lines.push({ number: line.number, bytes });
    this.nextNumber = line.number + 1;
    this.bytes += bytes.length;
    const room = (this.system.retained?.size ?? USUAL_BYTES) - HEADER_BYTES - MAX_LINE_BYTES - 2;
    while (this.lines.length > MAX_LOG_LINES || this.bytes > room) {
      const oldest = this.lines.shift();
      if (!oldest) return;
      this.bytes -= oldest.bytes.length;
    }
  }
}

/** At most `most` bytes of UTF-8, and no control characters. */
export function cutToBytes(text: string, most: number): string {
  let out = "";
  let length = 0;
  for (const character of text) {
    const shown = character < " " ? " " : isLoneSurrogate(character) ? "?" : character;
    length += utf8Length(shown);
    if (length > most) break;
    out += shown;
  }
  return out;
}

function isLoneSurrogate(character: string): boolean {
  const code = character.charCodeAt(0);
  return character.length === 1 && code >= 0xd800 && code <= 0xdfff;
}

function utf8(text: string): Uint8Array {
  const bytes = new Uint8Array(utf8Length(text));
  encodeUtf8(text, bytes, 0);
  return bytes;
}

function encodeLine({ number, uptimeSeconds, text }: LogLine): Uint8Array {
  const writer = new ByteWriter(MAX_LINE_BYTES);
  writer.u32(number);
  writer.u32(uptimeSeconds);
  writer.prefixed(utf8(text));
  return writer.bytes();
}

function decodeLine(reader: ByteReader): LogLine {
  return { number: reader.u32(), uptimeSeconds: reader.u32(), text: decodeText(reader) };
}

function decodeText(reader: ByteReader): string {
  const part = reader.prefixed();
  return decodeUtf8(part, 0, part.length);
}

/** CRC, version, length of the rest; the crash reason; the lines. */
function encodeKept(crash: string, lines: readonly { readonly bytes: Uint8Array }[]): Uint8Array {
  const writer = new ByteWriter();
  writer.prefixed(utf8(crash));
  const out = concatAll([
    new Uint8Array(HEADER_BYTES),
    writer.bytes(),
    ...lines.map(({ bytes }) => bytes),
  ]);
  const view = new DataView(out.buffer);
  view.setUint8(4, VERSION);
  view.setUint16(5, out.length - HEADER_BYTES);
  view.setUint32(0, crc32(out.subarray(4)));
  return out;
}

/** What the run before left; undefined where it is garbage, as after power came. */
function readKept(system: System): { crash: string; lines: readonly LogLine[] } | undefined {
  const bytes = system.retained?.read();
  if (!bytes || bytes.length < HEADER_BYTES || bytes[4] !== VERSION) return undefined;
  const length = ((bytes[5] as number) << 8) | (bytes[6] as number);
  const checked = bytes.subarray(4, HEADER_BYTES + length);
  const crc = crc32(checked);
  const isWhole =
    checked.length === HEADER_BYTES - 4 + length &&
    [24, 16, 8, 0].every((shift, i) => bytes[i] === ((crc >>> shift) & 0xff));
  if (!isWhole) return undefined;
  try {
    const reader = new ByteReader(bytes.slice(HEADER_BYTES, HEADER_BYTES + length));
    const crash = decodeText(reader);
    const lines: LogLine[] = [];
    while (reader.remaining > 0) lines.push(decodeLine(reader));
    return { crash, lines };
  } catch (cause) {
    if (cause instanceof ProtocolViolation) return undefined;
    throw cause;
  }
}
