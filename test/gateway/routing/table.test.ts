/** The table takes what is signed, newer and funded, in whatever order it comes; nothing else. */
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { decodeStatement, encodeStatement } from "../../../core/messages/routing-statement.ts";
import type { PublicKey, Signature } from "../../../core/primitives/brands.ts";
import { satoshi } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { proveChannel } from "../../../gateway/routing/chain-check.ts";
import { Gossip } from "../../../gateway/routing/gossip.ts";
import { Intake } from "../../../gateway/routing/intake.ts";
import { RoutingTable } from "../../../gateway/routing/table.ts";
import { crypto } from "../../support/node-pair.ts";
import {
  announcement,
  channel,
  close,
  FakeChain,
  NOW,
  peerId,
  signerOf,
  TIP,
  update,
} from "./statements.ts";

/** One gateway's table with what fills it. */
class Reader {
  readonly table = new RoutingTable(crypto);
  readonly refused: string[] = [];
  readonly intake: Intake;
  readonly gossip: Gossip;
  readonly sent: { readonly to: PublicKey; readonly bytes: Uint8Array }[] = [];
  nowMs = 0;

  constructor(readonly chain: FakeChain) {
    const { table } = this;
    this.gossip = new Gossip({ table, send: (to, bytes) => this.sent.push({ to, bytes }) > 0 });
    this.intake = new Intake({
      crypto,
      table,
      prove: (body) => proveChannel(chain.proving, body),
      nowSeconds: () => NOW,
      onTaken: (told, from) => this.gossip.tell(told, from),
      onSignatures: () => {},
      onRefused: (_, reason) => this.refused.push(reason),
    });
  }

  async hear(bytes: Uint8Array, from = peerId("teller")): Promise<void> {
    this.intake.receive(from, bytes, this.nowMs);
    await this.intake.settled();
  }

  /** All that it knows, as one text. */
  get knowledge(): string {
    return [...this.table.statements()]
      .map(({ bytes }) => toHex(bytes))
      .sort()
      .join("\n");
  }
}

const ab = channel("a", "b", 1);
const bc = channel("b", "c", 2);
const ac = channel("a", "c", 3);
let chain: FakeChain;
let reader: Reader;
beforeEach(() => {
  chain = new FakeChain();
  for (const made of [ab, bc, ac]) chain.fund(made);
  reader = new Reader(chain);
});

