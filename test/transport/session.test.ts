/** A session over one link: messages in order, frames, sizes and what ends it (docs/PROTOCOL.md "Sessions"). */
import { describe, expect, it } from "vitest";
import { encodeCbor } from "../../core/messages/cbor.ts";
import type { Message } from "../../core/messages/message.ts";
import type { Link } from "../../core/ports/link.ts";
import { concat, toHex } from "../../core/primitives/bytes.ts";
import { identityOf, Lab, note, TestNode, timing, Wire } from "../support/wire-lab.ts";

describe("a call", () => {
  it.each(["stream", "datagram"] as const)(
    "over a %s link ends in a session that works",
    (kind) => {
      const lab = new Lab(new Wire(kind)).connect();
      expect(lab.a.diary.entries).toEqual([`up ${toHex(lab.b.nodeId).slice(0, 8)}`]);
      expect(lab.b.diary.entries).toEqual([`up ${toHex(lab.a.nodeId).slice(0, 8)}`]);
      expect(lab.works).toBe(true);
    },
  );

  it("to a node id that is not there is never answered, and backs off to a bounded pace", () => {
    const wire = new Wire();
    const lab = new Lab(wire);
    lab.a = new TestNode(wire.a, { seed: 11, calls: identityOf(99).nodeId });
    lab.advance(60_000);
    expect([lab.a.diary.entries, lab.b.diary.entries]).toEqual([[], []]);
    expect(wire.sentBy("b")).toHaveLength(0);
    const calls = wire.sentBy("a").length;
    expect(calls).toBeGreaterThan(10);
    expect(calls).toBeLessThan(20);
  });

  it("goes through as soon as the other side is there", () => {
    const lab = new Lab();
    lab.wire.passage = () => [];
    lab.advance(20_000);
    expect(lab.a.diary.ups).toBe(0);
    lab.wire.passage = (bytes) => [bytes];
    lab.advance(timing.maxBackoffMs * 1.25 + timing.handshakeTimeoutMs + 100);
    expect(lab.works).toBe(true);
  });

  it("by both sides at once on the same link makes one session", () => {
    const wire = new Wire();
    const lab = new Lab(wire);
    lab.b = new TestNode(wire.b, { seed: 22, calls: lab.a.nodeId });
    lab.a = new TestNode(wire.a, { seed: 11, calls: lab.b.nodeId });
    lab.connect();
    expect([lab.a.diary.ups, lab.b.diary.ups]).toEqual([1, 1]);
    expect(lab.works).toBe(true);
    lab.advance(10_000);
    expect([lab.a.diary.downs, lab.b.diary.downs]).toEqual([[], []]);
  });
});

describe("acts that are damaged on their way", () => {
  const acts = [
    ["act one", 1, 51],
    ["act two", 2, 51],
    ["act three", 3, 67],
  ] as const;

  it.each(acts)(
    "%s with one changed bit at any byte: no session, then the next call works",
    (_, kind, size) => {
      for (let at = 0; at < size; at++) {
        const lab = new Lab(new Wire("datagram"));
        let hit = 0;
        lab.wire.passage = (bytes) => {
          if (bytes[0] !== kind || hit++ > 0) return [bytes];
          const changed = bytes.slice();
          changed[at] = (changed[at] as number) ^ (1 << (at & 7));
          return [changed];
        };
        lab.connect();
        expect([at, lab.b.diary.ups]).toEqual([at, 0]);
        lab.advance(4_000);
        expect([at, hit > 1, lab.b.diary.ups, lab.works]).toEqual([at, true, 1, true]);
      }
    },
  );

  it.each(acts)("%s cut at any byte: no session, then the next call works", (_, kind, size) => {
    for (let length = 0; length < size; length += length < 4 ? 1 : 7) {
      const lab = new Lab(new Wire("datagram"));
      let hit = 0;
      lab.wire.passage = (bytes) =>
        bytes[0] !== kind || hit++ > 0 ? [bytes] : [bytes.subarray(0, length)];
      lab.connect();
      expect([length, lab.b.diary.ups]).toEqual([length, 0]);
      lab.advance(4_000);
      expect([length, lab.works]).toEqual([length, true]);
    }
  });

  it("repeated acts change nothing", () => {
    const lab = new Lab(new Wire("datagram"));
    lab.wire.passage = (bytes) => [bytes, bytes];
    lab.connect();
    expect([lab.a.diary.ups, lab.b.diary.ups, lab.works]).toEqual([1, 1, true]);
  });

  it("an act one that comes six times is answered alike, for the price of one", () => {
    const lab = new Lab(new Wire("datagram"));
    lab.wire.passage = (bytes) => (bytes[0] === 1 ? Array<Uint8Array>(6).fill(bytes) : [bytes]);
    lab.connect();
    expect(new Set(lab.wire.sentBy("b").slice(0, 6).map(toHex)).size).toBe(1);
    expect([lab.a.diary.ups, lab.b.diary.ups, lab.works]).toEqual([1, 1, true]);
  });

  it("a whole recorded conversation, played again to either side, neither opens nor ends a session", () => {
    const lab = new Lab().connect();
    lab.exchange();
    const recorded = [...lab.wire.log];
    lab.a.session.close();
    lab.wire.pump();
    for (const { bytes, from } of recorded) lab.wire.inject(bytes, from);
    lab.wire.pump();
    expect([lab.a.diary.ups, lab.b.diary.ups]).toEqual([1, 1]);
    const again = new Lab(new Wire(), 1).connect();
    for (const { bytes, from } of [...recorded, ...recorded]) again.wire.inject(bytes, from);
    again.wire.pump();
    expect([again.a.diary.downs, again.b.diary.downs, again.works]).toEqual([[], [], true]);
  });
});

