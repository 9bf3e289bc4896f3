/** Signatures in witnesses are strict DER: read back as they were, and nothing else is read. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { signature } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { fromDer, MAX_DER_BYTES, toDer } from "../../core/transactions/der.ts";

const half = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => bytes.map((byte, i) => (i < (bytes[31] as number) % 32 ? 0 : byte)));

it("carries any 64 bytes and the sighash byte there and back", () => {
  fc.assert(
    fc.property(half, half, fc.constantFrom(1, 0x83), (r, s, sighashType) => {
      const compact = signature(Uint8Array.of(...r, ...s));
      const der = toDer(compact, sighashType);
      expect(fromDer(der)).toEqual({ signature: compact, sighashType });
      if ((s[0] as number) < 0x80) expect(der.length).toBeLessThanOrEqual(MAX_DER_BYTES);
    }),
  );
});

it("reaches the longest form with a high r and a low s", () => {
  const compact = signature(new Uint8Array(64).fill(0xff, 0, 32).fill(0x7f, 32));
  expect(toDer(compact, 1)).toHaveLength(MAX_DER_BYTES);
});

const good = "300602010102010201";
const refused: readonly [string, string][] = [
  ["nothing", ""],
  ["no sighash byte", good.slice(0, -2)],
  ["a byte too many", `${good}01`],
  ["another tag", good.replace("30", "31")],
  ["a byte between s and the sighash byte", "30070201010201020001"],
  ["a wrong total length", good.replace("3006", "3007")],
  ["a negative r", "300602018102010201"],
  ["a padded r", "30070202000102010201"],
  ["an empty r", "3005020002010201"],
  ["r beyond the end", "300602200102010201"],
  ["a number of 33 bytes without padding", `30260221${"01".repeat(33)}02010101`],
  ["s with another tag", "300602010103010201"],
  ["a long form length", "30810602010102010201"],
];

it("reads the shortest good one", () => {
  const { signature: compact } = fromDer(fromHex(good));
  expect(toHex(compact)).toBe(`${"00".repeat(31)}01${"00".repeat(31)}02`);
});

it.each(refused)("refuses %s", (_, hex) => {
  expect(() => fromDer(fromHex(hex))).toThrow(/^signature: /);
});
