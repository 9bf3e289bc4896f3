/** An ESP chip's serial loader, first its ROM's and then the uploaded stub's (Espressif's "Serial Protocol"). */
import { constants, inflateSync } from "node:zlib";
import type { Chip } from "./chips.ts";
import { SlipReader, slipPacket } from "./slip.ts";
import type { SpiFlash } from "./spi-flash.ts";

/** What goes wrong, where it is asked to. */
export interface LoaderFaults {
  /** The cable is pulled after so many bytes came in. */
  unplugAfterBytes?: number | undefined;
  /** The first time that this address is programmed, the flash keeps another byte there; `times` (1) says how often. */
  corrupt?: { readonly address: number; times?: number } | undefined;
  /** Above this rate the line carries noise. */
  maxBaud?: number | undefined;
  /** Nothing is answered: the chip runs its program, and nobody holds BOOT. */
  isSilent?: boolean | undefined;
  /** The computer is busy: the stub's start, and the first command at another rate, are carried out so much later. */
  lateMs?: number | undefined;
}

export interface LoaderEvents {
  send(bytes: Uint8Array): void;
  onUnplugged(): void;
  /** The loader was told to start the program in the flash. */
  onReboot(): void;
}

const OP = {
  flashBegin: 0x02,
  flashData: 0x03,
  flashEnd: 0x04,
  memBegin: 0x05,
  memEnd: 0x06,
  memData: 0x07,
  sync: 0x08,
  writeReg: 0x09,
  readReg: 0x0a,
  spiSetParams: 0x0b,
  spiAttach: 0x0d,
  changeBaud: 0x0f,
  deflBegin: 0x10,
  deflData: 0x11,
  deflEnd: 0x12,
  md5: 0x13,
  securityInfo: 0x14,
  eraseFlash: 0xd0,
  eraseRegion: 0xd1,
  readFlash: 0xd2,
} as const;

const ERROR = { invalidMessage: 0x05, failed: 0x06, checksum: 0x07, deflate: 0x0b } as const;
const CHECKSUM_START = 0xef;
const MAGIC_REGISTER = 0x40001000;
const HEADER_BYTES = 8;
const DATA_HEADER_BYTES = 16;
const ROM_SYNC_VALUE = 0x20120707;
const SYNC_ANSWERS = 8;
const OHAI = new TextEncoder().encode("OHAI");
const SPI_USER_COMMAND = 1 << 18;

interface Writing {
  offset: number;
  /** Compressed bytes so far; undefined: what comes is plain. */
  deflated: Uint8Array | undefined;
  written: number;
  lastSequence: number;
}

interface Reading {
  readonly data: Uint8Array;
  readonly block: number;
  sent: number;
}

export class RomLoader {
  isStub = false;
  /** Commands by their number: what a test may look at. */
  readonly counts = new Map<number, number>();
  private baud = 115_200;
  private received = 0;
  private busyUntilMs = 0;
  private readonly registers = new Map<number, number>();
  private writing: Writing | undefined;
  private reading: Reading | undefined;
  private readonly slip = new SlipReader((packet) => this.packet(packet));

  constructor(
    private readonly chip: Chip,
    private readonly flash: SpiFlash,
    private readonly faults: LoaderFaults,
    private readonly events: LoaderEvents,
  ) {}

  receive(bytes: Uint8Array): void {
    const { faults } = this;
    this.received += bytes.length;
    if (faults.unplugAfterBytes !== undefined && this.received > faults.unplugAfterBytes) {
      faults.unplugAfterBytes = undefined;
      this.flash.save();
      this.events.onUnplugged();
      return;
    }
    if (!faults.isSilent) this.slip.receive(bytes);
  }

