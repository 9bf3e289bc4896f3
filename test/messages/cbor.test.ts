/** The device's CBOR: deterministic going out, strict coming in (RFC 8949 §4.2.1). */
import { Encoder as OracleEncoder } from "cbor-x";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type CborLimits,
  decodeCbor,
  encodeCbor,
  MAX_CBOR_DEPTH,
} from "../../core/messages/cbor.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import { compare, fromHex, toHex } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { samples } from "./rfc8949.ts";

const limits: CborLimits = { maxBytes: 65535, maxDepth: 8, maxItems: 10_000 };

/** The tag of the violation that decoding ends in, or "accepted". */
function refusal(bytes: Uint8Array, with_: CborLimits = limits): string {
  try {
    decodeCbor(bytes, with_);
    return "accepted";
  } catch (error) {
    if (error instanceof ProtocolViolation) return error.tag;
    throw error;
  }
}
const refusalOf = (hex: string, with_?: CborLimits) => refusal(fromHex(hex), with_);

// Plain deterministic output of cbor-x needs: no records, maps as Map with the shortest head, untagged byte strings,
// integers above 32 bits as BigInt (as numbers it writes floats), and keys handed over in their sorted order.
const oracle = new OracleEncoder({
  useRecords: false,
  mapsAsObjects: false,
  variableMapSize: true,
  tagUint8Array: false,
});
const wide = (value: number) => (value < -0x8000_0000 || value > 0 ? BigInt(value) : value);
/** cbor-x has no five-byte form for these: it writes floats, or nine bytes from a BigInt. */
const oracleCannot = (value: number) => value < -0x8000_0000 && value >= -0x1_0000_0000;
function forOracle(value: CborValue): unknown {
  if (typeof value === "number") return value > 0xffff_ffff || value < 0 ? wide(value) : value;
  if (value instanceof Uint8Array) return value;
  if (value instanceof Map) {
    const entries = [...value].map(
      ([key, item]) => [encodeCbor(key), forOracle(key), forOracle(item)] as const,
    );
    entries.sort((a, b) => compare(a[0], b[0]));
    return new Map(entries.map(([, key, item]) => [key, item]));
  }
  return Array.isArray(value) ? value.map(forOracle) : value;
}

const integers = fc.oneof(
  fc.maxSafeInteger().filter((value) => !oracleCannot(value)),
  fc.integer({ min: -300, max: 300 }),
  fc.constantFrom(23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, -24, -25, -256, -257),
);
const { value: anyValue } = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    integers,
    fc.string({ unit: "binary", maxLength: 80 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 30 }),
    fc
      .array(fc.tuple(fc.oneof(integers, fc.string({ maxLength: 8 })), tie("value")), {
        maxLength: 8,
      })
      .map((entries) => new Map(entries)),
  ),
}));
const roomy: CborLimits = { maxBytes: 1e7, maxDepth: MAX_CBOR_DEPTH, maxItems: 1e6 };
/** JavaScript's -0 is the integer 0. */
const plainZero = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, v) => (v instanceof Map ? [...v] : v)));

describe("RFC 8949 appendix A", () => {
  it("is here in full", () => expect(samples).toHaveLength(81));
  it.each(samples)("%s", (hex, outcome) => {
    if ("refused" in outcome) expect(refusalOf(hex)).toBe(outcome.refused);
    else {
      expect(decodeCbor(fromHex(hex), limits)).toEqual(outcome.value);
      expect(toHex(encodeCbor(outcome.value))).toBe(hex);
    }
  });
});

