/** An emulated NOR flash, in memory or in a file: refuses what NOR refuses, wears, and loses power where told. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
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
  /** Flush the file after each step (default); a killed process loses nothing without it, a killed machine may. */
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
    }
  }

  /** Power fails at step number `step` (counted like `steps`); `seed` decides how much of that step happens. */
  failAt(step: number, seed: number): void {
    this.cut = { step, random: randomFrom(seed) };
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
  }

  erase(sector: number): void {
    this.checkPower();
    const offset = sector * SECTOR_BYTES;
    this.checkRange(offset, SECTOR_BYTES);
    this.eraseCounts[sector] = (this.eraseCounts[sector] as number) + 1;
    const failing = this.nextStepFails();
    if (failing) this.eraseInPart(offset, failing.random);
    else this.bytes.fill(ERASED, offset, offset + SECTOR_BYTES);
    this.store(offset, SECTOR_BYTES);
    if (failing) this.powerOff();
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
    const failing = this.nextStepFails();
    const whole = failing ? Math.floor(failing.random() * (page.length + 1)) : page.length;
    this.bytes.set(page.subarray(0, whole), offset);
    if (failing && whole < page.length) {
      // The byte in progress has some of its bits cleared, not all.
      const spared = Math.floor(failing.random() * 256);
      const before = this.bytes[offset + whole] as number;
      this.bytes[offset + whole] = before & ((page[whole] as number) | spared);
    }
    this.bytesProgrammed += whole;
    this.store(offset, page.length);
    if (failing) this.powerOff();
  }

  /** Nothing, everything, a part of the bytes, or a part of the bits everywhere. */
  private eraseInPart(offset: number, random: () => number): void {
    const kind = Math.floor(random() * 4);
    const reached = kind === 0 ? 0 : kind === 1 ? SECTOR_BYTES : random() * SECTOR_BYTES;
    for (let i = 0; i < SECTOR_BYTES; i++) {
      const set = kind === 3 ? Math.floor(random() * 256) : i < reached ? ERASED : 0;
      this.bytes[offset + i] = (this.bytes[offset + i] as number) | set;
    }
  }

  private nextStepFails(): { readonly random: () => number } | undefined {
    const step = this.steps++;
    return this.cut?.step === step ? this.cut : undefined;
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
    if (this.flush) fsyncSync(this.file);
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
