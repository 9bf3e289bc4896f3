/** The cheapest way of all, with each gateway's fee exact to the millisatoshi, and none over what is closed, too small or stale. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeStatement } from "../../../core/messages/routing-statement.ts";
import { blockHeight, channelId, milliSatoshi } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { forwardFee } from "../../../gateway/payments/forward-policy.ts";
import { findPath, type Path, STALE_SECONDS } from "../../../gateway/routing/paths.ts";
import { TableRouter } from "../../../gateway/routing/router.ts";
import { RoutingTable } from "../../../gateway/routing/table.ts";
import { crypto } from "../../support/node-pair.ts";
import { announcement, channel, type Made, NOW, signerOf, update } from "./statements.ts";

const NAMES = ["self", "a", "b", "c", "d", "end"];
const idOf = (name: string) => toHex(signerOf(name).nodeId);

interface Edge {
  readonly from: string;
  readonly to: string;
  readonly base: number;
  readonly proportional: number;
  readonly delta: number;
}

function tableOf(edges: readonly Edge[]): RoutingTable {
  const table = new RoutingTable(crypto);
  const channels = new Map<string, Made>();
  for (const edge of edges) {
    const pair = [edge.from, edge.to].sort().join("-");
    const made = channels.get(pair) ?? channel(edge.from, edge.to, channels.size);
    if (!channels.has(pair)) table.add(made.body, announcement(made));
    channels.set(pair, made);
    const side = idOf(edge.from) === toHex(made.body.node0) ? 0 : 1;
    tell(table, made, side, {
      feeBaseMsat: edge.base,
      feeProportionalMillionths: edge.proportional,
      cltvExpiryDelta: edge.delta,
    });
  }
  return table;
}

function tell(table: RoutingTable, made: Made, side: 0 | 1, change: object): void {
  const bytes = update(made, side, change);
  const statement = decodeStatement(bytes);
  if (statement?.type === "update") table.update(statement, bytes);
}

function find(table: RoutingTable, amount: number, firstHops: readonly string[]): Path | undefined {
  return findPath({
    table,
    self: idOf("self"),
    targets: [{ node: idOf("end"), amountMsat: milliSatoshi(amount), cltvExpiry: 500 }],
    hasFirstHop: ({ node }) => firstHops.map(idOf).includes(node),
    maxCltvExpiry: 10_000,
    nowSeconds: NOW,
  });
}

/** From the end back to the first node of `nodes`. */
function costOf(edges: readonly Edge[], nodes: readonly string[], amount: number) {
  let amountMsat = milliSatoshi(amount);
  let cltvExpiry = 500;
  let risk = 0;
  for (let i = nodes.length - 1; i > 0; i--) {
    const edge = edges.find(({ from, to }) => from === nodes[i - 1] && to === nodes[i]);
    if (!edge) return undefined;
    risk += (amountMsat * edge.delta * 15) / 1e9;
    const terms = {
      feeBaseMsat: milliSatoshi(edge.base),
      feeProportionalMillionths: edge.proportional,
    };
    amountMsat = milliSatoshi(amountMsat + forwardFee(terms, amountMsat));
    cltvExpiry += edge.delta;
  }
  return { amountMsat, cltvExpiry, cost: amountMsat + risk };
}

function* simplePaths(to: string, seen: readonly string[] = []): Generator<readonly string[]> {
  const path = [to, ...seen];
  yield path;
  for (const before of NAMES) {
    if (before !== "self" && !path.includes(before)) yield* simplePaths(before, path);
  }
}

const edges = fc.uniqueArray(
  fc.record({
    from: fc.constantFrom(...NAMES),
    to: fc.constantFrom(...NAMES),
    base: fc.integer({ min: 0, max: 3_000 }),
    proportional: fc.integer({ min: 0, max: 5_000 }),
    delta: fc.integer({ min: 1, max: 80 }),
  }),
  { selector: ({ from, to }) => `${from}${to}`, minLength: 6, maxLength: 24 },
);

