/** Work ahead in idle time: a payment then costs fewer curve operations, and not a byte of what is sent is another. */
import { describe, expect, test, vi } from "vitest";
import type { Message } from "../../core/messages/message.ts";
import { packPayments } from "../../core/payments/push.ts";
import { milliSatoshi } from "../../core/primitives/brands.ts";
import { open } from "../support/commands.ts";
import { crypto, type TestNode } from "../support/node-pair.ts";

const PAYMENTS = 4;
/** More than there ever is to do for one channel. */
const MANY = 20;

function rest({ node }: TestNode): number {
  let pieces = 0;
  while (node.workAhead()) {
    if (++pieces > MANY) throw new Error("it never comes to an end");
  }
  return pieces;
}

/** Pays both ways; `between` is called whenever nothing is under way. */
async function life(between: (side: TestNode) => void): Promise<readonly Message[]> {
  const { pair, id } = await open({ pushMsat: 100_000_000 });
  for (let i = 0; i < PAYMENTS; i++) {
    for (const side of [pair.a, pair.b]) between(side);
    const reference = new Uint8Array(16).fill(i + 1);
    const payments = packPayments([{ reference, amountMsat: milliSatoshi(1_000 + i) }]);
    (i % 2 === 0 ? pair.a : pair.b).node.command(id, { type: "push", payments });
    pair.cable.pump();
    if (i === 1) pair.reconnect();
  }
  pair.expectPeace();
  return [...pair.a.sent, ...pair.b.sent];
}

describe("work ahead", () => {
  test("leaves no derived key to a payment, and is done once", async () => {
    const { pair, id } = await open({ pushMsat: 100_000_000 });
    for (const side of [pair.a, pair.b]) {
      expect(rest(side)).toBeGreaterThan(0);
      expect(rest(side)).toBe(0);
    }
    const multiplied = vi.spyOn(crypto, "publicKeyTweakMultiply");
    const added = vi.spyOn(crypto, "publicKeyTweakAdd");
    const reference = new Uint8Array(16).fill(9);
    const payments = packPayments([{ reference, amountMsat: milliSatoshi(1_000) }]);
    pair.a.node.command(id, { type: "push", payments });
    pair.cable.pump();
    expect(pair.b.events("pushReceived")).toHaveLength(1);
    expect([multiplied.mock.calls.length, added.mock.calls.length]).toEqual([0, 0]);
    vi.restoreAllMocks();
    expect(rest(pair.b)).toBeGreaterThan(0);
    pair.expectPeace();
  });

  test("changes nothing that is sent, whether it is done, half done or never", async () => {
    const never = await life(() => {});
    expect(await life(rest)).toEqual(never);
    expect(await life((side) => void side.node.workAhead())).toEqual(never);
  });

  test("is not done for a channel that closes", async () => {
    const { pair, id } = await open({ pushMsat: 100_000_000 });
    pair.a.node.command(id, { type: "close", feeratePerKw: 500 });
    pair.cable.pump();
    expect([rest(pair.a), rest(pair.b)]).toEqual([0, 0]);
  });
});
