/** Two nodes stay in touch over links that cut, change, repeat and delay (docs/PROTOCOL.md "Sessions"). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeCbor } from "../../core/messages/cbor.ts";
import type { Message } from "../../core/messages/message.ts";
import type { Link } from "../../core/ports/link.ts";
import { concat, toHex } from "../../core/primitives/bytes.ts";
import { crypto, identityOf, Lab, note, TestNode, timing, Wire } from "../support/wire-lab.ts";

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

  it("cost 44 bytes of wrapping on a stream and 37 in a datagram, plus one per full 254", () => {
    for (const [kind, overhead] of [
      ["stream", 44],
      ["datagram", 37],
    ] as const) {
      const lab = new Lab(new Wire(kind)).connect();
      for (const length of [0, 100, 400]) {
        const message = note("x".repeat(length));
        const before = lab.wire.log.length;
        lab.a.session.send(message);
        lab.wire.pump();
        const plain = encodeCbor([1, new Uint8Array(32), "x".repeat(length)]).length;
        const blocks = kind === "stream" ? Math.floor((plain + 37 + 4) / 254) : 0;
        const wrapped = (lab.wire.log[before]?.bytes.length ?? 0) - plain;
        // COBS spares the extra byte where a zero falls into the block.
        expect(wrapped).toBeGreaterThanOrEqual(overhead);
        expect(wrapped).toBeLessThanOrEqual(overhead + blocks);
      }
    }
  });

  it("that are larger than the peer takes are our bug, and never sent", () => {
    const lab = new Lab().connect();
    const large: Message = { type: "pong", ignored: new Uint8Array(5000) };
    expect(() => lab.a.session.send(large)).toThrow(/pong: 5005 bytes, the peer takes 4096/);
    lab.a.session.setPeerMaxMessage(65_535);
    expect(lab.a.session.send(large)).toBe(true);
    lab.restartB();
    lab.advance(3_000);
    expect([lab.a.diary.ups, lab.a.session.peerMaxMessage]).toEqual([2, 4096]);
  });

  it("are lost, and said to be, while no session is established", () => {
    const lab = new Lab();
    expect(lab.a.say("too early")).toBe(false);
    lab.connect();
    expect(lab.b.diary.messages).toEqual([]);
  });

  it("of unknown odd numbers, pings and pongs stay inside; a ping is answered", () => {
    const lab = new Lab().connect();
    sealed(lab.a, encodeCbor([40_001, 5]));
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
    ["unknown-even-message", encodeCbor([40_000])],
    ["warning.data", encodeCbor([1, new Uint8Array(32), 5])],
    ["cbor-trailing-bytes", concat(encodeCbor([40_001]), Uint8Array.of(0))],
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
  sealed(lab.b, encodeCbor([40_000]));
  lab.wire.pump();
  expect(lab.a.diary.entries[1]).toBe("violation: unknown-even-message");
  lab.advance(timing.maxBackoffMs - 100);
  expect(lab.a.diary.ups).toBe(1);
  lab.advance(timing.maxBackoffMs);
  expect(lab.works).toBe(true);
});

/** Sends bytes as an authentic packet, whatever they hold. */
function sealed(node: TestNode, bytes: Uint8Array): void {
  const session = node.session as unknown as {
    current: { seal(bytes: Uint8Array): readonly Uint8Array[] };
    sendFrame(parts: readonly Uint8Array[]): void;
  };
  session.sendFrame(session.current.seal(bytes));
}

describe("a session's end", () => {
  it("by close is told to the peer, and final", () => {
    const lab = new Lab().connect();
    lab.a.session.close("switched off");
    lab.wire.pump();
    expect(lab.a.diary.downs).toEqual(["down: switched off"]);
    expect(lab.b.diary.downs).toEqual(["down: the peer closed the session"]);
    lab.advance(20_000);
    expect([lab.a.diary.ups, lab.a.session.isFinished, lab.a.say("x")]).toEqual([1, true, false]);
  });

  it("by the peer's close is followed by another call", () => {
    const lab = new Lab().connect();
    lab.b.session.close();
    lab.wire.pump();
    lab.restartB();
    lab.advance(1_000);
    expect(lab.works).toBe(true);
  });

  it("comes with the link's end", () => {
    const lab = new Lab().connect();
    lab.wire.a.onClosed("unplugged");
    expect(lab.a.diary.downs).toEqual(["down: the link closed: unplugged"]);
    expect(lab.a.session.isFinished).toBe(true);
  });

  it("by the node, for a peer that broke the rules, is told to it and followed by a call much later", () => {
    const lab = new Lab().connect();
    lab.b.session.drop("init.features: no");
    lab.wire.pump();
    expect(lab.b.diary.downs).toEqual(["down: init.features: no"]);
    expect(lab.a.diary.downs).toEqual(["down: the peer could not understand a message"]);
    lab.advance(timing.maxBackoffMs - 100);
    expect(lab.a.diary.ups).toBe(1);
    lab.advance(timing.maxBackoffMs);
    expect(lab.works).toBe(true);
  });

  it("may be decided while the next one begins", () => {
    const lab = new Lab().connect();
    lab.b.diary.events.onClosed = () => lab.b.session.close();
    lab.restartA();
    lab.advance(100);
    expect([lab.b.diary.ups, lab.b.session.isFinished, lab.b.say("x")]).toEqual([1, true, false]);
  });

  it("may be decided inside any event", () => {
    const lab = new Lab();
    lab.a.diary.onEstablishedHook = () => lab.a.session.close("not you");
    lab.connect();
    expect([lab.a.diary.downs, lab.a.session.isFinished]).toEqual([["down: not you"], true]);
    const other = new Lab().connect();
    other.b.diary.onMessageHook = () => other.b.session.close("enough");
    other.a.say("one");
    other.a.say("two");
    other.wire.pump();
    expect(other.b.diary.texts).toEqual(["one"]);
  });
});

