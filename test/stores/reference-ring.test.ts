/** A device's ring of payment references: room that grows with its use, and what has left the window. */
import { describe, expect, it } from "vitest";
import { ReferenceRing } from "../../firmware/store/reference-ring.ts";

const WINDOW = 256;

function reference(index: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(3, Math.imul(index, 0x9e3779b1));
  return bytes;
}

/** The indices below `end` whose references the ring knows. */
function known(ring: ReferenceRing, end: number): readonly number[] {
  return Array.from({ length: end }, (_, index) => index).filter((i) => ring.has(reference(i)));
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

describe("the ring of references", () => {
  it("knows each of the newest as it grows, and none that has left the window", () => {
    const ring = new ReferenceRing(WINDOW);
    for (let index = 0; index < 600; index++) {
      ring.put(index, reference(index), index % 7);
      if (index % 37 !== 0) continue;
      expect(known(ring, 620)).toEqual(range(Math.max(0, index + 1 - WINDOW), index + 1));
      expect(ring.size).toBe(Math.min(index + 1, WINDOW));
    }
  });

  it("takes them in any order, as a flash tells them", () => {
    const ring = new ReferenceRing(WINDOW);
    for (const index of [400, 150, 399, 145, 144, 260]) ring.put(index, reference(index), 1);
    // 145 is as old as the window allows.
    expect(known(ring, 500)).toEqual([145, 150, 260, 399, 400]);
    expect(ring.runsIn(1, WINDOW).map(({ first }) => first)).toEqual([145, 150, 260, 399]);
  });
});
