/** What is sent in one go leaves in one packet, in order, within the peer's bound (docs/PROTOCOL.md "Packets"). */
import { describe, expect, it } from "vitest";
import { encodeCbor } from "../../core/messages/cbor.ts";
import { concatAll } from "../../core/primitives/bytes.ts";
import { Lab, note, type TestNode, Wire } from "../support/wire-lab.ts";

const framesOf = (lab: Lab, work: () => void): number => {
  const before = lab.wire.log.length;
  work();
  lab.wire.pump();
  return lab.wire.log.length - before;
};

describe("messages that are sent together", () => {
  it.each(["stream", "datagram"] as const)("are one frame on a %s, in their order", (kind) => {
    const lab = new Lab(new Wire(kind)).connect();
    const texts = Array.from({ length: 20 }, (_, i) => `note ${i}`);
    const frames = framesOf(lab, () =>
      lab.a.session.together(() => {
        for (const text of texts) expect(lab.a.say(text)).toBe(true);
      }),
    );
    expect(frames).toBe(1);
    expect(lab.b.diary.texts).toEqual(texts);
  });

  it("leave when the outermost burst ends, and at once where there is none", () => {
    const lab = new Lab().connect();
    const frames = framesOf(lab, () => {
      lab.a.session.together(() => {
        lab.a.session.together(() => lab.a.say("one"));
        lab.a.say("two");
      });
      lab.a.say("three");
      lab.a.say("four");
    });
    expect(frames).toBe(3);
    expect(lab.b.diary.texts).toEqual(["one", "two", "three", "four"]);
  });

  it("are answered together too", () => {
    const lab = new Lab().connect();
    lab.b.diary.onMessageHook = () => lab.b.say("heard");
    const frames = framesOf(lab, () =>
      lab.a.session.together(() => {
        lab.a.say("one");
        lab.a.say("two");
      }),
    );
    expect(frames).toBe(2);
    expect(lab.a.diary.texts).toEqual(["heard", "heard"]);
  });

  it("fill several packets where one is too small, whole and in order", () => {
    const lab = new Lab().connect();
    const texts = Array.from({ length: 30 }, (_, i) => `${i}`.padEnd(400, "x"));
    const frames = framesOf(lab, () =>
      lab.a.session.together(() => {
        for (const text of texts) lab.a.say(text);
      }),
    );
    expect(frames).toBe(4);
    expect(lab.b.diary.texts).toEqual(texts);
    const many = Array.from({ length: 200 }, () => "");
    const more = framesOf(lab, () =>
      lab.a.session.together(() => {
        for (const text of many) lab.a.say(text);
      }),
    );
    expect(more).toBe(4);
    expect(lab.b.diary.messages).toHaveLength(230);
  });

  it("leave before a goodbye, and are lost with a session that another one replaced", () => {
    const lab = new Lab().connect();
    lab.a.session.together(() => {
      lab.a.say("last words");
      lab.a.session.close("done");
    });
    lab.wire.pump();
    expect(lab.b.diary.texts).toEqual(["last words"]);
    expect(lab.b.diary.downs).toEqual(["down: the peer closed the session"]);
  });

  it("leave those that fit where one is too large, and the session ends", () => {
    const lab = new Lab().connect();
    lab.a.session.together(() => {
      lab.a.say("fits");
      expect(lab.a.session.send({ type: "pong", ignored: new Uint8Array(5000) })).toBe(false);
      expect(lab.a.say("too late")).toBe(false);
    });
    lab.wire.pump();
    expect(lab.b.diary.texts).toEqual(["fits"]);
    expect(lab.a.diary.downs).toHaveLength(1);
  });

  it("leave also where the work fails: what was sent before it was durable", () => {
    const lab = new Lab().connect();
    const failing = () =>
      lab.a.session.together(() => {
        lab.a.say("before");
        throw new Error("no more");
      });
    expect(failing).toThrow("no more");
    lab.wire.pump();
    expect(lab.b.diary.texts).toEqual(["before"]);
  });
});

describe("a packet", () => {
  it("is worked on up to the message that ends the session, and no further", () => {
    const lab = new Lab().connect();
    const items = [
      [0x81, new Uint8Array(32), "good"],
      [0x81, 5, "bad"],
      [0x81, null, "unread"],
    ];
    sealed(lab.a, concatAll(items.map((item) => encodeCbor(item))));
    lab.wire.pump();
    expect(lab.b.diary.texts).toEqual(["good"]);
    expect(lab.b.diary.entries.slice(1, 2)).toEqual(["violation: packet.channel"]);
    expect(lab.b.diary.downs).toHaveLength(1);
  });

  it("of more than 64 messages, or of none, is a violation", () => {
    for (const bytes of [concatAll(Array(65).fill(encodeCbor([-1002]))), new Uint8Array(0)]) {
      const lab = new Lab().connect();
      sealed(lab.a, bytes);
      lab.wire.pump();
      expect(lab.b.diary.entries[1]).toBe("violation: message-form");
    }
  });

  it("above the limit is a violation or no frame at all, never more", () => {
    for (const length of [4096, 4097, 4100, 4101, 5000]) {
      const lab = new Lab().connect();
      sealed(lab.a, encodeCbor([-1002, new Uint8Array(length - 7)]));
      lab.wire.pump();
      const violated = lab.b.diary.entries.includes("violation: cbor-too-large");
      expect([length, violated]).toEqual([length, length > 4096 && length <= 4100]);
      expect([length, lab.b.say("alive"), lab.b.diary.messages]).toEqual([length, !violated, []]);
    }
  });

  it("knows its channels anew in each session", () => {
    const lab = new Lab().connect();
    lab.a.session.send(note("one"));
    lab.wire.pump();
    lab.restartB();
    lab.a.session.send(note("lost"));
    lab.advance(900);
    expect(lab.works).toBe(true);
  });
});

/** Sends bytes as an authentic packet, whatever they hold. */
function sealed(node: TestNode, bytes: Uint8Array): void {
  const session = node.session as unknown as {
    current: { seal(bytes: Uint8Array): readonly Uint8Array[] };
    sendFrame(parts: readonly Uint8Array[]): void;
  };
  session.sendFrame(session.current.seal(bytes));
}