describe("a way over the table", () => {
  it("is as cheap as the cheapest of all, and asks for exactly what all on it ask for", () => {
    fc.assert(
      fc.property(edges, fc.integer({ min: 1, max: 9e8 }), (all, amount) => {
        const usable = all.filter(({ from, to }) => from !== to);
        const found = find(tableOf(usable), amount, ["a", "b"]);
        const costs = [...simplePaths("end")]
          .filter(([first]) => first === "a" || first === "b")
          .flatMap((nodes) => costOf(usable, nodes, amount) ?? []);
        const best = costs.reduce((least, { cost }) => Math.min(least, cost), Infinity);
        expect(found !== undefined).toBe(costs.length > 0);
        if (!found) return;
        const names = found.nodes.map((id) => NAMES.find((name) => idOf(name) === id) as string);
        const exact = costOf(usable, names, amount);
        expect(found.amountMsat).toBe(exact?.amountMsat);
        expect(found.cltvExpiry).toBe(exact?.cltvExpiry);
        // Of two labels the cheaper one holds; by its time, not its fee, the next fee is a trifle more.
        expect((exact?.cost ?? 0) - best).toBeLessThan(100);
      }),
      { numRuns: 60 },
    );
  });

  it("is not over a channel that is disabled, stale, too small, or not for this amount", () => {
    const made = channel("a", "end", 0);
    const side = idOf("a") === toHex(made.body.node0) ? 0 : 1;
    const way = (change: object, amount = 1_000) => {
      const table = new RoutingTable(crypto);
      table.add(made.body, announcement(made));
      tell(table, made, side, change);
      return find(table, amount, ["a"]);
    };
    expect(way({})).toBeDefined();
    expect(way({ enabled: false })).toBeUndefined();
    expect(way({ sequence: NOW - STALE_SECONDS - 1 })).toBeUndefined();
    expect(way({ htlcMinimumMsat: milliSatoshi(1_001) })).toBeUndefined();
    expect(way({ htlcMaximumMsat: milliSatoshi(999) })).toBeUndefined();
    expect(way({}, 1_000_000_001)).toBeUndefined();
    expect(way({}, 1_000_000_000)).toBeDefined();
  });

  it("has twenty hops at most", () => {
    const names = Array.from({ length: 21 }, (_, i) => (i === 20 ? "end" : `n${i}`));
    const chain = names.slice(1).map((to, i) => {
      return { from: names[i] as string, to, base: 1, proportional: 0, delta: 10 };
    });
    const table = tableOf(chain);
    expect(find(table, 1_000, ["n0"])).toBeUndefined();
    expect(find(table, 1_000, ["n1"])?.nodes.length).toBe(20);
  });
});

describe("the way of one payment", () => {
  const idOfChannel = (n: number) => channelId(new Uint8Array(32).fill(n));
  const terms = { proportional: 0, delta: 40 };
  const between: Edge[] = [
    { from: "a", to: "end", base: 10, ...terms },
    { from: "b", to: "end", base: 20, ...terms },
    { from: "end", to: "a", base: 7, ...terms },
  ];
  const peers: Readonly<Record<string, number>> = { a: 1, b: 2 };
  let now = NOW;
  const router = () =>
    new TableRouter({
      table: tableOf(between),
      self: idOf("self"),
      usable: (peer) => {
        const name = Object.keys(peers).find((one) => idOf(one) === peer);
        if (name === undefined) return [];
        const id = idOfChannel(peers[name] as number);
        return [{ id, peer: signerOf(name).nodeId, spendableMsat: milliSatoshi(50_000) }];
      },
      height: () => blockHeight(400),
      nowSeconds: () => now,
      maxBlocksToExpiry: 2_016,
    });
  const request = {
    destination: signerOf("device").nodeId,
    amountMsat: milliSatoshi(1_000),
    cltvExpiry: blockHeight(450),
    sealed: new Uint8Array(0),
    gateways: [signerOf("end").nodeId],
  };

  it("ends at the gateway that the destination is behind, whose own fee is in it", () => {
    const way = router().way(request);
    expect(way).toMatchObject({ type: "way", channelId: idOfChannel(1) });
    expect(way).toMatchObject({ amountMsat: 1_000 + 7 + 10, cltvExpiry: 450 + 40 + 40 });
  });

  it("avoids for a minute what failed for this destination, unless there is nothing else", () => {
    const one = router();
    one.failed(request, idOfChannel(1));
    const channelOf = (change: object = {}) => {
      const way = one.way({ ...request, ...change });
      return way.type === "way" ? way.channelId[0] : way.type;
    };
    expect(channelOf()).toBe(2);
    expect(channelOf({ destination: signerOf("other").nodeId })).toBe(1);
    // Less may fit.
    expect(channelOf({ amountMsat: milliSatoshi(999) })).toBe(1);
    expect(channelOf({ tried: [idOfChannel(2)] })).toBe(1);
    expect(channelOf({ tried: [idOfChannel(1), idOfChannel(2)] })).toBe("no-room");
    now += 61;
    expect(channelOf()).toBe(1);
  });

  it("does not go back to who offered it, and not over more than a channel holds", () => {
    const way = router().way({ ...request, from: signerOf("a").nodeId });
    expect(way).toMatchObject({ channelId: idOfChannel(2) });
    expect(router().way({ ...request, amountMsat: milliSatoshi(49_999) }).type).toBe("no-room");
    expect(router().way({ ...request, gateways: [] }).type).toBe("none");
  });
});
