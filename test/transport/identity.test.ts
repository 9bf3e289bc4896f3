/** Anybody on a link may ask who is there; nobody can do more by it (docs/PROTOCOL.md "Identity"). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeCbor } from "../../core/messages/cbor.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import {
  decodeCard,
  encodeCard,
  type IdentityCard,
  IdentityQuestion,
  PROTOCOL_VERSION,
} from "../../core/transport/identity.ts";
import { Session } from "../../core/transport/session.ts";
import { crypto, Diary, entropyOf, identityOf, Lab, timing, Wire } from "../support/wire-lab.ts";

const card: IdentityCard = {
  protocolVersion: PROTOCOL_VERSION,
  nodeId: identityOf(22).nodeId,
  name: "Kaffee im Flur ☕",
  model: "esp32c3",
  firmwareVersion: "0.3.1",
  claimed: true,
};

/** A node with a card at the wire's end b; whoever asks is at a. */
function labOf(kind: "stream" | "datagram", calls?: Parameters<typeof identityOf>[0]) {
  const wire = new Wire(kind);
  const diary = new Diary();
  const shared = {
    crypto,
    identity: identityOf(22),
    entropy: entropyOf(22),
    maxMessageBytes: 4096,
    timing,
    events: diary.events,
    card: () => card,
  };
  const remoteNodeId = calls === undefined ? undefined : identityOf(calls).nodeId;
  const session = new Session(shared, { link: wire.b, nowMs: 0, remoteNodeId });
  return { wire, session, diary };
}

describe.each(["stream", "datagram"] as const)("on a %s", (kind) => {
  it("a node without a session shows its card", () => {
    const { wire } = labOf(kind);
    const seen: IdentityCard[] = [];
    const question = new IdentityQuestion(wire.a, (one) => seen.push(one));
    question.tick(0);
    wire.pump();
    expect(seen).toEqual([card]);
    expect(question.isAnswered).toBe(true);
  });

  it("so does one in a session, which goes on", () => {
    const { wire, session, diary } = labOf(kind);
    const lab = new Lab(wire);
    lab.b = { diary, session, nodeId: card.nodeId, say: lab.b.say } as never;
    wire.b.onBytes = (bytes) =>
      (session as unknown as { receive(b: Uint8Array): void }).receive(bytes);
    lab.connect();
    expect(diary.ups).toBe(1);
    const own = wire.a.onBytes;
    const seen: IdentityCard[] = [];
    const question = new IdentityQuestion(wire.a, (one) => seen.push(one));
    question.tick(0);
    wire.pump();
    expect(seen).toEqual([card]);
    wire.a.onBytes = own;
    lab.a.say("still here");
    wire.pump();
    expect([diary.texts, diary.downs]).toEqual([["still here"], []]);
  });

  it("a question that was lost is asked again, not faster than it may be", () => {
    const { wire } = labOf(kind);
    const seen: IdentityCard[] = [];
    const question = new IdentityQuestion(wire.a, (one) => seen.push(one));
    wire.passage = () => [];
    for (let now = 0; now < 1000; now += 10) question.tick(now);
    wire.pump();
    expect(wire.sentBy("a")).toHaveLength(2);
    wire.passage = (bytes) => [bytes];
    question.tick(1000);
    wire.pump();
    question.tick(5000);
    expect([seen, wire.sentBy("a").length]).toEqual([[card], 3]);
  });

  it("many questions are answered at a bounded pace", () => {
    const { wire, session } = labOf(kind);
    const ask = () => {
      new IdentityQuestion(wire.a, () => undefined).tick(0);
      wire.pump();
    };
    for (let i = 0; i < 50; i++) ask();
    expect(wire.sentBy("b")).toHaveLength(1);
    session.tick(timing.minBackoffMs);
    for (let i = 0; i < 50; i++) ask();
    expect(wire.sentBy("b")).toHaveLength(2);
  });
});

it("a node that has no card does not answer", () => {
  const lab = new Lab();
  new IdentityQuestion(lab.wire.a, () => undefined).tick(0);
  lab.wire.pump();
  expect(lab.wire.sentBy("b")).toEqual([]);
});

it("a line full of text shows no card", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (noise) => {
      const wire = new Wire("stream");
      const seen: IdentityCard[] = [];
      new IdentityQuestion(wire.a, (one) => seen.push(one));
      for (const bytes of noise) wire.a.onBytes(bytes);
      expect(seen).toEqual([]);
    }),
  );
});

describe("a card", () => {
  const items = [2, card.nodeId, "n", "m", "1", false];
  const tagOf = (bytes: Uint8Array) => {
    try {
      decodeCard(bytes);
      return undefined;
    } catch (error) {
      if (error instanceof ProtocolViolation) return error.tag;
      throw error;
    }
  };

  it("of a later version is read as far as it is known", () => {
    expect(decodeCard(encodeCbor([...items, "later", [1]]))).toMatchObject({ name: "n" });
  });

  it.each([
    ["card", items.slice(0, 5)],
    ["card", 7],
    ["card.nodeId", [2, new Uint8Array(33), "n", "m", "1", false]],
    ["card.name", [2, card.nodeId, "n".repeat(65), "m", "1", false]],
    ["card.model", [2, card.nodeId, "n", "m".repeat(25), "1", false]],
    ["card.claimed", [2, card.nodeId, "n", "m", "1", 1]],
    ["cbor-too-large", [...items, new Uint8Array(600)]],
  ])("that is none is refused: %s", (tag, value) => {
    expect(tagOf(encodeCbor(value))).toBe(tag);
  });

  it("whose name is too long is refused where it is made", () => {
    expect(() => encodeCard({ ...card, name: "x".repeat(65) })).toThrow(/card.name/);
  });
});
