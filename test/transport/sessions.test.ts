/** One session per peer, over however many links (docs/PROTOCOL.md "Sessions"). */
import { describe, expect, it } from "vitest";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { note, sessionsOf, timing, Wire } from "../support/wire-lab.ts";

function lab(wires: number) {
  const a = sessionsOf(11);
  const b = sessionsOf(22);
  const all = Array.from({ length: wires }, (_, i) => {
    const wire = new Wire();
    Object.assign(wire.a, { name: `wire${i}` });
    Object.assign(wire.b, { name: `wire${i}` });
    return wire;
  });
  let now = 0;
  const advance = (ms: number) => {
    for (let passed = 0; passed < ms; passed += 50) {
      now += 50;
      a.sessions.tick(now);
      b.sessions.tick(now);
      for (const wire of all) wire.pump();
    }
  };
  const works = () => {
    const text = `at ${now}`;
    const sent = [a.sessions.send(b.nodeId, note(text)), b.sessions.send(a.nodeId, note(text))];
    for (const wire of all) wire.pump();
    const name = (id: PublicKey) => toHex(id).slice(0, 8);
    const arrived = [
      a.diary.at(-1) === `${name(b.nodeId)}: ${text}`,
      b.diary.at(-1) === `${name(a.nodeId)}: ${text}`,
    ];
    return [...sent, ...arrived].every(Boolean);
  };
  const linkOf = (of: typeof a, id: PublicKey) => of.sessions.to(id)?.link.name;
  const same = () => linkOf(a, b.nodeId) === linkOf(b, a.nodeId);
  return { a, b, wires: all as [Wire, Wire], advance, works, same, linkOf };
}
const ups = (diary: readonly string[]) => diary.filter((entry) => entry.startsWith("up"));
const downs = (diary: readonly string[]) => diary.filter((entry) => entry.startsWith("down"));

describe("a peer that comes over a second link", () => {
  it("is heard there from then on; the first session ends on both sides", () => {
    const { a, b, wires, advance, works, same, linkOf } = lab(2);
    b.sessions.add(wires[0].b);
    b.sessions.add(wires[1].b);
    a.sessions.add(wires[0].a, b.nodeId);
    advance(10_000);
    a.sessions.add(wires[1].a, b.nodeId);
    advance(100);
    expect(linkOf(a, b.nodeId)).toBe("wire1");
    expect([same(), works()]).toEqual([true, true]);
    // The first link does not call again and again while the second one works.
    advance(60_000);
    expect([ups(a.diary).length, ups(b.diary).length]).toEqual([2, 2]);
    expect(downs(a.diary)).toHaveLength(1);
    expect(works()).toBe(true);
  });

  it("comes back over the first when the second falls silent", () => {
    const { a, b, wires, advance, works, linkOf } = lab(2);
    b.sessions.add(wires[0].b);
    b.sessions.add(wires[1].b);
    a.sessions.add(wires[0].a, b.nodeId);
    advance(10_000);
    a.sessions.add(wires[1].a, b.nodeId);
    advance(100);
    wires[1].passage = () => [];
    advance(timing.deadAfterMs + 1_000);
    expect(linkOf(a, b.nodeId)).toBe("wire0");
    expect(works()).toBe(true);
  });
});

describe("a caller that is called back over a second link", () => {
  it("stays on that one, and its own link does not call again meanwhile", () => {
    const { a, b, wires, advance, works, same, linkOf } = lab(2);
    a.sessions.add(wires[0].a, b.nodeId);
    b.sessions.add(wires[0].b);
    advance(10_000);
    a.sessions.add(wires[1].a);
    b.sessions.add(wires[1].b, a.nodeId);
    advance(100);
    expect(linkOf(a, b.nodeId)).toBe("wire1");
    advance(60_000);
    expect([same(), works(), ups(a.diary).length, ups(b.diary).length]).toEqual([true, true, 2, 2]);
    wires[1].passage = () => [];
    advance(timing.deadAfterMs + 1_000);
    expect([linkOf(a, b.nodeId), works()]).toEqual(["wire0", true]);
  });
});

describe("two nodes that call each other at the same time over two links", () => {
  it("keep the same session where every act crosses one of the other link", () => {
    const { a, b, wires, advance, works, same } = lab(2);
    a.sessions.add(wires[0].a, b.nodeId);
    b.sessions.add(wires[0].b);
    b.sessions.add(wires[1].b, a.nodeId);
    a.sessions.add(wires[1].a);
    a.sessions.tick(50);
    b.sessions.tick(50);
    for (let round = 0; round < 6; round++) for (const wire of wires) wire.step();
    expect([same(), works()]).toEqual([true, true]);
    advance(10_000);
    expect([downs(a.diary).length, downs(b.diary).length]).toEqual([0, 1]);
  });

  it("keep the same session, and it stays", () => {
    const { a, b, wires, advance, works, same } = lab(2);
    a.sessions.add(wires[0].a, b.nodeId);
    b.sessions.add(wires[0].b);
    b.sessions.add(wires[1].b, a.nodeId);
    a.sessions.add(wires[1].a);
    advance(500);
    expect([same(), works()]).toEqual([true, true]);
    advance(60_000);
    expect([same(), works()]).toEqual([true, true]);
    expect(ups(a.diary).length).toBeLessThanOrEqual(2);
    expect(ups(b.diary).length).toBeLessThanOrEqual(2);
  });
});

describe("the registry", () => {
  it("says who is connected, and drops links that ended", () => {
    const { a, b, wires, advance } = lab(1);
    b.sessions.add(wires[0].b);
    const session = a.sessions.add(wires[0].a, b.nodeId);
    expect(a.sessions.to(b.nodeId)).toBeUndefined();
    expect(a.sessions.send(b.nodeId, note("early"))).toBe(false);
    advance(100);
    expect(a.sessions.to(b.nodeId)).toBe(session);
    wires[0].a.onClosed("unplugged");
    expect(a.sessions.to(b.nodeId)).toBeUndefined();
    expect(a.diary.at(-1)).toMatch(/^down .*: the link closed: unplugged$/);
    advance(100);
    for (let i = 0; i < 4; i++) a.sessions.add(new Wire().a);
    expect(() => a.sessions.add(new Wire().a)).toThrow(/more than 4 links/);
  });

  it("closes all and tells every peer", () => {
    const { a, b, wires, advance } = lab(1);
    b.sessions.add(wires[0].b);
    a.sessions.add(wires[0].a, b.nodeId);
    advance(100);
    a.sessions.close("shutting down");
    wires[0].pump();
    expect(a.diary.at(-1)).toMatch(/shutting down$/);
    expect(b.diary.at(-1)).toMatch(/the peer closed the session$/);
  });
});
