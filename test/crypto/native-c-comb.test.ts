/** The table of picobolt-comb-table.h holds the points that its comment promises. */
import { readFileSync } from "node:fs";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { expect, test } from "vitest";

const [BLOCKS, TEETH, SPACING] = [2, 5, 26];

test("every entry of the comb's table is the multiple of half the generator that it stands for", () => {
  const file = new URL("../../firmware/crypto/picobolt-comb-table.h", import.meta.url);
  const entries = [...readFileSync(file, "utf8").matchAll(/POINT\(([^)]*)\)/g)].map((match) =>
    [...(match[1] as string).matchAll(/0x([0-9a-f]{8})/g)].map((word) => word[1]).join(""),
  );
  const { BASE, Fn } = secp256k1.Point;
  const half = Fn.inv(2n);
  const expected: string[] = [];
  for (let block = 0; block < BLOCKS; block++) {
    for (let i = 0; i < 1 << (TEETH - 1); i++) {
      let sum = 0n;
      for (let tooth = 0; tooth < TEETH; tooth++) {
        const weight = 1n << BigInt((block * TEETH + tooth) * SPACING);
        const plus = tooth === TEETH - 1 || ((i >> tooth) & 1) === 1;
        sum += plus ? weight : -weight;
      }
      expected.push(
        BASE.multiply(Fn.mul(Fn.create(sum), half))
          .toHex(false)
          .slice(2),
      );
    }
  }
  expect(entries).toEqual(expected);
});
