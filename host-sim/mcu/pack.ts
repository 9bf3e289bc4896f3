/** Packs a frozen machine for the linker: what nothing leads to is left out, and slots and chunks that are equal are one. */

/** Words that stand together in the memory of the machine that made them. */
export interface Part {
  readonly address: number;
  readonly words: readonly number[];
}

/** A machine's dump: the maker's heap, which begins with its ImageHead, and the used end of its stack. */
export interface Dump {
  readonly heap: Part;
  readonly stack: Part;
}

/** ImageHead of platform/image.c, in words. */
const HEAD = { magic: 0, root: 1, firstHeap: 2, firstBlock: 3, words: 4 } as const;
/** Of a block of platform/heap.c: its bytes, and a word that is not used. */
const BLOCK_HEADER_WORDS = 2;
/** The engine's txChunk: its size, with the header, and where it goes in a collection. */
const CHUNK_HEADER_WORDS = 2;
/** The engine's txBlock: the next one, the end of its chunks, its own end. */
const CHUNKS_HEADER_WORDS = 4;
const SLOT_WORDS = 4;
/** Words of a slot's value that mean something, where they are not both of them: undefined, null, boolean, integer, string, symbol, reference, closure. */
const VALUE_WORDS = new Map<number, number>([
  ...([0, 1, 0xff] as const).map((kind) => [kind, 0] as const),
  ...([2, 3, 5, 6, 7, 10, 11] as const).map((kind) => [kind, 1] as const),
]);
const ARRAY_KIND = 16;
const ARRAY_BUFFER_KIND = 17;
const HOME_KIND = 42;
const TYPED_ARRAY_KIND = 34;
/** Kinds whose value begins with the address of a string: string, key. */
const STRING_KINDS: ReadonlySet<number> = new Set([5, 6, 43, 44]);
/** Kinds whose value begins with the address of bytecode, or of a host function. */
const CODE_KINDS: ReadonlySet<number> = new Set([18, 19, 20, 49, 50]);
/** Instances are what they are: no two of them are one. */
const INSTANCE_KIND = 13;

type ItemType = "slot" | "items" | "chunk" | "string" | "block" | "stack";

/** What is placed as a whole. `start` and `length` in words of the dump. */
interface Item {
  type: ItemType;
  start: number;
  length: number;
  isLive: boolean;
  /** The item that stands for it. */
  same: number;
  /** Where it goes, in words. */
  place: number;
}

export interface Packed {
  /** The frozen machine for the assembler: words, with the addresses of one another and of what `flash` names. */
  readonly assembly: readonly string[];
  /** Without the strings. */
  readonly bytes: number;
  /** Bytes of each kind of slot, of chunks and of tables, largest first. */
  readonly kinds: readonly (readonly [string, number])[];
}

/** What the machine refers to outside of itself. */
export interface Outside {
  /** The label of a string that is to be in flash. */
  labelOf(text: Buffer): string;
  /** The string at an address of the maker's flash. */
  stringAt(address: number): Buffer;
  /** As an expression, an address in one of the engine's tables. */
  tableAt(address: number): string;
  /** The label of bytecode or of a host function at an address of the maker's flash. */
  codeAt(address: number): string;
}

/** `a` and `b`: the same machine made `distance` apart; words that differ by that are addresses. */
export function pack(a: Dump, b: Dump, distance: number, outside: Outside): Packed {
  const memory = new Memory(a, b, distance);
  memory.markFrom(HEAD.root);
  memory.mergeEqual();
  return memory.placed(outside);
}

class Memory {
  /** Heap and stack behind each other, as the machine left them. */
  private readonly dumped: Uint32Array;
  /** The same; address words are replaced by where they point to, in words. */
  private readonly words: Uint32Array;
  private readonly isAddress: Uint8Array;
  private readonly items: Item[] = [];
  /** For each word, its item's number, or -1. */
  private readonly itemAt: Int32Array;

  constructor({ heap, stack }: Dump, other: Dump, distance: number) {
    const others = [...other.heap.words, ...other.stack.words];
    this.dumped = Uint32Array.from([...heap.words, ...stack.words]);
    this.words = this.dumped.slice();
    if (this.words.length !== others.length) throw new Error("the two machines differ in size");
    this.isAddress = new Uint8Array(this.words.length);
    const stackAt = heap.words.length;
    this.words.forEach((word, i) => {
      if (((others[i] as number) - word) >>> 0 === distance) {
        this.isAddress[i] = 1;
        const inHeap = (word - heap.address) / 4;
        const isHeap = inHeap >= 0 && inHeap < stackAt;
        // The bottom of the stack is not there: nothing in a frozen machine grows.
        const inStack = Math.max(0, (word - stack.address) / 4);
        this.words[i] = isHeap ? inHeap : stackAt + Math.floor(inStack);
      } else if (word !== others[i]) {
        throw new Error(`word ${i} of the frozen machine (${word.toString(16)}) cannot be moved`);
      }
    });
    this.itemAt = new Int32Array(this.words.length + 1).fill(-1);
    this.findItems(stackAt);
  }

