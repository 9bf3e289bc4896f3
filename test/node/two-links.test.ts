/** One peer over two links: a push that was under way settles on the other when one is lost (DESIGN §5, issue "Links"). */
import { describe, expect, it } from "vitest";
import { Cable } from "../support/cable.ts";
import { breath, Pair, payment } from "../support/node-pair.ts";

const AMOUNT_MSAT = 70_000;
/** Far below the 5 s in which a session is pinged, and the 15 s in which it is dead. */
const SOON_MS = 2_000;
const STEP_MS = 100;

/** Alice reaches bob over two cables of her own. */
class TwoLinks {
  readonly cables = [new Cable(), new Cable()] as const;
  private nowMs = 100_000;

  private constructor(readonly pair: Pair) {}

  static async make(whoCalls: "alice" | "each"): Promise<TwoLinks> {
    const pair = await Pair.make();
    const id = await pair.open();
    pair.disconnect();
    const links = new TwoLinks(pair);
    const { a, b } = pair;
    const [first, second] = links.cables;
    links.name("serial", first);
    links.name("ble", second);
    a.node.attach(first.ends[0], b.nodeId);
    b.node.attach(first.ends[1]);
    links.wait(20_000);
    if (whoCalls === "alice") {
      a.node.attach(second.ends[0], b.nodeId);
      b.node.attach(second.ends[1]);
    } else {
      b.node.attach(second.ends[1], a.nodeId);
      a.node.attach(second.ends[0]);
    }
    links.wait(1_000);
    expect(pair.a.node.record(id)).toBeDefined();
    return links;
  }

  private name(name: string, cable: Cable): void {
    for (const end of cable.ends) Object.assign(end, { name });
  }

  pump(most?: number): number {
    return this.cables.reduce((sum, cable) => sum + cable.pump(most), 0);
  }

  wait(ms: number): void {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      this.nowMs += STEP_MS;
      this.pair.a.node.tick(this.nowMs);
      this.pair.b.node.tick(this.nowMs);
      while (this.pump() > 0);
    }
  }

  get linkOfBob() {
    return this.pair.a.node.linkOf(this.pair.b.nodeId);
  }

  get linkOfAlice() {
    return this.pair.b.node.linkOf(this.pair.a.nodeId);
  }

  /** Unplugged: both ends notice, what is under way is lost. */
  unplug(cable: Cable): void {
    cable.lose();
    cable.cut = true;
    for (const end of cable.ends) end.onClosed("unplugged");
  }

  async push(): Promise<void> {
    const { a } = this.pair;
    const [id] = a.node.channels().map((channel) => channel.id);
    a.node.command(id as never, { type: "push", payments: payment(AMOUNT_MSAT) });
    await breath();
  }
}

describe("a peer on two links", () => {
  it("is on the newer one, which the node can name", async () => {
    const links = await TwoLinks.make("alice");
    expect(links.linkOfBob).toEqual({ name: "ble", kind: "stream" });
    expect(links.linkOfAlice).toEqual({ name: "ble", kind: "stream" });
    links.unplug(links.cables[1]);
    expect(links.linkOfBob).toBeUndefined();
    links.wait(SOON_MS);
    expect(links.linkOfBob).toEqual({ name: "serial", kind: "stream" });
    links.pair.expectPeace();
  });

  it.each([
    ["alice", 0],
    ["alice", 1],
    ["alice", 2],
    ["alice", 3],
    ["each", 0],
    ["each", 1],
    ["each", 2],
    ["each", 3],
  ] as const)(
    "(%s calls) settles a push on the other when one is lost after %i packets of it",
    async (whoCalls, packets) => {
      const links = await TwoLinks.make(whoCalls);
      const { a, b } = links.pair;
      await links.push();
      for (let i = 0; i < packets; i++) {
        links.cables[1].pump(1);
        await breath();
      }
      expect(a.events("receipt")).toEqual([]);
      links.unplug(links.cables[1]);
      links.wait(SOON_MS);
      await breath();
      links.wait(STEP_MS);
      const wasSigned = a.events("pushCommitted").length;
      const received = b.events("pushReceived").length;
      expect([received, a.events("pushSettled").length, a.events("receipt").length]).toEqual([
        wasSigned,
        wasSigned,
        wasSigned,
      ]);
      expect(wasSigned).toBe(1);
      expect(links.linkOfBob?.name).toBe("serial");
      links.pair.expectPeace();
    },
  );
});
