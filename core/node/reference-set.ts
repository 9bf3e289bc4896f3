/** A growing set of 16-byte payment references: open addressing over typed arrays (DESIGN §3, push updates). */
import { assert } from "../primitives/errors.ts";

export const REFERENCE_BYTES = 16;
/** Size of a packed payment: reference 16, amount u64 in millisatoshi. */
export const PACKED_PAYMENT_BYTES = 24;

const WORDS = 4; // of 32 bits in a reference
const FIRST_SLOT_BITS = 6;
const MAX_SLOT_BITS = 26;
const FIRST_ENTRIES = 32;
/** Packed payments whose slots are asked for at a time. */
const AHEAD = 64;

/**
 * Entries lie one after the other, and a table of slots, at most three quarters full, leads to them: to learn that a
 * reference is new touches the small table alone, which is kind to caches. A slot is two numbers: an entry's hash, and
 * its number counted from 1. A slot's place is the hash's highest bits, so that a table grows in one go from its
 * beginning to its end, and looks at no entry.
 */
export class ReferenceSet {
  private entries: Int32Array;
  private slots: Int32Array;
  /** The slot of a hash is what this leaves of it. */
  private shift: number;
  private used = 0;

  /** `seed` is 32 random bits where a stranger chooses the references, so that they cannot be made to collide; room is made for `expected`. */
  constructor(
    private readonly seed = 0,
    expected = 0,
  ) {
    let bits = FIRST_SLOT_BITS;
    while (bits < MAX_SLOT_BITS && expected * 4 > 3 << bits) bits++;
    this.slots = new Int32Array(2 << bits);
    this.entries = new Int32Array(WORDS * Math.max(FIRST_ENTRIES, expected));
    this.shift = 32 - bits;
  }

  get size(): number {
    return this.used;
  }

  /** Adds one reference of 16 bytes; false where it was there already. */
  add(reference: Uint8Array): boolean {
    const view = viewOfOne(reference);
    return this.insert(hashAt(view, 0, this.seed), view, 0);
  }

  /** Adds the references of packed payments; the indices of those that were there already, in order. */
  addPacked(payments: Uint8Array): readonly number[] {
    const view = viewOfPacked(payments);
    const hashes = hashesFor(payments);
    const duplicates: number[] = [];
    for (let from = 0; from < payments.length; ) {
      const count = this.lookAhead(view, from, hashes);
      for (let i = 0; i < count; i++, from += PACKED_PAYMENT_BYTES) {
        const isNew = this.insert(hashes[i] as number, view, from);
        if (!isNew) duplicates.push(from / PACKED_PAYMENT_BYTES);
      }
    }
    return duplicates;
  }

  /** Whether any reference of packed payments is there. */
  hasAnyPacked(payments: Uint8Array): boolean {
    const view = viewOfPacked(payments);
    if (this.used === 0) return false;
    const hashes = hashesFor(payments);
    for (let from = 0; from < payments.length; ) {
      const count = this.lookAhead(view, from, hashes);
      for (let i = 0; i < count; i++, from += PACKED_PAYMENT_BYTES) {
        if (this.find(hashes[i] as number, view, from) < 0) return true;
      }
    }
    return false;
  }

  has(reference: Uint8Array): boolean {
    const view = viewOfOne(reference);
    return this.find(hashAt(view, 0, this.seed), view, 0) < 0;
  }

  /**
   * Hashes the next of packed payments; how many. Their slots are read in a pass of their own: what no cache holds is
   * then asked of the memory for many at once, instead of for each when its turn comes.
   */
  private lookAhead(view: DataView, from: number, hashes: Int32Array): number {
    const last = hashes.length - 1;
    const count = Math.min(last, (view.byteLength - from) / PACKED_PAYMENT_BYTES);
    for (let i = 0; i < count; i++) {
      hashes[i] = hashAt(view, from + i * PACKED_PAYMENT_BYTES, this.seed);
    }
    const { slots, shift } = this;
    let read = 0;
    for (let i = 0; i < count; i++) {
      read |= slots[((hashes[i] as number) >>> shift) * 2] as number;
    }
    // A compiler leaves reads away whose result goes nowhere.
    hashes[last] = read;
    return count;
  }

