/** Mutations of inputs, as coverage-guided fuzzers make them: bits, bytes, blocks, tokens and crossings. */
import type { Random } from "../random.ts";

const INTERESTING = [0, 1, 2, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x40, 0x58, 0x7f, 0x80, 0xfe, 0xff];
const MAX_STACKED = 6;
const MAX_BLOCK = 64;

export interface Mutator {
  readonly random: Random;
  readonly corpus: readonly Uint8Array[];
  readonly dictionary: readonly Uint8Array[];
  readonly maxBytes: number;
}

/** A new input of at most `maxBytes` made from one of the corpus. */
export function mutated(from: Mutator): Uint8Array {
  const { random, corpus, maxBytes } = from;
  let input: Uint8Array = corpus[pick(random, corpus.length)] ?? new Uint8Array(0);
  const times = 1 + random.below(MAX_STACKED);
  for (let i = 0; i < times; i++) input = once(from, input);
  return input.length > maxBytes ? input.slice(0, maxBytes) : input;
}

/** Newer entries more often: they reached what others did not. */
function pick(random: Random, count: number): number {
  if (count === 0 || random.below(2) === 0) return random.below(Math.max(1, count));
  return count - 1 - random.below(Math.min(count, 16));
}

function once({ random, corpus, dictionary }: Mutator, input: Uint8Array): Uint8Array {
  const at = random.below(input.length + 1);
  switch (random.below(11)) {
    case 0:
      return changed(input, at, (byte) => byte ^ (1 << random.below(8)));
    case 1:
      return changed(input, at, () => random.below(256));
    case 2:
      return changed(input, at, () => random.oneOf(INTERESTING));
    case 3:
      return changed(input, at, (byte) => byte + random.below(33) - 16);
    case 4:
      return spliced(input, at, 0, bytesOf(random, 1 + random.below(8)));
    case 5:
      return spliced(input, at, 1 + random.below(MAX_BLOCK), NONE);
    case 6:
      return spliced(input, random.below(input.length + 1), 0, block(random, input, at));
    case 7:
      return spliced(input, at, MAX_BLOCK, block(random, input, random.below(input.length + 1)));
    case 8:
      return input.slice(0, at);
    case 9: {
      if (dictionary.length === 0) return changed(input, at, () => 0);
      const token = random.oneOf(dictionary);
      return spliced(input, at, random.below(2) * token.length, token);
    }
    default: {
      const other = corpus.length > 0 ? random.oneOf(corpus) : NONE;
      return spliced(input, at, input.length, other.subarray(random.below(other.length + 1)));
    }
  }
}

const NONE = new Uint8Array(0);

function changed(input: Uint8Array, at: number, to: (byte: number) => number): Uint8Array {
  if (at >= input.length) return input;
  const out = input.slice();
  out[at] = to(input[at] as number);
  return out;
}

function spliced(input: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array {
  const rest = input.subarray(Math.min(input.length, at + removed));
  const out = new Uint8Array(at + added.length + rest.length);
  out.set(input.subarray(0, at));
  out.set(added, at);
  out.set(rest, at + added.length);
  return out;
}

function block(random: Random, input: Uint8Array, at: number): Uint8Array {
  return input.subarray(at, at + 1 + random.below(MAX_BLOCK));
}

function bytesOf(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}
