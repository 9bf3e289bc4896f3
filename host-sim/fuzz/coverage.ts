/** Which branches an input took, by istanbul's counters in one array: what is new decides what stays in the corpus. */

/** The name under which the instrumented code keeps its counters. */
export const COVERAGE_VARIABLE = "__picobolt_fuzz__";

interface FileCoverage {
  s: ArrayLike<number> | Record<string, number>;
  f: ArrayLike<number> | Record<string, number>;
  b: Record<string, ArrayLike<number>>;
}

export class Coverage {
  private readonly hits: Uint8Array;
  private readonly words: Uint32Array;
  /** For each counter the magnitudes that were seen, a bit each. */
  private readonly seen: Uint8Array;
  private found = 0;

  constructor() {
    const everything = globalThis as unknown as Record<string, Record<string, FileCoverage>>;
    const files = Object.values(everything[COVERAGE_VARIABLE] ?? {});
    const size = files.reduce((sum, file) => sum + countersOf(file), 0);
    const buffer = new ArrayBuffer(Math.ceil(size / 4) * 4);
    this.hits = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    this.seen = new Uint8Array(buffer.byteLength);
    let at = 0;
    const take = (count: number) => {
      at += count;
      return this.hits.subarray(at - count, at);
    };
    for (const file of files) {
      file.s = take(Object.keys(file.s).length);
      file.f = take(Object.keys(file.f).length);
      for (const [key, arms] of Object.entries(file.b)) file.b[key] = take(arms.length);
    }
  }

  /** Counters in all, and pairs of counter and magnitude that were seen. */
  get size(): number {
    return this.hits.length;
  }

  get seenCount(): number {
    return this.found;
  }

  clear(): void {
    this.hits.fill(0);
  }

  /** Whether the run since `clear` took a branch, or took one so often, as no run before it. */
  isNew(): boolean {
    const { words, hits, seen } = this;
    let isNew = false;
    for (let word = 0; word < words.length; word++) {
      if (words[word] === 0) continue;
      for (let i = word * 4; i < word * 4 + 4; i++) {
        const bit = magnitude(hits[i] as number);
        if (((seen[i] as number) & bit) === bit) continue;
        seen[i] = (seen[i] as number) | bit;
        this.found++;
        isNew = true;
      }
    }
    return isNew;
  }

  /** The pairs of counter and magnitude of the run since `clear`. */
  pairs(): readonly number[] {
    const pairs: number[] = [];
    this.hits.forEach((count, i) => {
      if (count > 0) pairs.push(i * 256 + magnitude(count));
    });
    return pairs;
  }
}

function countersOf({ s, f, b }: FileCoverage): number {
  const branches = Object.values(b).reduce((sum, arms) => sum + arms.length, 0);
  return Object.keys(s).length + Object.keys(f).length + branches;
}

/** 0, 1, 2, 3, 4 to 7, 8 to 15, 16 to 31, 32 to 127, more: a bit each, none for zero. */
function magnitude(count: number): number {
  if (count < 4) return count === 0 ? 0 : 1 << (count - 1);
  if (count < 8) return 8;
  if (count < 16) return 16;
  if (count < 32) return 32;
  return count < 128 ? 64 : 128;
}