describe("liveness", () => {
  it("keeps an idle session for hours, with a ping a second at most", () => {
    const lab = new Lab().connect();
    const before = lab.wire.log.length;
    lab.advance(120_000);
    expect([lab.a.diary.downs, lab.b.diary.downs]).toEqual([[], []]);
    const frames = lab.wire.log.length - before;
    expect(frames).toBeGreaterThan(100);
    expect(frames).toBeLessThan(4 * 125);
    expect(lab.works).toBe(true);
  });

  it("notices a silent link on both sides in time, and comes back when it speaks again", () => {
    const lab = new Lab().connect();
    lab.wire.passage = () => [];
    const sent = lab.wire.sentBy("a").length;
    lab.advance(timing.deadAfterMs - 100);
    expect([lab.a.diary.downs, lab.b.diary.downs]).toEqual([[], []]);
    expect(lab.wire.sentBy("a")).toHaveLength(sent + 1); // one ping
    lab.advance(200);
    expect([lab.a.diary.downs, lab.b.diary.downs]).toEqual([
      ["down: nothing heard for 3000 ms"],
      ["down: nothing heard for 3000 ms"],
    ]);
    lab.wire.passage = (bytes) => [bytes];
    lab.advance(5_000);
    expect([lab.a.diary.ups, lab.b.diary.ups, lab.works]).toEqual([2, 2, true]);
  });

  it("notices a link that carries one way only", () => {
    const lab = new Lab().connect();
    lab.wire.passage = (bytes, from) => (from === "a" ? [bytes] : []);
    lab.advance(timing.deadAfterMs + 100);
    expect(lab.a.diary.downs).toHaveLength(1);
    expect(lab.b.diary.downs).toEqual(["down: the peer noticed lost messages"]);
  });

  it("goes on after a cable was cut in the middle of a frame and put back", () => {
    const lab = new Lab().connect();
    let whole = true;
    lab.wire.passage = (bytes) => {
      if (!whole) return [];
      whole = false;
      return [bytes.subarray(0, bytes.length >> 1)];
    };
    lab.a.say("cut off");
    lab.advance(500);
    lab.wire.passage = (bytes) => [bytes];
    lab.a.say("after the cut");
    lab.advance(1_000);
    expect(lab.b.diary.downs).toEqual(["down: 1 messages were lost"]);
    expect(lab.a.diary.downs).toEqual(["down: the peer noticed lost messages"]);
    expect(lab.b.diary.texts).toEqual([]);
    expect([lab.a.diary.ups, lab.works]).toEqual([2, true]);
  });

  it("survives a cut that loses no message", () => {
    const lab = new Lab().connect();
    lab.wire.passage = () => [];
    lab.nowMs += 900;
    lab.wire.passage = (bytes) => [bytes];
    lab.advance(5_000);
    expect([lab.a.diary.ups, lab.works]).toEqual([1, true]);
  });

  it("counts from when it began, not from zero", () => {
    const wire = new Wire();
    const lab = new Lab(wire);
    lab.nowMs = 1_750_000_000_000;
    lab.restartB();
    lab.restartA();
    lab.advance(5_000);
    expect([lab.a.diary.entries.length, lab.b.diary.entries.length, lab.works]).toEqual([
      1,
      1,
      true,
    ]);
  });
});