  private insert(hashed: number, view: DataView, from: number): boolean {
    const slot = this.find(hashed, view, from);
    if (slot < 0) return false;
    const at = this.used * WORDS;
    if (at === this.entries.length) this.growEntries();
    const { entries } = this;
    entries[at] = view.getInt32(from);
    entries[at + 1] = view.getInt32(from + 4);
    entries[at + 2] = view.getInt32(from + 8);
    entries[at + 3] = view.getInt32(from + 12);
    this.slots[slot] = hashed;
    this.slots[slot + 1] = ++this.used;
    if (this.used * 8 > this.slots.length * 3) this.growSlots();
    return true;
  }

  /** The free slot where the reference at `from` belongs; -1 where it is there already. */
  private find(hashed: number, view: DataView, from: number): number {
    const { slots } = this;
    const last = slots.length - 1;
    for (let slot = (hashed >>> this.shift) * 2; ; slot = (slot + 2) & last) {
      const number = slots[slot + 1] as number;
      if (number === 0) return slot;
      if (slots[slot] === hashed && this.isEntry(number - 1, view, from)) return -1;
    }
  }

  private isEntry(number: number, view: DataView, from: number): boolean {
    const { entries } = this;
    const at = number * WORDS;
    return (
      entries[at] === view.getInt32(from) &&
      entries[at + 1] === view.getInt32(from + 4) &&
      entries[at + 2] === view.getInt32(from + 8) &&
      entries[at + 3] === view.getInt32(from + 12)
    );
  }

  private growEntries(): void {
    const old = this.entries;
    this.entries = new Int32Array(old.length * 2);
    this.entries.set(old);
  }

  private growSlots(): void {
    assert(this.shift > 32 - MAX_SLOT_BITS, "too many payment references to keep in memory");
    const old = this.slots;
    const slots = new Int32Array(old.length * 2);
    const last = slots.length - 1;
    const shift = --this.shift;
    for (let from = 0; from < old.length; from += 2) {
      if (old[from + 1] === 0) continue;
      const hashed = old[from] as number;
      let slot = (hashed >>> shift) * 2;
      while (slots[slot + 1] !== 0) slot = (slot + 2) & last;
      slots[slot] = hashed;
      slots[slot + 1] = old[from + 1] as number;
    }
    this.slots = slots;
  }
}

function viewOfOne(reference: Uint8Array): DataView {
  assert(reference.length === REFERENCE_BYTES, "a payment reference has 16 bytes");
  return new DataView(reference.buffer, reference.byteOffset, reference.length);
}

function viewOfPacked(payments: Uint8Array): DataView {
  assert(payments.length % PACKED_PAYMENT_BYTES === 0, "packed payments have 24 bytes each");
  return new DataView(payments.buffer, payments.byteOffset, payments.length);
}

/** Room for those that are looked up at a time, and one word more. */
function hashesFor(payments: Uint8Array): Int32Array {
  return new Int32Array(1 + Math.min(AHEAD, payments.length / PACKED_PAYMENT_BYTES));
}

/** Multiply and xor-shift, as in MurmurHash3: references need not be random themselves (counters are common). */
function hashAt(view: DataView, from: number, seed: number): number {
  let h = seed;
  h = mix(h ^ view.getInt32(from));
  h = mix(h ^ view.getInt32(from + 4));
  h = mix(h ^ view.getInt32(from + 8));
  h = mix(h ^ view.getInt32(from + 12));
  return h;
}

function mix(h: number): number {
  let out = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  out = Math.imul(out ^ (out >>> 13), 0xc2b2ae35);
  return out ^ (out >>> 16);
}
