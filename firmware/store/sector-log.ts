/** A circular log over all sectors of a flash: whole commits in, whole commits out, whatever the power does. */
import { StoreError } from "../../core/node/store-error.ts";
import { concat } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import { CommitChain, type LoggedCommit } from "./commit-chain.ts";
import { type Crc32, crc32Of, type Flash, holdsIn, isErasedIn } from "./flash.ts";
import {
  aligned,
  decodeSectorHeader,
  encodeFrame,
  encodeSectorHeader,
  FRAME_HEADER_BYTES,
  type FrameReading,
  frameBytes,
  readFrame,
  SECTOR_HEADER_BYTES,
  type SectorHeader,
} from "./log-format.ts";

export const MIN_SECTORS = 16;
/** A fragment below this is not worth its header: the next sector is opened instead. */
const MIN_FRAGMENT_BYTES = 32;
/** How often a commit that does not read back is written again, in another sector. */
const MAX_ATTEMPTS = 3;
const REPLACE = "Replace the device: what was stored before can still be read.";

export interface LogStatistics {
  readonly sectors: number;
  readonly freeSectors: number;
  /** Sectors that could not be erased or did not read back, since the mount. */
  readonly badSectors: number;
  readonly bytesProgrammed: number;
  readonly erases: number;
  readonly minEraseCount: number;
  readonly maxEraseCount: number;
  readonly totalEraseCount: number;
  /** Frames found damaged at mount: each power cut in a write leaves at most a few. */
  readonly damagedFrames: number;
  /** Commits that are missing in the middle of the log: the flash lost them. */
  readonly lostCommits: number;
}

interface Head {
  readonly sector: number;
  offset: number;
}

export class SectorLog {
  readonly sectors: number;
  private readonly crc32: Crc32;
  /** Sectors in the log, oldest first. */
  private order: number[] = [];
  private head: Head | undefined;
  private lastSector: number;
  private nextSequence = 1;
  private nextCommit = 1;
  /** Of the sectors in the log; 0 for the others. */
  private readonly sequences: Uint32Array;
  private readonly eraseCounts: Uint32Array;
  private readonly bad = new Set<number>();
  private bytesProgrammed = 0;
  private erases = 0;
  private damagedFrames = 0;
  private lostCommits = 0;

  /** Reads the whole flash once; `onCommit` gets every whole commit in order, `onLost` how many are missing before it. */
  constructor(
    private readonly flash: Flash,
    onCommit: (commit: LoggedCommit) => void,
    onLost: (before: LoggedCommit, count: number) => void,
  ) {
    checkGeometry(flash);
    this.crc32 = crc32Of(flash);
    this.sectors = flash.size / flash.sectorSize;
    this.sequences = new Uint32Array(this.sectors);
    this.eraseCounts = new Uint32Array(this.sectors);
    this.lastSector = this.sectors - 1;
    this.mount(onCommit, onLost);
  }

  get freeSectors(): number {
    return this.sectors - this.order.length - this.bad.size;
  }

  /** Payload bytes that a sector takes when nothing is split. */
  get sectorCapacity(): number {
    return this.flash.sectorSize - SECTOR_HEADER_BYTES - FRAME_HEADER_BYTES;
  }

  /** The oldest sector, unless it is the one being written. */
  get oldest(): number | undefined {
    return this.order.length > 1 ? this.order[0] : undefined;
  }

  sectorOf(address: number): number {
    return Math.floor(address / this.flash.sectorSize);
  }