  private word(index: number): number {
    return this.words[index] as number;
  }

  private add(type: ItemType, start: number, length: number): void {
    this.itemAt.fill(this.items.length, start, start + length);
    this.items.push({ type, start, length, isLive: false, same: this.items.length, place: 0 });
  }

  /** Slots of the heaps, chunks of their blocks, and everything else that was allocated. */
  private findItems(stackAt: number): void {
    const divided = new Set<number>();
    for (let heap = this.word(HEAD.firstHeap); heap !== 0; heap = this.word(heap)) {
      divided.add(heap);
      const end = this.word(heap + 2);
      for (let at = heap + SLOT_WORDS; at < end; at += SLOT_WORDS) {
        this.add("slot", at, SLOT_WORDS);
        this.clearUnused(at);
      }
    }
    for (let block = this.word(HEAD.firstBlock); block !== 0; block = this.word(block)) {
      divided.add(block);
      const end = this.word(block + 1);
      for (let at = block + CHUNKS_HEADER_WORDS; at < end; ) {
        const length = (this.word(at) & 0x7fffffff) / 4;
        if (length < CHUNK_HEADER_WORDS || at + length > end)
          throw new Error("a chunk is too long");
        this.add("chunk", at, length);
        at += length;
      }
    }
    for (let at = HEAD.words as number; at < stackAt; ) {
      const start = at + BLOCK_HEADER_WORDS;
      const length = Math.ceil(this.word(at) / 4);
      if (!divided.has(start)) this.add("block", start, length);
      at += Math.ceil((length * 4 + BLOCK_HEADER_WORDS * 4) / 8) * 2;
    }
    // The end of the stack is an address as well.
    this.add("stack", stackAt, this.words.length + 1 - stackAt);
    for (let at = stackAt; at < this.words.length; at += SLOT_WORDS) this.clearUnused(at);
  }

  private clear(index: number): void {
    this.words[index] = 0;
    this.isAddress[index] = 0;
  }

  /** Of a slot, its words that mean nothing. */
  private clearUnused(at: number): void {
    const used = VALUE_WORDS.get(this.word(at + 1) & 0xff) ?? 2;
    for (let i = at + 2 + used; i < at + SLOT_WORDS; i++) this.clear(i);
    // A function's number for a profiler.
    if ((this.word(at + 1) & 0xff) === HOME_KIND) this.words[at + 1] = this.word(at + 1) & 0xffff;
  }

  /** The kind of the slot whose value begins at that word of the item; -1: none does. */
  private kindOfValue({ type, start }: Item, offset: number): number {
    const hasSlots = type === "slot" || type === "items" || type === "stack";
    const inSlot = (offset - (type === "items" ? CHUNK_HEADER_WORDS : 0)) % SLOT_WORDS;
    return hasSlots && inSlot === 2 ? this.word(start + offset - 1) & 0xff : -1;
  }

  /** An array's items are slots; their first word is their index. */
  private becomeItems(item: Item): void {
    item.type = "items";
    this.clear(item.start + 1);
    const end = item.start + item.length;
    for (let at = item.start + CHUNK_HEADER_WORDS; at < end; at += SLOT_WORDS) this.clearUnused(at);
  }

  /** A buffer's bytes lead nowhere, whatever the rest of an old address behind the last of them looks like. */
  private becomeBytes({ type, start, length }: Item): void {
    if (type !== "chunk") return;
    const [from, end] = [start + CHUNK_HEADER_WORDS, start + length];
    this.words.set(this.dumped.subarray(from, end), from);
    this.isAddress.fill(0, from, end);
  }

  /** A string ends at its zero, and nobody asks how large its chunk was: behind it may be the rest of an old address. */
  private trimString(item: Item): void {
    if (item.type !== "chunk") return;
    const start = item.start + CHUNK_HEADER_WORDS;
    const room = (item.length - CHUNK_HEADER_WORDS) * 4;
    const zero = Buffer.from(this.dumped.buffer, start * 4, room).indexOf(0);
    if (zero < 0) throw new Error(`the string at word ${start} of the frozen machine has no end`);
    const length = Math.ceil((zero + 1) / 4);
    this.words.set(this.dumped.subarray(start, start + length), start);
    Buffer.from(this.words.buffer, start * 4, length * 4).fill(0, zero);
    Object.assign(item, { type: "string", start, length });
    this.isAddress.fill(0, start, start + length);
  }

  private ownerOf(index: number): Item {
    // Chunks are pointed to behind their headers: where one holds nothing, that is behind its end.
    const before = this.items[this.itemAt[index - 1] as number];
    const isEmptyChunk = before?.type === "chunk" && before.length === CHUNK_HEADER_WORDS;
    if (isEmptyChunk && index === before.start + CHUNK_HEADER_WORDS) return before;
    const item = this.items[this.itemAt[index] as number];
    if (item === undefined) throw new Error(`word ${index} of the frozen machine is nobody's`);
    return item;
  }

