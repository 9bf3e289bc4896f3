/** A growing set of 16-byte payment references: open addressing over one typed array (DESIGN §3, push updates). */
import { assert } from "../primitives/errors.ts";

export const REFERENCE_BYTES = 16;
/** Size of a packed payment: reference 16, amount u64 in millisatoshi. */
export const PACKED_PAYMENT_BYTES = 24;

const WORDS = 4; // of 32 bits in a reference
const FIRST_SLOT_BITS = 6;
const MAX_SLOT_BITS = 26;

/** Sixteen bytes a slot, at most three quarters full. An empty slot is all zero; the zero reference has a flag of its own. */
export class ReferenceSet {
  private table: Int32Array;
  /** The slot of a hash is its highest bits: then growing walks both tables in order, kind to caches. */
  private shift: number;
  private used = 0;
  private hasZero = false;

  /** `seed` is 32 random bits where a stranger chooses the references, so that they cannot be made to collide; room is made for `expected`. */
  constructor(
    private readonly seed = 0,
    expected = 0,
  ) {
    let bits = FIRST_SLOT_BITS;
    while (bits < MAX_SLOT_BITS && expected * 4 > 3 << bits) bits++;
    this.table = new Int32Array(WORDS << bits);
    this.shift = 32 - bits;
  }

  get size(): number {
    return this.used + (this.hasZero ? 1 : 0);
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
    if (this.size === 0) return false;
    const view = new DataView(payments.buffer, payments.byteOffset, payments.length);
    for (let at = 0; at < payments.length; at += PACKED_PAYMENT_BYTES) {
      const a = view.getInt32(at);
      const b = view.getInt32(at + 4);
      const c = view.getInt32(at + 8);
      const d = view.getInt32(at + 12);
      if ((a | b | c | d) === 0 ? this.hasZero : this.occupied(this.find(a, b, c, d))) return true;
    }
    return false;
  }

  has(reference: Uint8Array): boolean {
    const [a, b, c, d] = words(reference);
    if ((a | b | c | d) === 0) return this.hasZero;
    return this.occupied(this.find(a, b, c, d));
  }

  private insert(a: number, b: number, c: number, d: number): boolean {
    if ((a | b | c | d) === 0) {
      const added = !this.hasZero;
      this.hasZero = true;
      return added;
    }
    const at = this.find(a, b, c, d);
    if (this.occupied(at)) return false;
    this.put(at, a, b, c, d);
    this.used++;
    if (this.used * WORDS * 4 > this.table.length * 3) this.grow();
    return true;
  }

  /** Word index of the slot that holds the reference, or of the free one where it belongs. */
  private find(a: number, b: number, c: number, d: number): number {
    const { table } = this;
    const last = table.length / WORDS - 1;
    let slot = hash(this.seed, a, b, c, d) >>> this.shift;
    for (;;) {
      const at = slot * WORDS;
      const first = table[at] as number;
      const second = table[at + 1] as number;
      const third = table[at + 2] as number;
      const fourth = table[at + 3] as number;
      if (first === a && second === b && third === c && fourth === d) return at;
      if ((first | second | third | fourth) === 0) return at;
      slot = (slot + 1) & last;
    }
  }

  private occupied(at: number): boolean {
    const { table } = this;
    return (
      ((table[at] as number) |
        (table[at + 1] as number) |
        (table[at + 2] as number) |
        (table[at + 3] as number)) !==
      0
    );
  }

  private put(at: number, a: number, b: number, c: number, d: number): void {
    this.table[at] = a;
    this.table[at + 1] = b;
    this.table[at + 2] = c;
    this.table[at + 3] = d;
  }

  private grow(): void {
    assert(this.shift > 32 - MAX_SLOT_BITS, "too many payment references to keep in memory");
    const old = this.table;
    this.shift--;
    this.table = new Int32Array(old.length * 2);
    for (let at = 0; at < old.length; at += WORDS) {
      const a = old[at] as number;
      const b = old[at + 1] as number;
      const c = old[at + 2] as number;
      const d = old[at + 3] as number;
      if ((a | b | c | d) !== 0) this.put(this.find(a, b, c, d), a, b, c, d);
    }
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
