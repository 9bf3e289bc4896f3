/** Idle channels rest: they look the same to whoever asks, hear what concerns them, and pay when they are woken. */
import { expect, test } from "vitest";
import { hostPolicy } from "../../core/channel/policy.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  paymentHash,
} from "../../core/primitives/brands.ts";
import { open, push } from "../support/commands.ts";
import type { Pair, TestNode } from "../support/node-pair.ts";

const REST_MS = 1_000;

/** Both sides' channels rest: what is looked at is decoded anew each time. */
async function resting(): Promise<{ pair: Pair; id: ChannelId }> {
  const { pair, id } = await open({ pushMsat: 100_000_000 });
  pair.disconnect();
  for (const side of [pair.a, pair.b]) {
    side.shared = { restAfterMs: REST_MS };
    await side.start(pair.height);
  }
  pair.connect();
  pair.cable.pump();
  pass(pair);
  return { pair, id };
}

function pass({ a, b, cable }: Pair): void {
  for (let i = 0; i < 4; i++) {
    for (const side of [a, b]) {
      side.nowMs += REST_MS;
      side.node.tick(side.nowMs);
      side.node.tick(side.nowMs);
    }
    cable.pump();
  }
}

function rests({ node }: TestNode, id: ChannelId): boolean {
  const [first, second] = [node.record(id), node.record(id)];
  return first !== second;
}

test("an idle channel rests, and is what it was to whoever looks at it", async () => {
  const { pair, id } = await open({ pushMsat: 100_000_000 });
  const before = pair.a.node.record(id);
  pair.disconnect();
  pair.a.shared = { restAfterMs: REST_MS };
  await pair.a.start(pair.height);
  expect(rests(pair.a, id)).toBe(false);
  pass(pair);
  expect(rests(pair.a, id)).toBe(true);
  expect(pair.a.node.record(id)).toEqual(before);
  const [only] = pair.a.node.channels(pair.b.nodeId);
  expect(only?.channel.kind === "live" && only.channel.record).toEqual(before);
});

test("channels that were woken pay and are paid, by push and over a new link, and rest again", async () => {
  const { pair, id } = await resting();
  const start = pair.balances(id);
  for (const round of [1, 2, 3]) {
    expect([pair.a, pair.b].map((side) => rests(side, id))).toEqual([true, true]);
    if (round === 2) {
      pair.reconnect();
      pass(pair);
    }
    expect(push(pair.a, id, 5_000_000)).toBeUndefined();
    pair.cable.pump();
    expect(push(pair.b, id, 1_000_000)).toBeUndefined();
    pair.cable.pump();
    expect(rests(pair.a, id)).toBe(false);
    pass(pair);
  }
  const moved = 3 * 4_000_000;
  expect(pair.balances(id)[0]).toBe((start[0] as number) - moved);
  expect(pair.balances(id)[1]).toBe((start[1] as number) + moved);
  pair.expectPeace();
});

test("blocks wake none, a reorganisation those alone whose funding it takes away", async () => {
  const { pair, id } = await resting();
  const { node } = pair.a;
  const at = node.record(id)?.fundingHeight as number;
  for (let i = 1; i <= 5; i++) {
    node.blockConnected({ height: blockHeight(pair.height + i), transactions: [] });
  }
  node.rewind(blockHeight(at + 1));
  expect(rests(pair.a, id)).toBe(true);
  expect(node.record(id)?.fundingHeight).toBe(at);
  node.rewind(blockHeight(at));
  expect(node.record(id)?.fundingHeight).toBeUndefined();
});

test("a channel with an HTLC does not rest: its deadline is watched at each block", async () => {
  const { pair, id } = await resting();
  const cltvExpiry = blockHeight(pair.height + hostPolicy.fulfillSafetyBlocks + 10);
  pair.a.node.command(id, {
    type: "addHtlc",
    amountMsat: milliSatoshi(5_000_000),
    paymentHash: paymentHash(new Uint8Array(32).fill(9)),
    cltvExpiry,
  });
  pair.cable.pump();
  pass(pair);
  expect([pair.a, pair.b].map((side) => rests(side, id))).toEqual([false, false]);
  const expired = blockHeight(cltvExpiry + hostPolicy.timeoutGraceBlocks);
  pair.a.node.blockConnected({ height: expired, transactions: [] });
  expect(pair.a.events("forceClosing")).toHaveLength(1);
});
