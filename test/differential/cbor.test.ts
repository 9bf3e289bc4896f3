/** Our CBOR beside cbor-x in both directions: on random values, on the whole corpus of the fuzzer, on bytes changed at random (RFC 8949). */
import { readdirSync } from "node:fs";
import { Decoder } from "cbor-x";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeCbor, encodeCbor, MAX_CBOR_DEPTH } from "../../core/messages/cbor.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { CORPUS, loadCorpus } from "../../host-sim/fuzz/corpus.ts";
import { Random } from "../../host-sim/random.ts";

const ROOMY = { maxBytes: 1e7, maxDepth: MAX_CBOR_DEPTH, maxItems: 1e6 };
const oracle = new Decoder({ mapsAsObjects: false, useRecords: false });

/**
 * What cbor-x reads and we refuse, and why: each is a second way to write something, or something that no message has.
 * The deterministic encoding of RFC 8949 §4.2.1 allows neither.
 */
const EXPLAINED: Readonly<Record<string, string>> = {
  "cbor-not-shortest": "a number or length in more bytes than it needs",
  "cbor-indefinite-length": "a length that is found by its end",
  "cbor-key-order": "keys out of order",
  "cbor-duplicate-key": "a key twice: cbor-x keeps the last",
  "cbor-key-type": "keys that are neither numbers nor texts",
  "cbor-tag": "tags",
  "cbor-float": "floating-point numbers",
  "cbor-simple-value": "undefined and other simple values",
  "cbor-integer-range": "integers beyond 2^53: cbor-x makes them BigInts",
  "cbor-utf8": "text that is no UTF-8: cbor-x puts other letters in its place",
  "cbor-too-deep": "our limit of nesting",
  "cbor-too-many-items": "our limit of data items, of which each takes a byte at least",
};

interface Verdicts {
  bothRead: number;
  bothRefuse: number;
  readonly onlyTheirs: Map<string, number>;
}

/** Both read it alike, or the difference is one that is explained. */
function compare(bytes: Uint8Array, verdicts: Verdicts): void {
  const ours = read(() => decodeCbor(bytes, ROOMY));
  const theirs = read(() => oracle.decode(Buffer.from(bytes)) as unknown);
  if ("value" in ours) {
    expect(theirs, `cbor-x refuses ${toHex(bytes)}`).toHaveProperty("value");
    if ("value" in theirs) expect(plain(theirs.value), toHex(bytes)).toEqual(plain(ours.value));
    expect(toHex(encodeCbor(ours.value))).toBe(toHex(bytes));
    verdicts.bothRead++;
    return;
  }
  if (!(ours.error instanceof ProtocolViolation)) throw ours.error;
  if ("error" in theirs) {
    verdicts.bothRefuse++;
    return;
  }
  const { tag } = ours.error;
  expect(Object.keys(EXPLAINED), `only cbor-x reads ${toHex(bytes)}`).toContain(tag);
  verdicts.onlyTheirs.set(tag, (verdicts.onlyTheirs.get(tag) ?? 0) + 1);
}

function read<T>(decode: () => T): { readonly value: T } | { readonly error: unknown } {
  try {
    return { value: decode() };
  } catch (error) {
    return { error };
  }
}

/** Numbers as numbers, bytes in hex, maps as lists: what must be equal. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) return { bytes: toHex(value) };
  if (value instanceof Map) return { map: [...value].map(([k, v]) => [plain(k), plain(v)]) };
  return Array.isArray(value) ? value.map(plain) : value;
}

const { value: anyValue } = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.maxSafeInteger().map((value) => value + 0),
    fc.integer({ min: -(2 ** 32) - 3, max: -(2 ** 31) + 3 }),
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.uint8Array({ maxLength: 100 }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 8 }),
    fc
      .array(fc.tuple(fc.oneof(fc.integer(), fc.string({ maxLength: 6 })), tie("value")), {
        maxLength: 8,
      })
      .map((entries) => new Map(entries)),
  ),
}));

describe("cbor-x", () => {
  test("reads what we write", () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const verdicts = { bothRead: 0, bothRefuse: 0, onlyTheirs: new Map() };
        compare(encodeCbor(value), verdicts);
        expect(verdicts.bothRead).toBe(1);
      }),
      { numRuns: 1_000 },
    );
  });

  test("and we agree on every input of the fuzzer's corpus and on changes of each, but for what is explained", () => {
    const verdicts: Verdicts = { bothRead: 0, bothRefuse: 0, onlyTheirs: new Map() };
    const random = new Random(5);
    for (const file of readdirSync(CORPUS)) {
      for (const bytes of loadCorpus(file.replace(".hex", ""))) {
        if (bytes.length === 0 || bytes.length > 4_096) continue;
        compare(bytes, verdicts);
        for (let i = 0; i < 10; i++) {
          const changed = bytes.slice();
          changed[random.below(changed.length)] = random.below(256);
          compare(changed, verdicts);
        }
      }
    }
    const { bothRead, bothRefuse, onlyTheirs } = verdicts;
    const lines = [...onlyTheirs].map(([tag, n]) => `  ${n} only cbor-x: ${EXPLAINED[tag]}`);
    console.log([`${bothRead} both read, ${bothRefuse} both refuse`, ...lines].join("\n"));
    expect(bothRead).toBeGreaterThan(300);
    expect(bothRefuse).toBeGreaterThan(300);
    expect(onlyTheirs.size).toBeGreaterThan(5);
  });
});
