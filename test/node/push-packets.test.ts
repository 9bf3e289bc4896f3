/** What a push costs on a link (issue "Budgets"): bytes, packets, round trips; and that bundles leave only after the store. */
import { describe, expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { open, push } from "../support/commands.ts";
import type { Pair, PairOptions } from "../support/node-pair.ts";
import { SlowStore } from "../support/slow-store.ts";

interface Sent {
  readonly from: "payer" | "payee";
  readonly bytes: number;
}

/** Everything that crosses the cable while a push settles. */
async function traffic(pair: Pair, id: ChannelId): Promise<Sent[]> {
  const sent: Sent[] = [];
  const receipts = pair.a.events("receipt").length;
  const ends = pair.cable.ends.map((end, i) => {
    const original = end.send;
    end.send = (bytes) => {
      sent.push({ from: i === 0 ? "payer" : "payee", bytes: bytes.length });
      original.call(end, bytes);
    };
    return () => Object.assign(end, { send: original });
  });
  push(pair.a, id, 1_000);
  await pair.flow();
  for (const restore of ends) restore();
  expect(pair.a.events("receipt")).toHaveLength(receipts + 1);
  return sent;
}

const kinds: readonly (readonly [string, () => PairOptions])[] = [
  ["stores that are durable at once", () => ({})],
  [
    "stores that answer later",
    () => ({ diskA: new SlowStore(new MemoryStore()), diskB: new SlowStore(new MemoryStore()) }),
  ],
  ["devices", () => ({ maxMessageA: 4096, maxMessageB: 4096 })],
];

describe.each(kinds)("a push between nodes with %s", (_, options) => {
  it("takes 450 bytes in 4 packets and 2 round trips, each packet one write at MTU 247", async () => {
    const { pair, id } = await open(options());
    for (let i = 0; i < 30; i++) await traffic(pair, id);
    const sent = await traffic(pair, id);
    expect(sent.map(({ from }) => from)).toEqual(["payer", "payee", "payer", "payee"]);
    expect(sent.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(450);
    for (const { bytes } of sent) expect(bytes).toBeLessThanOrEqual(244);
    pair.expectPeace();
  });

  it("names its channel and its counters in the first one only", async () => {
    const { pair, id } = await open(options());
    pair.reconnect();
    const first = await traffic(pair, id);
    const second = await traffic(pair, id);
    const total = (all: readonly Sent[]) => all.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(total(first)).toBeGreaterThan(total(second));
    expect(total(second)).toBeLessThanOrEqual(450);
    pair.expectPeace();
  });
});

it("pushes in both directions at once cross, and none is reordered", async () => {
  const { pair, id } = await open({
    pushMsat: 200_000_000,
    diskA: new SlowStore(new MemoryStore()),
  });
  for (let i = 0; i < 20; i++) {
    push(pair.a, id, 1_000 + i);
    push(pair.b, id, 2_000 + i);
    if (i % 3 === 0) pair.cable.pump(1);
  }
  await pair.flow();
  for (const side of [pair.a, pair.b]) {
    expect(side.events("pushReceived").map(({ pushId }) => pushId)).toEqual(
      Array.from({ length: 20 }, (_, i) => i),
    );
    expect(side.events("receipt")).toHaveLength(20);
  }
  pair.expectPeace();
});
