/** The most recent N payment references, with a lookup in constant time; 24 bytes of memory for each that there is room for. */
import { REFERENCE_BYTES } from "../../core/node/reference-set.ts";
import { equal } from "../../core/primitives/bytes.ts";

const NONE = 0xffff;
const FIRST_SLOTS = 16;
/** Slots are 16-bit numbers. */
export const MAX_WINDOW = 0x8000;

/**
 * References carry a running index; the newest `window` of them are kept, whatever order they come in. Room grows with
 * the slots in use: a machine that is only paid keeps next to nothing for what it paid.
 */
export class ReferenceRing {
  /** The index that the next new reference gets. */
  next = 0;
  private bytes = new Uint8Array(0);
  /** Hash chains through the slots. */
  private readonly heads: Uint16Array;
  private links = new Uint16Array(0);
  /** Sector of the newest copy of each slot's reference, NONE for an empty slot. */
  private sectors = new Uint16Array(0);

  constructor(readonly window: number) {
    this.heads = new Uint16Array(window).fill(NONE);
    this.makeRoom(FIRST_SLOTS);
  }

  /** How many references are kept now. */
  get size(): number {
    return this.sectors.reduce((count, sector) => count + (sector === NONE ? 0 : 1), 0);
  }

  has(reference: Uint8Array): boolean {
    for (let slot = this.heads[this.bucket(reference)]!; slot !== NONE; slot = this.links[slot]!) {
      if (equal(this.at(slot), reference)) return true;
    }
    return false;
  }

  /** Keeps `reference` under `index`; one that has left the window is ignored. */
  put(index: number, reference: Uint8Array, sector: number): void {
    if (index < this.next - this.window) return;
    const slot = index % this.window;
    if (slot >= this.sectors.length) this.makeRoom(Math.max(slot + 1, 2 * this.sectors.length));
    if (this.sectors[slot] !== NONE) this.unlink(slot);
    this.at(slot).set(reference);
    const bucket = this.bucket(reference);
    this.links[slot] = this.heads[bucket]!;
    this.heads[bucket] = slot;
    this.sectors[slot] = sector;
    if (index >= this.next) this.advance(index + 1);
  }

  /** Runs of consecutive references whose newest copy stands in `sector`, oldest first. */
  runsIn(sector: number, longest: number): readonly { first: number; references: Uint8Array }[] {
    const runs: { first: number; references: Uint8Array }[] = [];
    let index = Math.max(0, this.next - this.window);
    while (index < this.next) {
      const first = index;
      while (index < this.next && this.isIn(index, sector) && index - first < longest) index++;
      if (index === first) index++;
      else runs.push({ first, references: this.copy(first, index) });
    }
    return runs;
  }

  private makeRoom(slots: number): void {
    const { bytes, links, sectors } = this;
    const length = Math.min(slots, this.window);
    this.bytes = new Uint8Array(length * REFERENCE_BYTES);
    this.bytes.set(bytes);
    this.links = new Uint16Array(length).fill(NONE);
    this.links.set(links);
    this.sectors = new Uint16Array(length).fill(NONE);
    this.sectors.set(sectors);
  }

  private isIn(index: number, sector: number): boolean {
    return this.sectors[index % this.window] === sector;
  }

  private copy(from: number, to: number): Uint8Array {
    const out = new Uint8Array((to - from) * REFERENCE_BYTES);
    for (let i = from; i < to; i++) {
      out.set(this.at(i % this.window), (i - from) * REFERENCE_BYTES);
    }
    return out;
  }

  /** Slots between the old and the new end that were never filled (lost with the flash) are emptied. */
  private advance(next: number): void {
    for (let i = Math.max(this.next, next - this.window); i < next - 1; i++) {
      const slot = i % this.window;
      if (slot >= this.sectors.length || this.sectors[slot] === NONE) continue;
      this.unlink(slot);
      this.sectors[slot] = NONE;
    }
    this.next = next;
  }

  private unlink(slot: number): void {
    const bucket = this.bucket(this.at(slot));
    if (this.heads[bucket] === slot) {
      this.heads[bucket] = this.links[slot]!;
      return;
    }
    let before = this.heads[bucket]!;
    while (this.links[before] !== slot) before = this.links[before]!;
    this.links[before] = this.links[slot]!;
  }

  private at(slot: number): Uint8Array {
    return this.bytes.subarray(slot * REFERENCE_BYTES, (slot + 1) * REFERENCE_BYTES);
  }

  private bucket(reference: Uint8Array): number {
    let hash = 0;
    for (let i = 0; i < reference.length; i++) {
      hash = (Math.imul(hash, 31) + (reference[i] as number)) | 0;
    }
    hash ^= hash >>> 15;
    return (hash >>> 0) % this.window;
  }
}