describe("encoding", () => {
  it("is byte for byte what cbor-x writes", () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(toHex(encodeCbor(value))).toBe(toHex(oracle.encode(forOracle(value))));
      }),
      { numRuns: 400 },
    );
  });

  it("comes back as it was", () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = encodeCbor(value);
        const decoded = decodeCbor(bytes, roomy);
        expect(plainZero(decoded)).toEqual(plainZero(decodeCbor(encodeCbor(decoded), roomy)));
        expect(toHex(encodeCbor(decoded))).toBe(toHex(bytes));
        expect(decodeCbor(bytes, { ...roomy, views: true })).toEqual(decoded);
      }),
      { numRuns: 300 },
    );
  });

  it("uses five bytes down to -2^32, where cbor-x does not", () => {
    expect(toHex(encodeCbor(-(2 ** 31) - 1))).toBe("3a80000000");
    expect(toHex(encodeCbor(-(2 ** 32)))).toBe("3affffffff");
    expect(decodeCbor(fromHex("3affffffff"), limits)).toBe(-(2 ** 32));
  });

  it("does not depend on the order in which a map was filled", () => {
    const pairs: [number | string, number][] = [
      ["b", 1],
      [100, 2],
      [-1, 3],
      ["aa", 4],
      [10, 5],
    ];
    const forwards = encodeCbor(new Map(pairs));
    expect(toHex(forwards)).toBe(toHex(encodeCbor(new Map([...pairs].reverse()))));
    expect(toHex(forwards)).toBe("a50a051864022003616201626161" + "04");
  });

  it.each([
    1.5,
    Number.NaN,
    2 ** 53,
    -(2 ** 53),
    "\ud800",
    "a\udc00",
    "\ud800x",
    undefined,
    {},
    1n,
  ])("refuses %s as our own bug", (value) =>
    expect(() => encodeCbor(value as CborValue)).toThrow(/AssertionError|not a|surrogate/),
  );

  it("refuses values that are nested too deep, also endless ones", () => {
    const ring: CborValue[] = [];
    ring.push(ring);
    expect(() => encodeCbor(ring)).toThrow(/deeper/);
  });
});

describe("strict decoding", () => {
  it.each([
    ["1817", "cbor-not-shortest", "23 in two bytes"],
    ["1900ff", "cbor-not-shortest", "255 in three bytes"],
    ["1a0000ffff", "cbor-not-shortest", "65535 in five bytes"],
    ["1b00000000ffffffff", "cbor-not-shortest", "2^32-1 in nine bytes"],
    ["3817", "cbor-not-shortest", "-24 in two bytes"],
    ["5801ff", "cbor-not-shortest", "a length in two bytes"],
    ["9800", "cbor-not-shortest", "a count in two bytes"],
    ["1c", "cbor-reserved", "information 28"],
    ["1d", "cbor-reserved", "information 29"],
    ["1e", "cbor-reserved", "information 30"],
    ["fc", "cbor-reserved", "simple 28"],
    ["1f", "cbor-indefinite-length", "an integer of indefinite length"],
    ["ff", "cbor-indefinite-length", "a break alone"],
    ["1b0020000000000000", "cbor-integer-range", "2^53"],
    ["3b001fffffffffffff", "cbor-integer-range", "-2^53"],
    ["a201020102", "cbor-duplicate-key", "key 1 twice"],
    ["a2616101616102", "cbor-duplicate-key", "key a twice"],
    ["a203040102", "cbor-key-order", "3 before 1"],
    ["a2200102" + "03", "cbor-key-order", "-1 before 2"],
    ["a1f401", "cbor-key-type", "a boolean as key"],
    ["a1410101", "cbor-key-type", "a byte string as key"],
    ["a1f600", "cbor-key-type", "null as key"],
    ["0000", "cbor-trailing-bytes", "two items"],
    ["", "cbor-truncated", "nothing"],
    ["61ff", "cbor-utf8", "a byte that is no UTF-8"],
    ["62c080", "cbor-utf8", "an overlong zero"],
    ["63e08080", "cbor-utf8", "an overlong zero in three bytes"],
    ["64f0808080", "cbor-utf8", "an overlong zero in four bytes"],
    ["63eda080", "cbor-utf8", "a surrogate"],
    ["64f4908080", "cbor-utf8", "above U+10FFFF"],
    ["64f5808080", "cbor-utf8", "a lead byte that never stands"],
    ["61c3", "cbor-utf8", "a sequence cut short"],
    ["62c341", "cbor-utf8", "a sequence that does not go on"],
    ["6180", "cbor-utf8", "a continuation alone"],
  ])("%s is %s: %s", (hex, tag) => expect(refusalOf(hex)).toBe(tag));

  it("takes the safe integers to their ends", () => {
    const max = Number.MAX_SAFE_INTEGER;
    expect(decodeCbor(fromHex("1b001fffffffffffff"), limits)).toBe(max);
    expect(decodeCbor(fromHex("3b001ffffffffffffe"), limits)).toBe(-max);
  });

  it("agrees with TextDecoder on what UTF-8 is, and means", () => {
    const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 8 }),
      fc.string({ unit: "binary", maxLength: 6 }).map((text) => new TextEncoder().encode(text)),
      fc
        .array(
          fc.constantFrom(0x41, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0x80, 0x8f, 0x9f, 0xa0, 0xbf),
        )
        .map((list) => Uint8Array.from(list)),
    );
    fc.assert(
      fc.property(bytes, (text) => {
        const item = Uint8Array.of(...encodeCbor(text));
        item[0] = (item[0] as number) | 0x60;
        let expected: string | undefined;
        try {
          expected = strict.decode(text);
        } catch {}
        if (expected === undefined) expect(refusal(item)).toBe("cbor-utf8");
        else expect(decodeCbor(item, limits)).toBe(expected);
      }),
      { numRuns: 3000 },
    );
  });

  it("refuses every truncation of every sample and value", () => {
    const check = (bytes: Uint8Array) => {
      for (let length = 0; length < bytes.length; length++) {
        expect(refusal(bytes.subarray(0, length), roomy)).toBe("cbor-truncated");
      }
    };
    for (const [hex, outcome] of samples) if ("value" in outcome) check(fromHex(hex));
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = encodeCbor(value);
        if (bytes.length < 400) check(bytes);
      }),
      { numRuns: 100 },
    );
  });

  it("never fails otherwise than with a violation, and what it accepts it writes again alike", () => {
    const mutated = fc
      .tuple(anyValue, fc.nat(), fc.integer({ min: 0, max: 255 }))
      .map(([value, at, byte]) => {
        const bytes = encodeCbor(value);
        bytes[at % bytes.length] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), mutated), (bytes) => {
        if (refusal(bytes, roomy) !== "accepted") return;
        expect(toHex(encodeCbor(decodeCbor(bytes, roomy)))).toBe(toHex(bytes));
      }),
      { numRuns: 3000 },
    );
  });
});