describe("messages", () => {
  it("arrive in order, both ways, beyond key rotations", () => {
    const lab = new Lab().connect();
    const texts = Array.from({ length: 1_103 }, (_, i) => `message ${i}`);
    for (const text of texts) {
      expect(lab.a.say(text)).toBe(true);
      expect(lab.b.say(text)).toBe(true);
    }
    lab.wire.pump();
    expect(lab.a.diary.texts).toEqual(texts);
    expect(lab.b.diary.texts).toEqual(texts);
  });

  it("may be answered from inside the handler, also where both links deliver at once", () => {
    const lab = new Lab().connect();
    // No queue: what one side sends, the other has before `send` returns.
    lab.wire.a.send = (bytes) => lab.wire.b.onBytes(bytes);
    lab.wire.b.send = (bytes) => lab.wire.a.onBytes(bytes);
    lab.b.diary.onMessageHook = () => lab.b.diary.messages.length < 40 && lab.b.say("b");
    lab.a.diary.onMessageHook = () => {
      lab.a.say("a1");
      lab.a.say("a2");
    };
    lab.a.say("start");
    expect(lab.b.diary.messages.length).toBeGreaterThanOrEqual(40);
    expect([lab.a.diary.downs, lab.b.diary.downs]).toEqual([[], []]);
  });

  it.each(["stream", "datagram"] as const)(
    "arrive whole where a %s link uses its buffer again at once",
    (kind) => {
      const lab = new Lab(new Wire(kind));
      const through = (to: Link) => (bytes: Uint8Array) => {
        const chunk = Buffer.from(bytes);
        to.onBytes(chunk);
        chunk.fill(0xee);
      };
      lab.wire.a.send = through(lab.wire.b);
      lab.wire.b.send = through(lab.wire.a);
      lab.b.diary.onMessageHook = () => {
        lab.b.say("answer 1");
        lab.b.say("answer 2");
      };
      lab.connect();
      lab.a.say("one");
      lab.a.say("two");
      expect(lab.b.diary.texts).toEqual(["one", "two"]);
      expect(lab.a.diary.texts).toEqual(["answer 1", "answer 2", "answer 1", "answer 2"]);
      expect([lab.a.diary.downs, lab.b.diary.downs]).toEqual([[], []]);
    },
  );

  it("cost 20 bytes of wrapping on a stream and 18 in a datagram, plus one per full 254", () => {
    for (const [kind, overhead] of [
      ["stream", 20],
      ["datagram", 18],
    ] as const) {
      const lab = new Lab(new Wire(kind)).connect();
      for (const length of [0, 100, 400]) {
        const message = note("x".repeat(length));
        // The channel was named before: it is the last one's.
        lab.a.session.send(note(""));
        lab.wire.pump();
        const before = lab.wire.log.length;
        lab.a.session.send(message);
        lab.wire.pump();
        const plain = encodeCbor([0x81, null, "x".repeat(length)]).length;
        const blocks = kind === "stream" ? Math.floor((plain + 17) / 254) : 0;
        const wrapped = (lab.wire.log[before]?.bytes.length ?? 0) - plain;
        // COBS spares the extra byte where a zero falls into the block.
        expect(wrapped).toBeGreaterThanOrEqual(overhead);
        expect(wrapped).toBeLessThanOrEqual(overhead + blocks);
      }
    }
  });

  it("that are larger than the peer takes are never sent: the session ends, and each begins anew with 4096", () => {
    const lab = new Lab().connect();
    const large: Message = { type: "pong", ignored: new Uint8Array(5000) };
    lab.a.session.setPeerMaxMessage(65_535);
    expect(lab.a.session.send(large)).toBe(true);
    lab.restartB();
    lab.advance(3_000);
    expect([lab.a.diary.ups, lab.a.session.peerMaxMessage]).toEqual([2, 4096]);
    expect(lab.a.session.send(large)).toBe(false);
    expect(lab.a.diary.downs.at(-1)).toMatch(/pong: 5006 bytes, the peer takes 4096/);
  });

  it("are lost, and said to be, while no session is established", () => {
    const lab = new Lab();
    expect(lab.a.say("too early")).toBe(false);
    lab.connect();
    expect(lab.b.diary.messages).toEqual([]);
  });

  it("of unknown odd numbers, pings and pongs stay inside; a ping is answered", () => {
    const lab = new Lab().connect();
    sealed(lab.a, encodeCbor([own(40_001), 5]));
    lab.a.session.send({ type: "ping", pongBytes: 300, ignored: new Uint8Array(3) });
    const before = lab.wire.sentBy("b").length;
    lab.wire.pump();
    expect(lab.b.diary.messages).toEqual([]);
    expect(lab.wire.sentBy("b")[before]?.length).toBeGreaterThan(300);
    lab.a.session.send({ type: "ping", pongBytes: 65_531, ignored: new Uint8Array(0) });
    lab.wire.pump();
    expect(lab.wire.sentBy("b")).toHaveLength(before + 1);
  });

  it.each([
    ["unknown-even-message", encodeCbor([own(40_000)])],
    ["warning.data", encodeCbor([0x81, new Uint8Array(32), 5])],
    ["message-form", concat(encodeCbor([own(40_001)]), Uint8Array.of(0))],
    ["cbor-truncated", concat(encodeCbor([own(40_001)]), Uint8Array.of(0x82))],
    ["message-form", encodeCbor([32_768])],
    ["packet.channel", encodeCbor([0x81, 0, "x"])],
    ["packet.channel", encodeCbor([0x81])],
    ["message-form", encodeCbor([])],
  ])("that break the protocol (%s) end the session after the node was told", (tag, bytes) => {
    const lab = new Lab().connect();
    lab.b.diary.events.onViolation = ({ tag }) => {
      lab.b.diary.entries.push(`violation: ${tag}`);
      lab.b.say("you are wrong");
    };
    sealed(lab.a, bytes);
    lab.wire.pump();
    expect(lab.b.diary.entries[1]).toBe(`violation: ${tag}`);
    expect(lab.b.diary.downs).toHaveLength(1);
    expect(lab.a.diary.texts).toEqual(["you are wrong"]);
    expect(lab.a.diary.downs).toEqual(["down: the peer could not understand a message"]);
    lab.advance(timing.maxBackoffMs - 100);
    expect(lab.a.diary.ups).toBe(1);
    lab.advance(timing.maxBackoffMs);
    expect(lab.works).toBe(true);
  });
});

it("a caller that was sent nonsense waits long before it calls again", () => {
  const lab = new Lab().connect();
  sealed(lab.b, encodeCbor([own(40_000)]));
  lab.wire.pump();
  expect(lab.a.diary.entries[1]).toBe("violation: unknown-even-message");
  lab.advance(timing.maxBackoffMs - 100);
  expect(lab.a.diary.ups).toBe(1);
  lab.advance(timing.maxBackoffMs);
  expect(lab.works).toBe(true);
});

/** How a number of picobolt's own stands in a packet. */
function own(number: number): number {
  return 32767 - number;
}

/** Sends bytes as an authentic packet, whatever they hold. */
function sealed(node: TestNode, bytes: Uint8Array): void {
  const session = node.session as unknown as {
    current: { seal(bytes: Uint8Array): readonly Uint8Array[] };
    sendFrame(parts: readonly Uint8Array[]): void;
  };
  session.sendFrame(session.current.seal(bytes));
}
