/** An emulated NOR flash, in memory or in a file: refuses what NOR refuses, wears, and loses power where told. */
import { closeSync, existsSync, fdatasyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { ERASED, type Flash } from "../../firmware/store/flash.ts";

export const SECTOR_BYTES = 4096;
export const PAGE_BYTES = 256;
const MIN_BYTES = 64 * 1024;
const MAX_BYTES = 16 * 1024 * 1024;

export interface NorOptions {
  /** 64 KB to 16 MB, in whole sectors. */
  readonly size: number;
  /** Keeps the contents in this file; an existing one must have `size` bytes. */
  readonly file?: string;
  /** Contents to start from; erased where absent. */
  readonly image?: Uint8Array;
  /** Flush the file after each program and erase (default); a killed process loses nothing without it, a killed machine may. */
  readonly flush?: boolean;
}

/** Thrown at the step where power fails, and by every use of the flash after it. */
export class PowerCut extends Error {
  override readonly name = "PowerCut";
}

/** A program would have to set a bit that only an erase can set. */
export class NorViolation extends Error {
  override readonly name = "NorViolation";
}

export class NorFlash implements Flash {
  readonly size: number;
  readonly sectorSize = SECTOR_BYTES;
  readonly eraseCounts: Uint32Array;
  /** Steps so far: a page program or a sector erase each. Power can fail at any of them. */
  steps = 0;
  bytesProgrammed = 0;
  private readonly bytes: Uint8Array;
  private readonly file: number | undefined;
  private readonly flush: boolean;
  private cut: { readonly step: number; readonly random: () => number } | undefined;
  private off = false;
  private observer: ((image: Uint8Array) => void) | undefined;
  private observerRandom: () => number = randomFrom(0);

  constructor(options: NorOptions) {
    const { size, file } = options;
    if (size < MIN_BYTES || size > MAX_BYTES || size % SECTOR_BYTES !== 0) {
      throw new Error(`a flash has 64 KB to 16 MB in sectors of 4 KB, not ${size} bytes`);
    }
    this.size = size;
    this.eraseCounts = new Uint32Array(size / SECTOR_BYTES);
    this.flush = options.flush ?? true;
    const contents = options.image ?? (file && existsSync(file) ? readFileSync(file) : undefined);
    if (contents && contents.length !== size) {
      throw new Error(`the flash image has ${contents.length} bytes, ${size} were expected`);
    }
    this.bytes = contents ? new Uint8Array(contents) : new Uint8Array(size).fill(ERASED);
    if (file) {
      this.file = openSync(file, existsSync(file) ? "r+" : "w+", 0o600);
      this.store(0, size);
      this.flushFile();
    }
  }

  /** Power fails at step number `step` (counted like `steps`); `seed` decides how much of that step happens. */
  failAt(step: number, seed: number): void {
    this.cut = { step, random: randomFrom(seed) };
  }

  /** Power stays, but at every step `observer` gets what the chip would hold had it failed there. */
  observeCuts(seed: number, observer: (image: Uint8Array) => void): void {
    this.observer = observer;
    this.observerRandom = randomFrom(seed);
  }

  /** What the chip holds now, for the next life. */
  image(): Uint8Array {
    return this.bytes.slice();
  }

  read(offset: number, length: number): Uint8Array {
    this.checkPower();
    this.checkRange(offset, length);
    return this.bytes.slice(offset, offset + length);
  }

  program(offset: number, bytes: Uint8Array): void {
    this.checkPower();
    this.checkRange(offset, bytes.length);
    for (let done = 0; done < bytes.length; ) {
      const at = offset + done;
      const length = Math.min(PAGE_BYTES - (at % PAGE_BYTES), bytes.length - done);
      this.programPage(at, bytes.subarray(done, done + length));
      done += length;
    }
    this.flushFile();
  }

  erase(sector: number): void {
    this.checkPower();
    const offset = sector * SECTOR_BYTES;
    this.checkRange(offset, SECTOR_BYTES);
    this.eraseCounts[sector] = (this.eraseCounts[sector] as number) + 1;
    this.step(
      (bytes, random) => eraseInPart(bytes, offset, random),
      (bytes) => bytes.fill(ERASED, offset, offset + SECTOR_BYTES),
      { offset, length: SECTOR_BYTES },
    );
    this.flushFile();
  }

  close(): void {
    this.off = true;
    if (this.file !== undefined) closeSync(this.file);
  }

  private programPage(offset: number, page: Uint8Array): void {
    for (let i = 0; i < page.length; i++) {
      const before = this.bytes[offset + i] as number;
      if ((~before & (page[i] as number)) !== 0) {
        throw new NorViolation(`byte ${offset + i} would need bits set: erase its sector first`);
      }
    }
    this.step(
      (bytes, random) => programInPart(bytes, offset, page, random),
      (bytes) => bytes.set(page, offset),
      { offset, length: page.length },
    );
    this.bytesProgrammed += page.length;
  }

  private step(
    inPart: (bytes: Uint8Array, random: () => number) => void,
    whole: (bytes: Uint8Array) => void,
    where: { readonly offset: number; readonly length: number },
  ): void {
    const failing = this.cut?.step === this.steps;
    if (this.observer) {
      const image = this.image();
      inPart(image, this.observerRandom);
      this.observer(image);
    }
    this.steps++;
    if (failing && this.cut) inPart(this.bytes, this.cut.random);
    else whole(this.bytes);
    this.store(where.offset, where.length);
    if (failing) this.powerOff();
  }

  private powerOff(): never {
    this.off = true;
    throw new PowerCut(`power failed at step ${this.steps - 1}`);
  }

  private checkPower(): void {
    if (this.off) throw new PowerCut("the flash has no power");
  }

  private checkRange(offset: number, length: number): void {
    if (offset < 0 || length < 0 || offset + length > this.size || !Number.isInteger(offset)) {
      throw new Error(`${length} bytes at ${offset} are outside the flash of ${this.size} bytes`);
    }
  }

  private store(offset: number, length: number): void {
    if (this.file === undefined) return;
    writeSync(this.file, this.bytes, offset, length, offset);
  }

  private flushFile(): void {
    if (this.file !== undefined && this.flush) fdatasyncSync(this.file);
  }
}

/** A prefix of the page is written; of the byte after it some bits are cleared, not all. */
function programInPart(
  bytes: Uint8Array,
  offset: number,
  page: Uint8Array,
  random: () => number,
): void {
  const whole = Math.floor(random() * (page.length + 1));
  bytes.set(page.subarray(0, whole), offset);
  if (whole === page.length) return;
  const spared = Math.floor(random() * 256);
  const at = offset + whole;
  bytes[at] = (bytes[at] as number) & ((page[whole] as number) | spared);
}

/** Nothing, everything, the front, the back, or some of the bits everywhere. */
function eraseInPart(bytes: Uint8Array, offset: number, random: () => number): void {
  const kind = Math.floor(random() * 5);
  const border = kind === 0 ? 0 : kind === 1 ? SECTOR_BYTES : random() * SECTOR_BYTES;
  for (let i = 0; i < SECTOR_BYTES; i++) {
    const reached = kind === 3 ? i >= border : i < border;
    const set = kind === 4 ? Math.floor(random() * 256) : reached ? ERASED : 0;
    bytes[offset + i] = (bytes[offset + i] as number) | set;
  }
}

/** mulberry32: small, good enough to choose where power fails, and the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