  /** Writes a commit and reads it back; returns its address. What fails to read back is written again elsewhere. */
  append(payload: Uint8Array): number {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const address = this.write(payload);
      if (address === undefined) continue;
      this.nextCommit++;
      return address;
    }
    throw new StoreError("io", `The flash does not keep what is written to it. ${REPLACE}`);
  }

  /** The payload of the commit at `address`, which was whole when it was mounted or written. */
  read(address: number): Uint8Array {
    const payload = this.readWhole(address);
    if (payload) return payload;
    const message = `The flash lost what was stored at ${address}: restart the device.`;
    throw new StoreError("corrupt", message);
  }

  /** The payload of the commit that begins at `address`; undefined where it was torn. */
  readWhole(address: number): Uint8Array | undefined {
    const parts: Uint8Array[] = [];
    let place = this.order.indexOf(this.sectorOf(address));
    let offset = address % this.flash.sectorSize;
    for (;;) {
      const sector = this.order[place];
      if (sector === undefined) return undefined;
      for (;;) {
        const reading = this.frameAt(sector, offset);
        if (reading.kind === "end") break;
        if (reading.kind !== "frame" || reading.frame.index !== parts.length) return undefined;
        parts.push(reading.frame.payload);
        if (reading.frame.last) return parts.length === 1 ? parts[0] : concat(...parts);
        offset += reading.next;
      }
      place++;
      offset = SECTOR_HEADER_BYTES;
    }
  }

  /** Reads no more than the frame; `next` counts from its start. */
  private frameAt(sector: number, offset: number): FrameReading {
    const { flash } = this;
    const start = sector * flash.sectorSize + offset;
    const room = flash.sectorSize - offset;
    if (room < FRAME_HEADER_BYTES) return { kind: "end" };
    const length = Math.min(room, frameBytes(flash.read(start, FRAME_HEADER_BYTES)));
    return readFrame(flash.read(start, length), 0, this.sequences[sector] as number, this.crc32);
  }

  /** Addresses of the commits whose first frame stands in `sector`. */
  commitsIn(sector: number): readonly number[] {
    const found: number[] = [];
    const bytes = this.sectorBytes(sector);
    let offset = SECTOR_HEADER_BYTES;
    for (;;) {
      const reading = readFrame(bytes, offset, this.sequences[sector] as number, this.crc32);
      if (reading.kind === "end" || reading.kind === "broken") return found;
      if (reading.kind === "frame" && reading.frame.index === 0) {
        found.push(sector * this.flash.sectorSize + offset);
      }
      offset = reading.next;
    }
  }

  /** Nothing in the oldest sector is needed any more; it is erased when it is opened again. */
  releaseOldest(): void {
    const sector = this.order.shift();
    assert(sector !== undefined, "a sector to release");
    this.sequences[sector] = 0;
  }

  statistics(): LogStatistics {
    const counts = this.eraseCounts;
    return {
      sectors: this.sectors,
      freeSectors: this.freeSectors,
      badSectors: this.bad.size,
      bytesProgrammed: this.bytesProgrammed,
      erases: this.erases,
      minEraseCount: counts.reduce((a, b) => Math.min(a, b), Number.MAX_SAFE_INTEGER),
      maxEraseCount: counts.reduce((a, b) => Math.max(a, b), 0),
      totalEraseCount: counts.reduce((a, b) => a + b, 0),
      damagedFrames: this.damagedFrames,
      lostCommits: this.lostCommits,
    };
  }

  /** Undefined where it did not read back. */
  private write(payload: Uint8Array): number | undefined {
    let address = -1;
    let position = 0;
    for (let index = 0; index === 0 || position < payload.length; index++) {
      const head = this.headWithRoom(payload.length - position);
      const room = this.flash.sectorSize - head.offset - FRAME_HEADER_BYTES;
      const length = Math.min(room, payload.length - position);
      const part = payload.subarray(position, position + length);
      position += length;
      const last = position === payload.length;
      const sequence = this.sequences[head.sector] as number;
      const bytes = encodeFrame(
        { commit: this.nextCommit, index, last, payload: part },
        sequence,
        this.crc32,
      );
      const at = head.offset;
      if (index === 0) address = head.sector * this.flash.sectorSize + at;
      head.offset += bytes.length;
      if (this.program(head.sector, at, bytes)) continue;
      this.head = undefined; // what stands in the sector stays readable, but no more is put there
      return undefined;
    }
    return address;
  }

  private headWithRoom(wanted: number): Head {
    const least = FRAME_HEADER_BYTES + Math.min(wanted, MIN_FRAGMENT_BYTES);
    if (!this.head || this.head.offset + aligned(least) > this.flash.sectorSize) {
      this.head = this.openSector();
    }
    return this.head;
  }

  /** Erases the next free sector in turn, which wears all alike, and puts it at the end of the log. */
  private openSector(): Head {
    for (let i = 1; i <= this.sectors; i++) {
      const sector = (this.lastSector + i) % this.sectors;
      if (this.sequences[sector] !== 0 || this.bad.has(sector)) continue;
      this.lastSector = sector;
      this.flash.erase(sector);
      this.erases++;
      const eraseCount = (this.eraseCounts[sector] as number) + 1;
      this.eraseCounts[sector] = eraseCount;
      const sequence = this.nextSequence++;
      const oldest = this.order[0];
      const tail = oldest === undefined ? sequence : (this.sequences[oldest] as number);
      const header = encodeSectorHeader({ sequence, tail, eraseCount }, this.crc32);
      if (!this.isBlank(sector, 0) || !this.program(sector, 0, header)) {
        this.bad.add(sector);
        continue;
      }
      this.sequences[sector] = sequence;
      this.order.push(sector);
      return { sector, offset: SECTOR_HEADER_BYTES };
    }
    if (this.bad.size === 0) throw new StoreError("full", "The flash is full.");
    throw new StoreError("io", `The flash is worn out: ${this.bad.size} sectors fail. ${REPLACE}`);
  }

  /** Whether the bytes read back as they were written. */
  private program(sector: number, offset: number, bytes: Uint8Array): boolean {
    const at = sector * this.flash.sectorSize + offset;
    this.flash.program(at, bytes);
    this.bytesProgrammed += bytes.length;
    return holdsIn(this.flash, at, bytes);
  }

  private sectorBytes(sector: number): Uint8Array {
    return this.flash.read(sector * this.flash.sectorSize, this.flash.sectorSize);
  }

  private isBlank(sector: number, from: number): boolean {
    const { sectorSize } = this.flash;
    return isErasedIn(this.flash, sector * sectorSize + from, sectorSize - from);
  }

  private mount(
    onCommit: (commit: LoggedCommit) => void,
    onLost: (before: LoggedCommit, count: number) => void,
  ): void {
    const found = this.readHeaders();
    const newest = found[found.length - 1];
    if (!newest) {
      refuseForeign(this.flash);
      return;
    }
    const { tail } = newest.header;
    const needed = new Set<number>();
    const chain = new CommitChain();
    let last: number | undefined;
    for (const { sector, header } of found.filter((entry) => entry.header.sequence >= tail)) {
      this.sequences[sector] = header.sequence;
      const bytes = this.sectorBytes(sector);
      let offset = SECTOR_HEADER_BYTES;
      for (;;) {
        const reading = readFrame(bytes, offset, header.sequence, this.crc32);
        if (reading.kind === "end") break;
        if (reading.kind !== "frame") {
          this.damagedFrames++;
          chain.break();
          if (reading.kind === "broken") break;
          offset = reading.next;
          continue;
        }
        const address = sector * this.flash.sectorSize + offset;
        const whole = chain.add(reading.frame, address, sector);
        offset = reading.next;
        if (!whole) continue;
        for (const each of chain.sectors) needed.add(each);
        if (last !== undefined && whole.number > last + 1) {
          this.lostCommits += whole.number - last - 1;
          onLost(whole, whole.number - last - 1);
        }
        last = whole.number;
        onCommit(whole);
      }
      if (needed.has(sector)) this.resumeAt(sector, offset);
    }
    this.nextCommit = (last ?? 0) + 1;
    this.keepOnly(found, needed);
  }

  /** Valid sector headers by age. The wear of one without is taken to be the highest. */
  private readHeaders(): { readonly sector: number; readonly header: SectorHeader }[] {
    const found: { sector: number; header: SectorHeader }[] = [];
    for (let sector = 0; sector < this.sectors; sector++) {
      const bytes = this.flash.read(sector * this.flash.sectorSize, SECTOR_HEADER_BYTES);
      const header = decodeSectorHeader(bytes, this.crc32);
      if (header) found.push({ sector, header });
    }
    const highest = found.reduce((most, { header }) => Math.max(most, header.eraseCount), 0);
    for (const { header } of found) {
      this.nextSequence = Math.max(this.nextSequence, header.sequence + 1);
    }
    if (this.nextSequence > this.sectors) this.eraseCounts.fill(highest); // all were in use before
    for (const { sector, header } of found) this.eraseCounts[sector] = header.eraseCount;
    return found.sort((a, b) => a.header.sequence - b.header.sequence);
  }

  /** Writing goes on behind the last frame only where nothing was ever begun there. */
  private resumeAt(sector: number, offset: number): void {
    const clean = this.isBlank(sector, offset);
    this.head = clean ? { sector, offset } : undefined;
    this.lastSector = sector;
  }

  /** Sectors without a part of a whole commit (a torn one, or an erase that was cut short) are free. */
  private keepOnly(found: readonly { readonly sector: number }[], needed: Set<number>): void {
    for (const { sector } of found) {
      if (needed.has(sector) && this.sequences[sector] !== 0) this.order.push(sector);
      else this.sequences[sector] = 0;
    }
  }
}

function checkGeometry(flash: Flash): void {
  const { size, sectorSize } = flash;
  const fits = sectorSize >= 1024 && sectorSize <= 65_536 && size % sectorSize === 0;
  if (fits && size / sectorSize >= MIN_SECTORS) return;
  throw new StoreError(
    "foreign",
    `A store needs a flash partition of at least ${MIN_SECTORS} sectors, has ${size} bytes.`,
  );
}

/** A flash without a valid sector is ours to use where it is blank, but for a first header that was cut short. */
function refuseForeign(flash: Flash): void {
  for (let sector = 0; sector * flash.sectorSize < flash.size; sector++) {
    const from = sector === 0 ? SECTOR_HEADER_BYTES : 0;
    if (!isErasedIn(flash, sector * flash.sectorSize + from, flash.sectorSize - from)) {
      const message =
        "The flash partition holds something else, or a store that is damaged beyond reading. " +
        "If nothing in it is needed, erase the partition.";
      throw new StoreError("foreign", message);
    }
  }
}
