/** What was handed to a tower is looked for in the last blocks, whichever of the two lists is the longer one. */
import { describe, expect, it } from "vitest";
import { blockHeight } from "../../core/primitives/brands.ts";
import { RecentHints } from "../../gateway/tower/recent-hints.ts";

const txid = (n: number) => {
  const bytes = new Uint8Array(32).fill(0xaa, 8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(n) * 0x9e37_79b9_7f4an);
  return bytes;
};
const hint = (n: number) => txid(n).slice(0, 16);
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

function block(hints: RecentHints, height: number, of: readonly number[]): void {
  hints.connected({ height: blockHeight(height), txids: of.map(txid) });
}

describe.each([
  ["a few in long blocks", 3, 2_000],
  ["a flood in short blocks", 20_000, 3],
])("%s", (_, handed, inBlock) => {
  it("is found in the block that has it", () => {
    const hints = new RecentHints();
    for (const height of range(1, 20)) {
      block(
        hints,
        height,
        range(1_000_000 + height * 10_000, 1_000_000 + height * 10_000 + inBlock),
      );
    }
    block(hints, 20, [...range(3_000_000, 3_000_000 + inBlock), handed - 1]);
    for (const n of range(0, handed)) hints.handedOver(hint(n));
    expect(hints.take()).toBeUndefined();
    block(hints, 21, []);
    expect(hints.take()).toBe(20);
    expect(hints.take()).toBeUndefined();
  });

  it("is no longer looked for where no block has it", () => {
    const hints = new RecentHints();
    block(hints, 1, range(1_000_000, 1_000_000 + inBlock));
    for (const n of range(0, handed)) hints.handedOver(hint(n));
    block(hints, 2, []);
    // Whoever watches the chain finds it from now on.
    block(hints, 3, [0]);
    block(hints, 4, []);
    expect(hints.take()).toBeUndefined();
  });
});

describe("what a block has", () => {
  const found = () => {
    const hints = new RecentHints();
    block(hints, 7, [1, 2, 3]);
    hints.handedOver(hint(2));
    return hints;
  };

  it("is looked at with some blocks more, for the rest of a state comes in other messages", () => {
    const hints = found();
    const looks = range(8, 20).filter((height) => {
      block(hints, height, []);
      return hints.take() === 7;
    });
    expect(looks).toEqual(range(8, 14));
  });

  it("is not, once it is settled, or the block is gone", () => {
    const settled = found();
    settled.settled(txid(2));
    block(settled, 8, []);
    expect(settled.take()).toBeUndefined();
    const gone = found();
    gone.disconnected(blockHeight(7));
    block(gone, 7, [1, 3]);
    expect(gone.take()).toBeUndefined();
  });

  it("is asked for again where it could not be read", () => {
    const hints = found();
    block(hints, 8, []);
    expect(hints.take()).toBe(7);
    hints.again(7);
    expect(hints.take()).toBe(7);
  });
});