  /** Where a chunk was to go in a collection is nobody's business any more. */
  private hasAddress(item: Item, offset: number): boolean {
    const isTemporary = item.type === "chunk" && offset === 1;
    return !isTemporary && this.isAddress[item.start + offset] === 1;
  }

  markFrom(root: number): void {
    const waiting = [this.ownerOf(this.word(root))];
    for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) {
      if (item.isLive) continue;
      item.isLive = true;
      for (let i = 0; i < item.length; i++) {
        if (!this.hasAddress(item, i)) continue;
        const owner = this.ownerOf(this.word(item.start + i));
        const kind = this.kindOfValue(item, i);
        if (STRING_KINDS.has(kind)) this.trimString(owner);
        if (kind === ARRAY_BUFFER_KIND) this.becomeBytes(owner);
        if (kind === ARRAY_KIND && owner.type === "chunk") this.becomeItems(owner);
        waiting.push(owner);
      }
    }
  }

  /** Frozen properties and values are never written: of those that are equal one is enough. */
  mergeEqual(): void {
    const live = this.items.filter((item) => item.isLive && this.mayMerge(item));
    for (let isChanged = true; isChanged; ) {
      isChanged = false;
      const seen = new Map<string, number>();
      for (const item of live) {
        if ((this.items[item.same] as Item) !== item) continue;
        const key = this.contents(item);
        const first = seen.get(key);
        if (first === undefined) {
          seen.set(key, item.same);
        } else {
          item.same = first;
          item.isLive = false;
          isChanged = true;
        }
      }
    }
  }

  private mayMerge({ type, start }: Item): boolean {
    if (type === "chunk" || type === "string" || type === "items") return true;
    return type === "slot" && (this.word(start + 1) & 0xff) !== INSTANCE_KIND;
  }

  /** The item that a merged one became. */
  private stands(item: Item): Item {
    let one = item;
    while ((this.items[one.same] as Item) !== one) one = this.items[one.same] as Item;
    return one;
  }

  private contents(item: Item): string {
    const words = [item.type as string | number];
    for (let i = 0; i < item.length; i++) {
      const word = this.word(item.start + i);
      if (!this.hasAddress(item, i)) {
        words.push(item.type === "chunk" && i === 1 ? 0 : word);
      } else {
        const owner = this.ownerOf(word);
        words.push(`@${this.stands(owner).same}+${word - owner.start}`);
      }
    }
    return words.join();
  }

  /** All that lives, strings apart; the stack comes last. */
  placed(outside: Outside): Packed {
    const live = this.items.filter((item) => item.isLive);
    const tables = live.filter(({ type }) => type !== "string");
    let end = 0;
    for (const item of tables) {
      // Slots of a table are aligned as the engine's own allocations are.
      end += end % 2;
      item.place = end;
      end += item.length;
    }
    const words = new Array<string>(end).fill("0");
    for (const item of tables) {
      for (let i = 0; i < item.length && item.start + i < this.words.length; i++) {
        const isTemporary = item.type === "chunk" && i === 1;
        if (!isTemporary) words[item.place + i] = this.written(item, i, outside);
      }
    }
    const root = this.addressOf(this.word(HEAD.root), outside);
    const assembly = [
      '.section .rodata.frozen,"a"',
      ".balign 8",
      "frozen:",
      ...words.map((word) => `.word ${word}`),
      ".globl frozen_root",
      `frozen_root: .word ${root}`,
    ];
    return { assembly, bytes: end * 4, kinds: this.kindsOf(live) };
  }

  private addressOf(word: number, outside: Outside): string {
    const owner = this.ownerOf(word);
    const item = this.stands(owner);
    if (item.type === "string") return outside.labelOf(this.textOf(item));
    return `frozen+${(item.place + word - owner.start) * 4}`;
  }

  private textOf({ start, length }: Item): Buffer {
    const bytes = Buffer.from(this.words.buffer, start * 4, length * 4);
    return bytes.subarray(0, bytes.indexOf(0));
  }

  private written(item: Item, offset: number, outside: Outside): string {
    const word = this.word(item.start + offset);
    if (this.hasAddress(item, offset)) return this.addressOf(word, outside);
    const kind = this.kindOfValue(item, offset);
    if (word !== 0 && STRING_KINDS.has(kind)) return outside.labelOf(outside.stringAt(word));
    if (word !== 0 && CODE_KINDS.has(kind)) return outside.codeAt(word);
    if (kind === TYPED_ARRAY_KIND) return outside.tableAt(word);
    // Their functions for Atomics, which the image does without.
    if (offset > 0 && this.kindOfValue(item, offset - 1) === TYPED_ARRAY_KIND) return "0";
    return String(word);
  }

  private kindsOf(live: readonly Item[]): Packed["kinds"] {
    const kinds = new Map<string, number>();
    for (const { type, start, length } of live) {
      const name = type === "slot" ? `slot ${this.word(start + 1) & 0xff}` : type;
      kinds.set(name, (kinds.get(name) ?? 0) + length * 4);
    }
    return [...kinds].sort(([, a], [, b]) => b - a);
  }
}
