/** Frames survive whatever a serial line does between them (docs/PROTOCOL.md "Framing"). */
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ascii, concat, toHex } from "../../core/primitives/bytes.ts";
import { CRC_START, crc32Finish, crc32Update } from "../../core/primitives/crc32.ts";
import { encodeFrame, FrameDecoder, frameBound } from "../../core/transport/framing.ts";

const MAX = 2000;
/** What a decoder delivers from these chunks. */
function received(chunks: readonly Uint8Array[], max = MAX): { frames: string[]; dropped: number } {
  const frames: string[] = [];
  const decoder = new FrameDecoder(max, (frame) => frames.push(toHex(frame)));
  for (const chunk of chunks) decoder.push(chunk);
  expect(decoder.counters.frames).toBe(frames.length);
  return { frames, dropped: decoder.counters.dropped };
}
const content = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: MAX }),
  fc.integer({ min: 1, max: MAX }).map((length) => new Uint8Array(length)),
  fc.integer({ min: 1, max: MAX }).map((length) => new Uint8Array(length).fill(0xff)),
  fc.constantFrom(249, 250, 251, 253, 254, 255, 504, 508).map((n) => new Uint8Array(n).fill(1)),
  fc.constantFrom(249, 253, 254, 255, 508, 509).map((n) => new Uint8Array(n).fill(0x81)),
);
/** Everything that is no packet: protected by its CRC. */
const checked = content.map((bytes) => {
  const copy = bytes.slice();
  copy[0] = (copy[0] as number) & 0x7f;
  return copy;
});
const isPacket = (bytes: Uint8Array) => (bytes[0] as number) >= 0x80;
const crcBytes = (bytes: Uint8Array) => (isPacket(bytes) ? 0 : 4);
const garbage = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.array(fc.constantFrom(0, 1, 2, 255), { maxLength: 40 }).map((list) => Uint8Array.from(list)),
);
/** Cuts bytes into chunks of the given sizes, again and again. */
function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? bytes.length;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}
const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 6 });

describe("CRC-32", () => {
  it("is the one of zip, in pieces too", () => {
    expect(crc32Finish(crc32Update(CRC_START, ascii("123456789")))).toBe(0xcbf43926);
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
        const ours = crc32Finish(crc32Update(crc32Update(CRC_START, a), b));
        expect(ours).toBe(crc32(concat(a, b)));
      }),
    );
  });
});

describe("a frame", () => {
  it("begins and ends with a zero byte, and has none inside", () => {
    fc.assert(
      fc.property(content, (bytes) => {
        const frame = encodeFrame([bytes]);
        expect([frame[0], frame.at(-1)]).toEqual([0, 0]);
        expect(frame.subarray(1, -1).includes(0)).toBe(false);
      }),
    );
  });
  it("looks as COBS says", () => {
    // Content 11 00 22, its CRC-32 a7 9e 54 8c.
    const crc = crc32(Uint8Array.of(0x11, 0, 0x22))
      .toString(16)
      .padStart(8, "0");
    expect(toHex(encodeFrame([Uint8Array.of(0x11, 0, 0x22)]))).toBe(`00021106${"22"}${crc}00`);
  });
  it("adds 3 bytes to a packet, 7 to everything else, and one more for each full 254", () => {
    fc.assert(
      fc.property(content, (bytes) => {
        const added = encodeFrame([bytes]).length - bytes.length;
        const checked = bytes.length + crcBytes(bytes);
        expect(added).toBeGreaterThanOrEqual(3 + crcBytes(bytes));
        expect(added).toBeLessThanOrEqual(3 + crcBytes(bytes) + Math.floor(checked / 254));
        expect(frameBound(checked)).toBe(checked + 3 + Math.floor(checked / 254));
      }),
    );
  });
  it("is the same from parts as from the whole", () => {
    fc.assert(
      fc.property(content, fc.nat(), (bytes, at) => {
        const middle = 1 + (at % bytes.length);
        const parts = [bytes.subarray(0, middle), bytes.subarray(middle), new Uint8Array(0)];
        expect(encodeFrame(parts)).toEqual(encodeFrame([bytes]));
      }),
    );
  });
});