describe("half-open sessions", () => {
  it("where act three was lost are noticed at the first message", () => {
    const lab = new Lab();
    let lost = false;
    lab.wire.passage = (bytes) => {
      if (bytes.length < 67 || lost) return [bytes];
      lost = true;
      return [];
    };
    lab.connect();
    expect([lost, lab.a.diary.ups, lab.b.diary.ups]).toEqual([true, 1, 0]);
    lab.a.say("into the void");
    lab.advance(1_000);
    expect(lab.a.diary.downs).toEqual(["down: the peer has forgotten the session"]);
    expect([lab.b.diary.ups, lab.works]).toEqual([1, true]);
  });

  it("where act three was lost are noticed without a message too", () => {
    const lab = new Lab();
    lab.wire.passage = (bytes, from) => (from === "a" && lab.a.diary.ups > 0 ? [] : [bytes]);
    lab.connect();
    expect(lab.a.diary.ups).toBe(1);
    lab.advance(timing.handshakeTimeoutMs);
    expect(lab.a.diary.downs).toEqual(["down: the peer did not finish the handshake"]);
  });

  it("of a caller that restarted are replaced by its new call", () => {
    const lab = new Lab().connect();
    lab.restartA();
    lab.advance(100);
    expect(lab.b.diary.downs).toEqual(["down: the peer began a new session"]);
    expect(lab.works).toBe(true);
  });

  it("of a called node that restarted are noticed long before the silence is", () => {
    const lab = new Lab().connect();
    lab.restartB();
    lab.a.say("do you know me?");
    lab.advance(900);
    expect(lab.a.diary.downs).toEqual(["down: the peer has forgotten the session"]);
    expect(lab.works).toBe(true);
  });
});

describe("datagrams", () => {
  const twoNotes = (lab: Lab) => {
    lab.a.say("one");
    lab.a.say("two");
    lab.wire.pump();
  };

  it("that come twice count once", () => {
    const lab = new Lab(new Wire("datagram")).connect();
    lab.wire.passage = (bytes) => [bytes, bytes, bytes];
    twoNotes(lab);
    expect(lab.b.diary.texts).toEqual(["one", "two"]);
    expect(lab.works).toBe(true);
  });

  it("that come again much later are dropped before decryption", () => {
    const lab = new Lab(new Wire("datagram")).connect();
    const early = lab.wire.log.length;
    twoNotes(lab);
    for (let i = 0; i < 600; i++) lab.exchange();
    const [stale] = lab.wire.log.slice(early);
    const decrypt = crypto.decrypt;
    let decryptions = 0;
    crypto.decrypt = (...args) => {
      decryptions++;
      return decrypt(...args);
    };
    lab.wire.inject((stale as { bytes: Uint8Array }).bytes, "a");
    crypto.decrypt = decrypt;
    expect(decryptions).toBe(0);
    expect(lab.works).toBe(true);
  });

  it("that are missing end the session; the next one follows at once", () => {
    const lab = new Lab(new Wire("datagram")).connect();
    let count = 0;
    lab.wire.passage = (bytes) => (count++ === 0 ? [] : [bytes]);
    twoNotes(lab);
    expect(lab.b.diary.texts).toEqual([]);
    expect(lab.b.diary.downs).toEqual(["down: 1 messages were lost"]);
    lab.advance(300);
    expect(lab.works).toBe(true);
  });

  it("that change places end the session, and none is delivered out of order", () => {
    const lab = new Lab(new Wire("datagram")).connect();
    let held: Uint8Array | undefined;
    lab.wire.passage = (bytes) => {
      if (held === undefined) {
        held = bytes;
        return [];
      }
      return [bytes, held];
    };
    twoNotes(lab);
    expect(lab.b.diary.texts).toEqual([]);
    expect(lab.b.diary.downs).toHaveLength(1);
  });

  it("are larger than the limit are thrown away", () => {
    const lab = new Lab(new Wire("datagram")).connect();
    lab.wire.inject(new Uint8Array(5_000).fill(4), "a");
    expect(lab.works).toBe(true);
  });

  it("number on beyond 65535", () => {
    const lab = new Lab(new Wire("datagram")).connect();
    lab.wire.a.send = (bytes) => lab.wire.b.onBytes(bytes);
    for (let i = 0; i < 65_540; i++) lab.a.say("");
    expect(lab.b.diary.messages).toHaveLength(65_540);
    expect(lab.b.diary.downs).toEqual([]);
  }, 60_000);
});

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
      { numRuns: 40 },
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
      forged.set([4, number >> 8, number]);
      lab.wire.inject(forged, "a");
      lab.wire.inject(forged, "b");
    }
    expect([lab.a.diary.downs, lab.b.diary.downs, lab.works]).toEqual([[], [], true]);
  });

  it("cannot end a session with a recorded frame under another number", () => {
    const lab = new Lab(new Wire("datagram")).connect();
    lab.exchange();
    const recorded = lab.wire.sentBy("a").filter((bytes) => bytes[0] === 4);
    for (const bytes of recorded) {
      for (let number = 0; number < 20; number++) {
        const forged = bytes.slice();
        forged[2] = number;
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