  private packet(packet: Uint8Array): void {
    if (this.reading && packet.length === 4) {
      this.readOn(new DataView(packet.buffer).getUint32(0, true));
      return;
    }
    if (packet[0] !== 0 || packet.length < HEADER_BYTES) return;
    const op = packet[1] as number;
    // A pty has no reset line: the sync of a host that has gone back to the first rate stands for it.
    const isNoise = this.baud > (this.faults.maxBaud ?? Number.POSITIVE_INFINITY);
    if (isNoise && op !== OP.sync) return;
    this.counts.set(op, (this.counts.get(op) ?? 0) + 1);
    const carryOut = () => this.command(op, packet.subarray(HEADER_BYTES), packet[4] as number);
    const lateMs = this.latenessOf(op);
    if (lateMs > 0) setTimeout(carryOut, lateMs);
    else carryOut();
  }

  private latenessOf(op: number): number {
    const { lateMs = 0 } = this.faults;
    const nowMs = Date.now();
    if (op === OP.changeBaud) this.busyUntilMs = nowMs + lateMs;
    else if (op === OP.memEnd) return lateMs;
    else return this.busyUntilMs - nowMs;
    return 0;
  }

  private command(op: number, data: Uint8Array, checksum: number): void {
    const word = (at: number) => wordAt(data, at);
    switch (op) {
      case OP.sync:
        this.sync();
        return;
      case OP.readReg:
        this.reply(op, { value: this.register(word(0)) });
        return;
      case OP.writeReg:
        this.registers.set(word(0), word(4));
        this.reply(op);
        return;
      case OP.memBegin:
      case OP.spiSetParams:
      case OP.spiAttach:
        this.reply(op);
        return;
      case OP.memData:
        this.reply(op, { error: checksumError(data, checksum) });
        return;
      case OP.memEnd:
        this.enterMemory();
        return;
      case OP.changeBaud:
        this.reply(op);
        this.baud = word(0);
        return;
      case OP.securityInfo:
        this.securityInfo();
        return;
      case OP.md5: {
        const digest = this.flash.md5(word(0), word(4));
        const hex = new TextEncoder().encode(Buffer.from(digest).toString("hex"));
        this.reply(op, { data: this.isStub ? digest : hex });
        return;
      }
      default:
        this.flashCommand(op, data, checksum);
        return;
    }
  }

  private flashCommand(op: number, data: Uint8Array, checksum: number): void {
    const word = (at: number) => wordAt(data, at);
    switch (op) {
      case OP.flashBegin:
      case OP.deflBegin: {
        const isErased = this.flash.erase(word(12), word(0));
        const deflated = op === OP.deflBegin ? new Uint8Array(0) : undefined;
        this.writing = { offset: word(12), deflated, written: 0, lastSequence: -1 };
        this.reply(op, { error: isErased ? 0 : ERROR.failed });
        return;
      }
      case OP.flashData:
      case OP.deflData:
        this.reply(op, { error: checksumError(data, checksum) || this.write(data) });
        return;
      case OP.flashEnd:
      case OP.deflEnd:
        this.writing = undefined;
        this.flash.save();
        this.reply(op);
        if (word(0) === 0) this.events.onReboot();
        return;
      case OP.eraseFlash:
        this.flash.erase(0, this.flash.size);
        this.flash.save();
        this.reply(op);
        return;
      case OP.eraseRegion:
        this.reply(op, { error: this.flash.erase(word(0), word(4)) ? 0 : ERROR.failed });
        return;
      case OP.readFlash:
        if (!this.isStub) {
          this.unknown();
          return;
        }
        this.reply(op);
        this.reading = { data: this.flash.read(word(0), word(4)), block: word(8), sent: 0 };
        this.readOn(0);
        return;
      default:
        this.unknown();
        return;
    }
  }

  private sync(): void {
    if (this.baud > (this.faults.maxBaud ?? Number.POSITIVE_INFINITY)) {
      this.baud = 115_200;
      this.isStub = false;
    }
    for (let count = 0; count < SYNC_ANSWERS; count++) {
      this.reply(OP.sync, { value: this.isStub ? 0 : ROM_SYNC_VALUE });
    }
  }