describe("a table of channels between gateways", () => {
  const told = [
    announcement(ab),
    announcement(bc),
    announcement(ac),
    update(ab, 0),
    update(ab, 0, { sequence: NOW + 1, feeBaseMsat: 5 }),
    update(ab, 0, { sequence: NOW + 2, enabled: false }),
    update(ab, 1),
    update(bc, 1, { feeProportionalMillionths: 9 }),
    update(ac, 0),
    close(ac, 1),
  ];

  it("is the same whatever the order, the tellers and the repetitions of what was told", async () => {
    for (const bytes of told) await reader.hear(bytes);
    expect(reader.table.size).toBe(2);
    const order = fc.shuffledSubarray([...told, ...told], { minLength: 2 * told.length });
    const tellers = fc.array(fc.constantFrom("x", "y", "z"), { minLength: 20, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(order, tellers, fc.boolean(), async (all, from, isInterleaved) => {
        const other = new Reader(chain);
        for (const [i, bytes] of all.entries()) {
          const heard = other.hear(bytes, peerId(from[i] as string));
          if (!isInterleaved) await heard;
        }
        await other.intake.settled();
        expect(other.knowledge).toBe(reader.knowledge);
        expect(other.refused).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  it("knows each end's newest word; an older one that is told again changes nothing", async () => {
    const newest = update(ab, 0, { sequence: NOW + 1, feeBaseMsat: 5 });
    for (const bytes of [announcement(ab), update(ab, 0), newest]) await reader.hear(bytes);
    const before = reader.knowledge;
    await reader.hear(update(ab, 0));
    await reader.hear(update(ab, 0, { sequence: NOW + 1, feeBaseMsat: 6 }));
    expect(reader.knowledge).toBe(before);
    expect(reader.table.newestUpdateOf(toHex(ab.body.node0))?.feeBaseMsat).toBe(5);
  });

  it("lets a channel that an end closed not come back", async () => {
    await reader.hear(announcement(ab));
    await reader.hear(close(ab, 0));
    for (const bytes of [announcement(ab), update(ab, 1)]) await reader.hear(bytes, peerId("late"));
    expect(reader.table.size).toBe(0);
  });

  it("takes an announcement that is a block too early when it is time", async () => {
    chain.height = ab.body.blockHeight + 1;
    await reader.hear(announcement(ab));
    await reader.hear(update(ab, 0));
    expect([reader.table.size, chain.asked]).toEqual([0, 0]);
    chain.height++;
    reader.intake.newBlock();
    await reader.intake.settled();
    expect(reader.table.get(`${toHex(ab.body.txid)}:1`)?.updates[0]).toBeDefined();
  });
});

describe("what is refused", () => {
  const wrong = (made = ab, change: object = {}) => ({
    ...made,
    body: { ...made.body, ...change },
  });
  const isSilent = async (bytes: Uint8Array) => {
    await reader.hear(bytes);
    expect(reader.knowledge).toBe("");
  };

  it.each([0, 1, 2, 3])("an announcement whose signature %i is forged", async (at) => {
    const forge = (all: readonly Signature[]) =>
      all.map((one, i) =>
        i === at ? signerOf("mallory").sign(crypto.sha256(CHAIN_OF_LIES)) : one,
      );
    await isSilent(announcement(ab, forge));
    expect([reader.refused, chain.asked]).toEqual([
      ["a channel was announced with a false signature"],
      0,
    ]);
    // Who forges is not listened to any more until it comes again.
    await isSilent(announcement(bc));
    reader.intake.hear(peerId("teller"));
    await reader.hear(announcement(bc));
    expect(reader.table.size).toBe(1);
  });

  it("a funding key's signature by a node that has not got that key", async () => {
    const stolen = channel("a", "mallory", 1);
    const theirs = {
      ...stolen,
      body: { ...stolen.body, funding0: ab.body.funding0, funding1: ab.body.funding1 },
    };
    await isSilent(announcement(theirs));
  });

  it("an update or a close by someone else than its side", async () => {
    await reader.hear(announcement(ab));
    const before = reader.knowledge;
    const others = [
      update(ab, 0, {}, ab.ends[1]),
      close(ab, 1, ab.ends[0]),
      close(ab, 0, signerOf("mallory")),
    ];
    for (const bytes of others) {
      await reader.hear(bytes, peerId("new teller"));
      reader.intake.hear(peerId("new teller"));
    }
    expect(reader.knowledge).toBe(before);
    expect(reader.refused).toHaveLength(3);
  });

  it("an update from far ahead, which would stand against all later ones", async () => {
    await reader.hear(announcement(ab));
    await reader.hear(update(ab, 0, { sequence: NOW + 90_000 }));
    await reader.hear(update(ab, 0));
    expect(reader.table.newestUpdateOf(toHex(ab.body.node0))?.sequence).toBe(NOW);
  });

  it("a channel that is not on chain, is spent, or is not what it says", async () => {
    const capacity = satoshi(2_000_000);
    const lies: [Parameters<typeof announcement>[0], RegExp][] = [
      [channel("a", "b", 9), /no unspent funding output/],
      [wrong(ab, { capacity }), /not funded by the keys|another capacity/],
      [wrong(ab, { blockHeight: 99 }), /another block/],
      [wrong(ab, { blockIndex: 7 }), /another place/],
      [wrong(ab, { chainHash: crypto.sha256(CHAIN_OF_LIES) }), /another chain/],
    ];
    for (const [lie, reason] of lies) {
      await isSilent(announcement(lie));
      expect(reader.refused.at(-1)).toMatch(reason);
    }
    chain.fund(bc, { script: new Uint8Array(34) });
    await isSilent(announcement(bc));
    expect(reader.refused.at(-1)).toMatch(/not funded by the keys/);
    chain.spend(ab);
    await isSilent(announcement(ab));
    expect(reader.refused.at(-1)).toMatch(/no unspent funding output/);
  });

  it("a peer that tells of twenty channels that are not there", async () => {
    for (let number = 10; number < 40; number++)
      await reader.hear(announcement(channel("a", "b", number)));
    expect(chain.asked).toBe(20);
    await isSilent(announcement(ab));
  });

  it("what is too long, cut short, or has another form", async () => {
    const good = announcement(ab);
    const bad = [
      new Uint8Array(641).fill(0x80),
      good.slice(0, -1),
      Uint8Array.of(...good, 0),
      Uint8Array.of(0x80),
      Uint8Array.of(0xff),
    ];
    for (const bytes of bad) {
      await isSilent(bytes);
      reader.intake.hear(peerId("teller"));
    }
    expect(reader.refused).toHaveLength(bad.length);
    // Of a kind that a later version knows: not for us, and nobody's fault.
    await isSilent(Uint8Array.of(0x82, 9, 0x80));
    await reader.hear(good);
    expect(reader.table.size).toBe(1);
  });

  it("any change of a single byte", async () => {
    const all = [announcement(ab), update(bc, 0), close(bc, 1)];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...all),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (bytes, at, flip) => {
          const other = new Reader(chain);
          await other.hear(announcement(bc), peerId("honest"));
          const before = other.knowledge;
          const changed = bytes.slice();
          changed[at % bytes.length] = (changed[at % bytes.length] as number) ^ flip;
          await other.hear(changed);
          expect(other.knowledge).toBe(before);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("more than a peer may say in a second", async () => {
    for (let i = 0; i < 4_000; i++) reader.intake.receive(peerId("loud"), update(ab, 0), 0);
    await reader.hear(announcement(ab), peerId("loud"));
    expect(reader.table.size).toBe(0);
    reader.nowMs = 1_000;
    await reader.hear(announcement(ab), peerId("loud"));
    expect(reader.table.size).toBe(1);
  });
});

describe("statements", () => {
  it("have one encoding, and fit", () => {
    for (const bytes of [announcement(ab), update(ab, 1), close(ab, 0)]) {
      const statement = decodeStatement(bytes);
      if (!statement) throw new Error("is one");
      expect(toHex(encodeStatement(statement))).toBe(toHex(bytes));
      expect(bytes.length).toBeLessThanOrEqual(552);
    }
    expect(TIP).toBeGreaterThan(ab.body.blockHeight + 3);
  });
});

describe("what is told on", () => {
  it("is what was new, to all but its teller, once, each announcement before its updates", async () => {
    for (const name of ["x", "y"]) reader.gossip.join(peerId(name));
    const told = [announcement(ab), update(ab, 0), update(ab, 0, { sequence: NOW + 1 })];
    for (const bytes of told) await reader.hear(bytes, peerId("x"));
    for (const bytes of told) await reader.hear(bytes, peerId("y"));
    reader.gossip.tick(0);
    reader.gossip.tick(50);
    // Of two words of one end the later one is enough.
    expect(reader.sent.map(({ to, bytes }) => [toHex(to), toHex(bytes)])).toEqual(
      [told[0], told[2]].map((bytes) => [toHex(peerId("y")), toHex(bytes as Uint8Array)]),
    );
  });

  it("goes round a ring once and comes to rest", async () => {
    const names = ["r0", "r1", "r2", "r3"];
    const ring = new Map(names.map((name) => [name, new Reader(chain)] as const));
    names.forEach((name, i) => {
      for (const other of [names[(i + 1) % 4], names[(i + 3) % 4]]) {
        ring.get(name)?.gossip.join(peerId(other as string));
      }
    });
    await ring.get("r0")?.hear(announcement(ab));
    await ring.get("r0")?.hear(update(ab, 1));
    let passed = 0;
    for (let round = 0; round < 10; round++) {
      for (const [name, one] of ring) {
        one.gossip.tick(round * 50);
        for (const { to, bytes } of one.sent.splice(0)) {
          passed++;
          const receiver = names.find((other) => toHex(peerId(other)) === toHex(to)) as string;
          await ring.get(receiver)?.hear(bytes, peerId(name));
        }
      }
    }
    for (const one of ring.values()) expect(one.knowledge).toBe(ring.get("r0")?.knowledge);
    // Each of the two statements at most once in each direction of the four links.
    expect(passed).toBeLessThanOrEqual(16);
  });

  it("is told no faster than a peer takes it", async () => {
    reader.gossip.join(peerId("x"));
    for (let i = 0; i < 1_500; i++) {
      reader.gossip.tell({ key: `${i}`, slot: "announcement", bytes: new Uint8Array(1) });
    }
    reader.gossip.tick(0);
    expect(reader.sent.length).toBe(1_000);
    reader.gossip.tick(1_000);
    expect(reader.sent.length).toBe(1_050);
  });
});

const CHAIN_OF_LIES = Uint8Array.of(1, 2, 3);
