/** How sessions end and begin again: closed links, silence, losses (docs/PROTOCOL.md "Sessions"). */
import { describe, expect, it } from "vitest";
import { Kind } from "../../core/transport/packets.ts";
import { crypto, Lab, timing, Wire } from "../support/wire-lab.ts";

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
    expect(lab.wire.sentBy("a")).toHaveLength(sent + 2); // a ping, and another
    lab.advance(200);
    expect([lab.a.diary.downs, lab.b.diary.downs]).toEqual([
      ["down: nothing heard for 3000 ms"],
      ["down: nothing heard for 3000 ms"],
    ]);
    lab.wire.passage = (bytes) => [bytes];
    lab.advance(5_000);
    expect([lab.a.diary.ups, lab.b.diary.ups, lab.works]).toEqual([2, 2, true]);
  });

  it("worries late about silence where a broker tells who is gone, and as soon as ever where an answer is due", () => {
    const wire = new Wire("datagram", 60_000);
    const lab = new Lab(wire).connect();
    lab.advance(20_000); // the last words of the beginning are answered
    const before = wire.log.length;
    lab.advance(600_000);
    expect(wire.log.length - before).toBeGreaterThan(10);
    expect(wire.log.length - before).toBeLessThan(45);
    expect(lab.works).toBe(true);
    lab.a.say("the last word");
    wire.passage = () => [];
    lab.b.say("lost");
    wire.pump();
    lab.advance(timing.deadAfterMs + 100);
    expect([lab.a.diary.downs.length, lab.b.diary.downs.length]).toEqual([1, 1]);
    wire.passage = (bytes) => [bytes];
    lab.advance(5_000);
    expect(lab.works).toBe(true);
  });

  it("calls soon, and not often, when it is told that the peer is there again", () => {
    const wire = new Wire("datagram", 60_000);
    const lab = new Lab(wire).connect();
    lab.b.session.close("restarts");
    wire.pump();
    wire.passage = () => [];
    lab.advance(20_000);
    lab.restartB();
    wire.passage = (bytes) => [bytes];
    const calls = () => wire.sentBy("a").filter(([kind]) => kind === Kind.actOne).length;
    wire.inject(Uint8Array.of(Kind.noSession), "b");
    lab.advance(timing.minBackoffMs + 100);
    expect(lab.works).toBe(true);
    wire.passage = () => [];
    lab.b.session.close("restarts");
    lab.advance(timing.deadAfterMs + timing.maxBackoffMs);
    const called = calls();
    for (let i = 0; i < 20; i++) {
      wire.inject(Uint8Array.of(Kind.noSession), "b");
      wire.passage = (bytes, from) => (from === "b" ? [bytes] : []);
      lab.advance(50);
    }
    expect(calls() - called).toBeLessThan(4);
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
    expect(lab.b.diary.downs).toEqual(["down: 1 packets were lost"]);
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
    expect(lab.b.diary.downs).toEqual(["down: 1 packets were lost"]);
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
  });
});
