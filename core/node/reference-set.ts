/** A growing set of 16-byte payment references: open addressing over typed arrays (DESIGN §3, push updates). */
import { assert } from "../primitives/errors.ts";

export const REFERENCE_BYTES = 16;
/** Size of a packed payment: reference 16, amount u64 in millisatoshi. */
export const PACKED_PAYMENT_BYTES = 24;

const WORDS = 4; // of 32 bits in a reference
const FIRST_SLOT_BITS = 6;
const MAX_SLOT_BITS = 26;
const FIRST_ENTRIES = 32;

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
    const [a, b, c, d] = words(reference);
    return this.insert(a, b, c, d);
  }

  /** Adds the references of packed payments; the indices of those that were there already, in order. */
  addPacked(payments: Uint8Array): readonly number[] {
    assert(payments.length % PACKED_PAYMENT_BYTES === 0, "packed payments have 24 bytes each");
    const view = new DataView(payments.buffer, payments.byteOffset, payments.length);
    const duplicates: number[] = [];
    for (let at = 0; at < payments.length; at += PACKED_PAYMENT_BYTES) {
      const a = view.getInt32(at);
      const b = view.getInt32(at + 4);
      const c = view.getInt32(at + 8);
      const d = view.getInt32(at + 12);
      if (!this.insert(a, b, c, d)) duplicates.push(at / PACKED_PAYMENT_BYTES);
    }
    return duplicates;
  }

  /** Whether any reference of packed payments is there. */
  hasAnyPacked(payments: Uint8Array): boolean {
    assert(payments.length % PACKED_PAYMENT_BYTES === 0, "packed payments have 24 bytes each");
    if (this.used === 0) return false;
    const view = new DataView(payments.buffer, payments.byteOffset, payments.length);
    for (let at = 0; at < payments.length; at += PACKED_PAYMENT_BYTES) {
      const a = view.getInt32(at);
      const b = view.getInt32(at + 4);
      const c = view.getInt32(at + 8);
      const d = view.getInt32(at + 12);
      if (this.find(hash(this.seed, a, b, c, d), a, b, c, d) < 0) return true;
    }
    return false;
  }

  has(reference: Uint8Array): boolean {
    const [a, b, c, d] = words(reference);
    return this.find(hash(this.seed, a, b, c, d), a, b, c, d) < 0;
  }

  private insert(a: number, b: number, c: number, d: number): boolean {
    const hashed = hash(this.seed, a, b, c, d);
    const slot = this.find(hashed, a, b, c, d);
    if (slot < 0) return false;
    const at = this.used * WORDS;
    if (at === this.entries.length) this.growEntries();
    const { entries } = this;
    entries[at] = a;
    entries[at + 1] = b;
    entries[at + 2] = c;
    entries[at + 3] = d;
    this.slots[slot] = hashed;
    this.slots[slot + 1] = ++this.used;
    if (this.used * 8 > this.slots.length * 3) this.growSlots();
    return true;
  }

  /** The free slot where the reference belongs; -1 where it is there already. */
  private find(hashed: number, a: number, b: number, c: number, d: number): number {
    const { slots, entries } = this;
    const last = slots.length - 1;
    for (let slot = (hashed >>> this.shift) * 2; ; slot = (slot + 2) & last) {
      const number = slots[slot + 1] as number;
      if (number === 0) return slot;
      if (slots[slot] !== hashed) continue;
      const at = (number - 1) * WORDS;
      const half = entries[at] === a && entries[at + 1] === b;
      if (half && entries[at + 2] === c && entries[at + 3] === d) return -1;
    }
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

function words(reference: Uint8Array): readonly [number, number, number, number] {
  assert(reference.length === REFERENCE_BYTES, "a payment reference has 16 bytes");
  const view = new DataView(reference.buffer, reference.byteOffset, reference.length);
  return [view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12)];
}

/** Multiply and xor-shift, as in MurmurHash3: references need not be random themselves (counters are common). */
function hash(seed: number, a: number, b: number, c: number, d: number): number {
  let h = seed;
  h = mix(h ^ a);
  h = mix(h ^ b);
  h = mix(h ^ c);
  h = mix(h ^ d);
  return h;
}

function mix(h: number): number {
  let out = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  out = Math.imul(out ^ (out >>> 13), 0xc2b2ae35);
  return out ^ (out >>> 16);
}
