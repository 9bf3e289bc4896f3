/** What a stranger on the wire can do to a session, and what not (docs/PROTOCOL.md "Sessions"). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat } from "../../core/primitives/bytes.ts";
import { crypto, Lab, TestNode, Wire } from "../support/wire-lab.ts";

describe("a stranger on the wire", () => {
  it("cannot end or change a session with garbage, at any place between frames", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 12 }), (noise) => {
        const lab = new Lab();
        let i = 0;
        const frames = noise.map((bytes) => concat(bytes, Uint8Array.of(0)));
        lab.wire.passage = (bytes) => {
          const before = frames[i++];
          return before === undefined ? [bytes] : [before, bytes];
        };
        lab.connect();
        const texts = noise.map((_, at) => `note ${at}`);
        for (const text of texts) lab.a.say(text);
        lab.wire.pump();
        expect(lab.b.diary.texts).toEqual(texts);
        expect([lab.a.diary.downs, lab.b.diary.downs]).toEqual([[], []]);
      }),
      // A packet's frame before there is a session: its answer says so in the middle of the handshake.
      { numRuns: 40, examples: [[[Uint8Array.of(2, 0x80)]]] },
    );
  });

  it("can damage frames, and so end sessions, but never change or repeat what is delivered", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat(30)), fc.uint8Array({ minLength: 1 }), (dice, noise) => {
        const lab = new Lab();
        lab.wire.passage = (bytes) => {
          const roll = dice.next().value;
          const middle = bytes.length >> 1;
          if (roll === 0) return [bytes.subarray(0, middle), noise, bytes.subarray(middle)];
          if (roll === 1) return [bytes.subarray(middle)];
          if (roll === 2) return [bytes, bytes];
          if (roll === 3) return [];
          return [noise.subarray(0, roll), bytes];
        };
        for (let i = 0; i < 60; i++) {
          lab.a.say(`note ${i}`);
          lab.advance(100);
        }
        const numbers = lab.b.diary.texts.map((text) => Number(text.slice(5)));
        expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
        lab.wire.passage = (bytes) => [bytes];
        lab.advance(10_000);
        expect(lab.works).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it("cannot end a session with forged data frames, whatever number they carry", () => {
    const lab = new Lab(new Wire("datagram")).connect();
    for (let number = 0; number < 1100; number++) {
      const forged = new Uint8Array(60).fill(number);
      forged.set([0x80 | (number >> 8), number]);
      lab.wire.inject(forged, "a");
      lab.wire.inject(forged, "b");
    }
    expect([lab.a.diary.downs, lab.b.diary.downs, lab.works]).toEqual([[], [], true]);
  });

  it("cannot end a session with a recorded frame under another number", () => {
    const lab = new Lab(new Wire("datagram")).connect();
    lab.exchange();
    const recorded = lab.wire.sentBy("a").filter((bytes) => (bytes[0] as number) >= 0x80);
    for (const bytes of recorded) {
      for (let number = 0; number < 20; number++) {
        const forged = bytes.slice();
        forged[1] = number;
        lab.wire.inject(forged, "a");
      }
    }
    expect([lab.b.diary.downs, lab.works]).toEqual([[], true]);
  });

  it("cannot end a session by saying that there is none", () => {
    const lab = new Lab(new Wire("datagram")).connect();
    for (let i = 0; i < 100; i++) {
      lab.wire.inject(Uint8Array.of(5), "a");
      lab.wire.inject(Uint8Array.of(5), "b");
      lab.advance(50);
    }
    expect([lab.a.diary.downs, lab.b.diary.downs, lab.works]).toEqual([[], [], true]);
  });

  it("cannot end a session by calling, nor make us compute for each call", () => {
    const lab = new Lab(new Wire("datagram")).connect();
    const ecdh = crypto.ecdh;
    let operations = 0;
    crypto.ecdh = (...args) => {
      operations++;
      return ecdh(...args);
    };
    const wire = new Wire("datagram");
    for (let i = 0; i < 200; i++) {
      const stranger = new TestNode(wire.a, { seed: 1 + (i % 200), calls: lab.b.nodeId });
      stranger.session.tick(0);
    }
    wire.passage = () => [];
    wire.pump();
    operations = 0;
    for (const bytes of wire.sentBy("a")) lab.wire.inject(bytes, "a");
    crypto.ecdh = ecdh;
    expect(operations).toBeGreaterThan(0);
    expect(operations).toBeLessThanOrEqual(2 * 8 + 2);
    lab.wire.pump();
    expect([lab.a.diary.downs, lab.b.diary.downs, lab.works]).toEqual([[], [], true]);
  });

  it("cannot push a living peer out with a whole handshake of its own", () => {
    const lab = new Lab(new Wire("datagram")).connect();
    // Mallory reads and writes the same wire as A.
    const tap = new Wire("datagram");
    const mallory = new TestNode(tap.a, { seed: 66, calls: lab.b.nodeId });
    tap.passage = (bytes) => {
      lab.wire.inject(bytes, "a");
      return [];
    };
    lab.wire.passage = (bytes, from) => {
      if (from === "b") tap.a.onBytes(bytes);
      return [bytes];
    };
    for (let now = 50; now < 5_000; now += 50) {
      mallory.session.tick(now);
      tap.pump();
      lab.advance(50);
    }
    expect(mallory.diary.ups).toBeGreaterThan(0);
    expect(mallory.diary.texts).toEqual([]);
    expect([lab.a.diary.downs, lab.b.diary.downs, lab.works]).toEqual([[], [], true]);
  });

  it("is heard, as anyone is, once the peer is gone", () => {
    const wire = new Wire();
    const lab = new Lab(wire).connect();
    lab.a.session.close();
    wire.pump();
    lab.a = new TestNode(wire.a, { seed: 33, calls: lab.b.nodeId, nowMs: lab.nowMs });
    lab.advance(100);
    expect(lab.works).toBe(true);
  });
});
