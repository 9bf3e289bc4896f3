/** The store in memory keeps what it is given, and its reference set is a set (core/node/memory-store.ts). */
import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { ReferenceSet } from "../../core/node/reference-set.ts";
import { concat, toHex } from "../../core/primitives/bytes.ts";
import { FaultyStore } from "../support/faulty-store.ts";
import { changeOf, idOf, packed, referenceOf } from "../support/store-changes.ts";
import { storeContract } from "./store-contract.ts";

storeContract("memory", { open: () => new MemoryStore() });

test("it keeps the newest live record of every channel and never encodes one", () => {
  const store = new MemoryStore();
  const record = () => {
    throw new Error("encoded");
  };
  store.commit({ channelId: idOf(1), record, live: { state: "old" } });
  store.commit({ channelId: idOf(2), record, live: { state: "other" } });
  store.commit({ channelId: idOf(1), record, live: { state: "new" }, archive: [referenceOf(5)] });
  store.commit({ channelId: idOf(1), record, live: { state: "new" }, archive: [referenceOf(6)] });
  expect(store.load()).toEqual([
    {
      channelId: idOf(1),
      record: { live: { state: "new" } },
      archive: [referenceOf(5), referenceOf(6)],
    },
    { channelId: idOf(2), record: { live: { state: "other" } }, archive: [] },
  ]);
  store.commit({ channelId: idOf(1), record, live: {}, remove: true });
  expect(store.load().map((channel) => channel.channelId)).toEqual([idOf(2)]);
});

test("values are copies", () => {
  const store = new MemoryStore();
  const value = Uint8Array.of(1, 2, 3);
  store.setValue("tip", value);
  value[0] = 9;
  const read = store.getValue("tip") as Uint8Array;
  read[1] = 9;
  expect(store.getValue("tip")).toEqual(Uint8Array.of(1, 2, 3));
  expect(store.getValue("other")).toBeUndefined();
});

test("the reference set is a set, for references that collide in many bytes too", () => {
  const byte = fc.constantFrom(0, 1, 255);
  const reference = fc.oneof(
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.array(byte, { minLength: 16, maxLength: 16 }).map((bytes) => Uint8Array.from(bytes)),
    fc.nat({ max: 300 }).map(referenceOf),
  );
  fc.assert(
    fc.property(fc.array(reference, { maxLength: 400 }), fc.integer(), (references, seed) => {
      const set = new ReferenceSet(seed, references.length >> 1);
      const model = new Set<string>();
      for (const entry of references) {
        const hex = toHex(entry);
        expect(set.has(entry)).toBe(model.has(hex));
        expect(set.add(entry)).toBe(!model.has(hex));
        model.add(hex);
        expect(set.has(entry)).toBe(true);
      }
      expect(set.size).toBe(model.size);
    }),
    { numRuns: 100 },
  );
});

test("a hundred thousand references survive every growth, from unaligned packed batches", () => {
  const set = new ReferenceSet(7);
  for (let batch = 0; batch < 100; batch++) {
    const numbers = Array.from({ length: 1000 }, (_, i) => batch * 1000 + i);
    const bytes = concat(Uint8Array.of(0), packed(...numbers)).subarray(1);
    expect(set.addPacked(bytes)).toEqual([]);
  }
  expect(set.size).toBe(100_000);
  for (let n = 0; n < 100_000; n += 7) expect(set.has(referenceOf(n))).toBe(true);
  expect(set.has(referenceOf(100_000))).toBe(false);
  expect(set.addPacked(packed(5, 100_001, 99_999))).toEqual([0, 2]);
});

test("what stands twice in one batch is found, however far apart, and while the table grows", () => {
  const set = new ReferenceSet(7);
  const numbers = Array.from({ length: 200 }, (_, i) => i);
  expect(set.addPacked(packed(...numbers, 0, 63, 64, 300, 199, 300))).toEqual([
    200, 201, 202, 204, 205,
  ]);
  expect(set.size).toBe(201);
  expect(set.addPacked(packed(...numbers))).toEqual(numbers);
  const others = numbers.map((n) => n + 1_000);
  expect(set.hasAnyPacked(packed(...others))).toBe(false);
  for (const at of [0, 63, 64, 199]) {
    expect(set.hasAnyPacked(packed(...others.with(at, 300)))).toBe(true);
  }
  expect(set.hasAnyPacked(new Uint8Array(0))).toBe(false);
});

test("references that share a hash of 32 bits are different ones: of 300,000 some do", () => {
  const count = 300_000;
  const bytes = new Uint8Array(count * 24);
  const words = new Uint32Array(bytes.buffer);
  let word = 1;
  for (let i = 0; i < words.length; i++) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = word ^ (word >>> 15);
  }
  const set = new ReferenceSet(7);
  expect(set.hasAnyPacked(bytes)).toBe(false);
  expect(set.addPacked(bytes)).toEqual([]);
  expect(set.size).toBe(count);
});

test("a faulty store dies before or after the planned commit, and what it wrapped lives on", () => {
  const inner = new MemoryStore();
  const before = new FaultyStore(inner, (index) => (index === 1 ? "crash-before" : undefined));
  before.commit(changeOf(1, 1));
  expect(() => before.commit(changeOf(1, 2))).toThrow("before the commit");
  expect(() => before.load()).toThrow("process is gone");
  expect(inner.load()[0]?.record).toEqual({ live: { channel: 1, version: 1 } });
  const after = new FaultyStore(inner, () => "crash-after");
  expect(() => after.commit(changeOf(1, 2))).toThrow("after the commit");
  expect(inner.load()[0]?.record).toEqual({ live: { channel: 1, version: 2 } });
  const full = new FaultyStore(inner, (index) => (index === 0 ? "refuse" : undefined));
  expect(() => full.commit(changeOf(1, 3))).toThrow("refused");
  full.commit(changeOf(1, 4));
  expect(inner.load()[0]?.record).toEqual({ live: { channel: 1, version: 4 } });
});