  private register(address: number): number {
    if (address === MAGIC_REGISTER) return this.chip.magic;
    if (address === this.chip.spi.word0) return this.flash.id;
    const value = this.registers.get(address);
    if (address === this.chip.spi.command) return (value ?? 0) & ~SPI_USER_COMMAND;
    return value ?? this.chip.registers[address] ?? 0;
  }

  private enterMemory(): void {
    this.reply(OP.memEnd);
    this.isStub = true;
    setTimeout(() => this.events.send(slipPacket(OHAI)), 5);
  }

  private securityInfo(): void {
    if (!this.chip.hasSecurityInfo) {
      this.unknown();
      return;
    }
    const data = new Uint8Array(20);
    new DataView(data.buffer).setUint32(12, this.chip.imageChipId, true);
    this.reply(OP.securityInfo, { data });
  }

  /** As the ROM does: under no command's number, and eight times. */
  private unknown(): void {
    for (let count = 0; count < SYNC_ANSWERS; count++) {
      this.reply(0, { error: ERROR.invalidMessage });
    }
  }

  private write(packet: Uint8Array): number {
    const { writing } = this;
    if (!writing) return ERROR.failed;
    const sequence = wordAt(packet, 4);
    if (sequence === writing.lastSequence) return 0; // said again: our answer was lost
    writing.lastSequence = sequence;
    const block = packet.subarray(DATA_HEADER_BYTES, DATA_HEADER_BYTES + wordAt(packet, 0));
    if (!writing.deflated) return this.program(writing, block);
    writing.deflated = Buffer.concat([writing.deflated, block]);
    try {
      const plain = inflateSync(writing.deflated, { finishFlush: constants.Z_SYNC_FLUSH });
      return this.program(writing, plain.subarray(writing.written));
    } catch {
      return ERROR.deflate;
    }
  }

  private program(writing: Writing, bytes: Uint8Array): number {
    const at = writing.offset + writing.written;
    if (!this.flash.program(at, bytes)) return ERROR.failed;
    writing.written += bytes.length;
    const { corrupt } = this.faults;
    if (corrupt && corrupt.address >= at && corrupt.address < at + bytes.length) {
      this.flash.corrupt(corrupt.address);
      const left = (corrupt.times ?? 1) - 1;
      this.faults.corrupt = left > 0 ? { ...corrupt, times: left } : undefined;
    }
    return 0;
  }

  /** The host acknowledges each block by the number of bytes that it has; the end is their MD5. */
  private readOn(acknowledged: number): void {
    const { reading } = this;
    if (!reading || acknowledged < reading.sent) return;
    const { data, block, sent } = reading;
    if (sent < data.length) {
      reading.sent = Math.min(data.length, sent + block);
      this.events.send(slipPacket(data.subarray(sent, reading.sent)));
    } else this.reading = undefined;
  }

  private reply(
    op: number,
    { value = 0, data = new Uint8Array(0), error = 0 }: ReplyParts = {},
  ): void {
    const status = new Uint8Array(this.isStub ? 2 : 4);
    status.set([error === 0 ? 0 : 1, error]);
    const packet = new Uint8Array(HEADER_BYTES + data.length + status.length);
    const view = new DataView(packet.buffer);
    packet.set([1, op]);
    view.setUint16(2, data.length + status.length, true);
    view.setUint32(4, value >>> 0, true);
    packet.set(data, HEADER_BYTES);
    packet.set(status, HEADER_BYTES + data.length);
    this.events.send(slipPacket(packet));
  }
}

interface ReplyParts {
  readonly value?: number;
  readonly data?: Uint8Array;
  readonly error?: number;
}

function checksumError(data: Uint8Array, expected: number): number {
  const content = data.subarray(DATA_HEADER_BYTES, DATA_HEADER_BYTES + wordAt(data, 0));
  const sum = content.reduce((state, byte) => state ^ byte, CHECKSUM_START);
  return sum === expected ? 0 : ERROR.checksum;
}

/** Zero where the packet is too short for it. */
function wordAt(data: Uint8Array, at: number): number {
  if (at + 4 > data.length) return 0;
  return new DataView(data.buffer, data.byteOffset).getUint32(at, true);
}