describe("limits", () => {
  it("counts bytes", () => {
    expect(refusalOf("4401020304", { ...limits, maxBytes: 5 })).toBe("accepted");
    expect(refusalOf("4401020304", { ...limits, maxBytes: 4 })).toBe("cbor-too-large");
  });
  it("counts nesting, of arrays and of maps", () => {
    const twice = { ...limits, maxDepth: 2 };
    expect(refusalOf("818100", twice)).toBe("accepted");
    expect(refusalOf("81818100", twice)).toBe("cbor-too-deep");
    expect(refusalOf("a100a10000", twice)).toBe("accepted");
    expect(refusalOf("a100a100a10000", twice)).toBe("cbor-too-deep");
    expect(refusal(new Uint8Array(60_000).fill(0x81))).toBe("cbor-too-deep");
  });
  it("counts items, keys as well", () => {
    expect(refusalOf("83010203", { ...limits, maxItems: 4 })).toBe("accepted");
    expect(refusalOf("83010203", { ...limits, maxItems: 3 })).toBe("cbor-too-many-items");
    expect(refusalOf("a201020304", { ...limits, maxItems: 5 })).toBe("accepted");
    expect(refusalOf("a201020304", { ...limits, maxItems: 4 })).toBe("cbor-too-many-items");
  });
  it.each([
    ["9a7fffffff", "cbor-too-many-items"],
    ["9b001fffffffffffff", "cbor-too-many-items"],
    ["ba7fffffff", "cbor-too-many-items"],
    ["990100", "cbor-truncated"],
    ["5a7fffffff", "cbor-truncated"],
    ["7b001fffffffffffff", "cbor-truncated"],
  ])("a claim of %s is refused before anything is allocated", (hex, tag) => {
    const before = process.memoryUsage();
    for (let i = 0; i < 100; i++) expect(refusalOf(hex)).toBe(tag);
    const after = process.memoryUsage();
    expect(
      after.heapTotal + after.arrayBuffers - before.heapTotal - before.arrayBuffers,
    ).toBeLessThan(64e6);
  });
  it("gives copies, or views where that is asked for", () => {
    const input = fromHex("4401020304");
    const copy = decodeCbor(input, limits) as Uint8Array;
    const view = decodeCbor(input, { ...limits, views: true }) as Uint8Array;
    input[1] = 9;
    expect([copy[0], view[0]]).toEqual([1, 9]);
  });

  it("gives plain byte arrays also from a Node Buffer, whose slices are views", () => {
    const input = Buffer.from("4401020304", "hex");
    const copy = decodeCbor(input, limits) as Uint8Array;
    const view = decodeCbor(input, { ...limits, views: true }) as Uint8Array;
    input[1] = 9;
    expect([copy[0], view[0]]).toEqual([1, 9]);
    for (const bytes of [copy, view])
      expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
  });
});