describe("decoding", () => {
  it("delivers all frames in order, at any boundaries", () => {
    fc.assert(
      fc.property(fc.array(content, { maxLength: 6 }), sizes, (contents, boundaries) => {
        const line = concat(...contents.map((bytes) => encodeFrame([bytes])));
        const { frames, dropped } = received(cut(line, boundaries));
        expect(frames).toEqual(contents.map(toHex));
        expect(dropped).toBe(0);
      }),
    );
  });

  it("loses no frame to garbage before, between and after frames", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(garbage, content), { maxLength: 5 }),
        sizes,
        (pairs, chunks) => {
          const line = concat(...pairs.flatMap(([noise, bytes]) => [noise, encodeFrame([bytes])]));
          // Garbage may look like a packet: nobody decrypts it. Nothing else does.
          const { frames } = received(cut(line, chunks));
          const wanted = pairs.map(([, bytes]) => toHex(bytes));
          let found = 0;
          for (const frame of frames) {
            if (frame === wanted[found]) found++;
            else expect(Number.parseInt(frame.slice(0, 2), 16)).toBeGreaterThanOrEqual(0x80);
          }
          expect(found).toBe(wanted.length);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("loses only the frame that garbage falls into, and never delivers it changed", () => {
    fc.assert(
      fc.property(
        checked,
        checked,
        garbage,
        fc.nat(),
        fc.boolean(),
        (first, second, noise, at, over) => {
          const frame = encodeFrame([first]);
          const place = 1 + (at % (frame.length - 2));
          const rest = frame.subarray(over ? Math.min(place + noise.length, frame.length) : place);
          const line = concat(frame.subarray(0, place), noise, rest, encodeFrame([second]));
          const { frames } = received([line]);
          expect(frames.at(-1)).toBe(toHex(second));
          const unproven = frames.filter((got) => Number.parseInt(got.slice(0, 2), 16) < 0x80);
          for (const got of unproven) expect([toHex(first), toHex(second)]).toContain(got);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("notices one changed bit anywhere", () => {
    const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 7) & 255);
    const frame = encodeFrame([bytes]);
    const next = encodeFrame([ascii("next")]);
    for (let bit = 8; bit < 8 * (frame.length - 1); bit++) {
      const changed = frame.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      const { frames } = received([changed, next]);
      expect(frames.at(-1)).toBe(toHex(ascii("next")));
      // One that looks like a packet now is left to the cipher.
      const unproven = frames.filter((got) => Number.parseInt(got.slice(0, 2), 16) < 0x80);
      expect(unproven).toHaveLength(1);
    }
  });

  it("delivers nothing from noise alone but what a cipher will refuse", () => {
    fc.assert(
      fc.property(fc.array(garbage), (noise) => {
        const { frames } = received(noise);
        expect(frames.filter((got) => Number.parseInt(got.slice(0, 2), 16) < 0x80)).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it("drops a frame above the limit and goes on, with no more memory than the limit", () => {
    const large = encodeFrame([new Uint8Array(101).fill(5)]);
    const right = new Uint8Array(100).fill(6);
    const { frames, dropped } = received([large, encodeFrame([right])], 100);
    expect([frames, dropped]).toEqual([[toHex(right)], 1]);
    const decoder = new FrameDecoder(100, () => undefined);
    for (let i = 0; i < 1000; i++) decoder.push(new Uint8Array(1000).fill(1 + (i % 255)));
    const held = (decoder as unknown as { buffer: Uint8Array }).buffer.length;
    expect(held).toBeLessThanOrEqual(104);
  });

  it("does not count silence between frames as damage", () => {
    expect(received([new Uint8Array(1000)])).toEqual({ frames: [], dropped: 0 });
  });
});
