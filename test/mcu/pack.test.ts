/** The frozen machine keeps its bytes, whatever lies behind the last of them in the memory of the machine that was made. */
import { expect, test } from "vitest";
import { type Dump, type Outside, pack } from "../../host-sim/mcu/pack.ts";

const HEAP = 0x80000000;
const STACK = 0x80040000;
/** Between the two machines that are made of the same program. */
const DISTANCE = 0x10000;
const STRING = 5;
const ARRAY_BUFFER = 17;
const SLOT = 10;
const CHUNK = 20;
const WORDS = 24;

const addressOf = (word: number) => HEAP + word * 4;

/** A slot of that kind whose value is a chunk of these two words; all that is an address moves by `by`. */
function dump(kind: number, payload: readonly [number, number], by: number): Dump {
  const words = new Array<number>(WORDS).fill(0);
  const point = (at: number, to: number) => {
    words[at] = addressOf(to) + by;
  };
  point(1, SLOT); // the root
  point(2, 6); // the heap of slots, in the first block of memory
  point(3, 16); // the block of chunks, in the second
  words[4] = 32;
  point(6 + 2, SLOT + 4); // the heap's end
  words[SLOT + 1] = kind;
  point(SLOT + 2, CHUNK + 2);
  words[14] = 32;
  point(16 + 1, WORDS); // the end of the chunks
  words[CHUNK] = 16;
  words[CHUNK + 2] = payload[0];
  words[CHUNK + 3] = payload[1];
  return {
    heap: { address: HEAP + by, words },
    stack: { address: STACK + by, words: [0, 0, 0, 0] },
  };
}

class Flash implements Outside {
  readonly texts: string[] = [];
  labelOf(text: Buffer): string {
    this.texts.push(text.toString("latin1"));
    return `text${this.texts.length}`;
  }
  stringAt(): Buffer {
    throw new Error("nothing is in the maker's flash");
  }
  tableAt(): string {
    throw new Error("there is no typed array");
  }
  codeAt(): string {
    throw new Error("there is no function");
  }
}

/** "abcd", then a byte and the three highest of an address that stood there before. */
const before = (last: number): readonly [number, number] => [0x64636261, 0x8000d700 + last];
const moved = (last: number): readonly [number, number] => [0x64636261, 0x8001d700 + last];

test("a string ends at its zero, though that and what is behind it look like an address", () => {
  const flash = new Flash();
  pack(dump(STRING, before(0), 0), dump(STRING, moved(0), DISTANCE), DISTANCE, flash);
  expect(flash.texts).toEqual(["abcd"]);
});

test("so does a buffer keep its last byte", () => {
  const kind = ARRAY_BUFFER;
  const made = dump(kind, before(0x65), 0);
  const { assembly } = pack(made, dump(kind, moved(0x65), DISTANCE), DISTANCE, new Flash());
  expect(assembly).toContain(`.word ${0x64636261}`);
  expect(assembly).toContain(`.word ${0x8000d765}`);
});

test("a string without an end is refused", () => {
  const kind = STRING;
  const endless = [0x64636261, 0x68676665] as const;
  const made = () =>
    pack(dump(kind, endless, 0), dump(kind, endless, DISTANCE), DISTANCE, new Flash());
  expect(made).toThrow("has no end");
});
