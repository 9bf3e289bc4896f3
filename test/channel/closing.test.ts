/** Shutdown and mutual close: with payments in flight, crossing, interrupted at each step, and with lies in each field (BOLT 2 "Channel Close"). */
import { describe, expect, test } from "vitest";
import { hostPolicy } from "../../core/channel/policy.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { blockHeight, type ChannelId, satoshi } from "../../core/primitives/brands.ts";
import { parseTransaction } from "../../core/transactions/transaction.ts";
import { commanded, open, push } from "../support/commands.ts";
import { CopiedDisk } from "../support/copied-disk.ts";
import { HonestPair } from "../support/honest-app.ts";
import { hex, Pair, payment, type TestNode } from "../support/node-pair.ts";

const CHANNEL_TYPES = ["zero_fee_commitments", "anchors", "static_remotekey"] as const;
const PUSHED_MSAT = 300_000_000;

function close(side: TestNode, id: ChannelId, feeratePerKw = 500): string | undefined {
  return commanded(side, () => side.node.command(id, { type: "close", feeratePerKw }));
}

/** What each side gets from a mutual close, and the fee. */
function split(pair: Pair, raw: Uint8Array, fundingSatoshis = 1_000_000) {
  const { outputs } = parseTransaction(raw);
  const paid = (script: Uint8Array) =>
    outputs.find((output) => hex(output.script) === hex(script))?.amount ?? 0;
  const a = paid(pair.a.payoutScript);
  const b = paid(pair.b.payoutScript);
  return { a, b, fee: fundingSatoshis - outputs.reduce((sum, { amount }) => sum + amount, 0) };
}

async function expectClosed(pair: Pair, id: ChannelId): Promise<void> {
  expect(pair.a.closes.length).toBeGreaterThan(0);
  expect(pair.b.closes.length).toBeGreaterThan(0);
  pair.expectPeace();
  pair.mine(101, [pair.a.closes.at(-1) as Uint8Array]);
  for (const side of [pair.a, pair.b]) {
    expect(side.events("closed").at(-1)?.ending).toBe("mutual");
    expect(side.node.record(id)).toBeUndefined();
  }
  pair.expectPeace();
}

describe.each(CHANNEL_TYPES)("%s", (channelType) => {
  test("waits for HTLCs in flight both ways, refuses new ones, then closes", async () => {
    const { pair, id } = await open({ channelType, pushMsat: PUSHED_MSAT });
    const honest = new HonestPair(pair, id, { a: 700_000_000, b: PUSHED_MSAT });
    honest.a.offer(50_000_000, true);
    honest.b.offer(40_000_000, false);
    pair.cable.pump();
    expect(close(pair.a, id)).toBeUndefined();
    pair.cable.pump();
    expect(pair.b.node.record(id)?.phase).toBe("closing");
    expect(push(pair.a, id, 1)).toMatch(/the channel is closing/);
    expect(push(pair.b, id, 1)).toMatch(/the channel is closing/);
    expect(pair.a.closes).toEqual([]);
    honest.react();
    pair.cable.pump();
    honest.react();
    pair.cable.pump();
    const { a, b, fee } = split(pair, pair.a.closes[0] as Uint8Array);
    expect({ a: a + fee, b }).toEqual({ a: 650_000, b: 350_000 });
    await expectClosed(pair, id);
  });

  test("the closer pays the fee that it chose", async () => {
    const { pair, id } = await open({ channelType, pushMsat: PUSHED_MSAT });
    expect(close(pair.b, id, 1_000)).toBeUndefined();
    pair.cable.pump();
    const { a, b, fee } = split(pair, pair.b.closes[0] as Uint8Array);
    expect(a).toBe(700_000);
    expect(b).toBe(300_000 - fee);
    expect(fee).toBeGreaterThan(600);
    expect(fee).toBeLessThan(800);
    expect(hex(pair.a.closes[0] as Uint8Array)).toBe(hex(pair.b.closes[0] as Uint8Array));
    await expectClosed(pair, id);
  });

  test("where the closer forgets that it asked, the other closes after six blocks", async () => {
    const disk = new CopiedDisk();
    const pair = await Pair.make({ diskA: disk });
    const id = await pair.open({ channelType, pushMsat: PUSHED_MSAT });
    const before = disk.asOf(disk.history.length);
    pair.b.tamper = (message) => (message.type === "shutdown" ? [] : [message]);
    expect(close(pair.a, id)).toBeUndefined();
    pair.cable.pump();
    expect(pair.b.node.record(id)?.phase).toBe("closing");
    pair.disconnect();
    pair.b.tamper = (message) => [message];

    pair.a.use(before);
    await pair.restart(pair.a);
    pair.connect();
    for (const side of [pair.a, pair.b]) expect(side.node.record(id)?.phase).toBe("closing");
    pair.mine(5);
    expect([...pair.a.closes, ...pair.b.closes]).toEqual([]);
    pair.mine(1);
    // Neither knows who asked: each offers, and pays the fee of its own offer alone.
    const shares = pair.b.closes.map((raw) => split(pair, raw));
    expect(shares.map(({ a, b, fee }) => [a, b, fee > 0])).toEqual([
      [700_000 - (shares[0]?.fee ?? 0), 300_000, true],
      [700_000, 300_000 - (shares[1]?.fee ?? 0), true],
    ]);
    await expectClosed(pair, id);
  });

  test("pushes that are under way are finished first", async () => {
    const { pair, id } = await open({ channelType, pushMsat: PUSHED_MSAT });
    push(pair.a, id, 10_000_000);
    push(pair.b, id, 5_000_000);
    push(pair.a, id, 2_000_000);
    close(pair.a, id);
    expect(push(pair.a, id, 1)).toBe("the channel is about to close");
    pair.cable.pump();
    const { a, b, fee } = split(pair, pair.a.closes[0] as Uint8Array);
    expect({ a: a + fee, b }).toEqual({ a: 693_000, b: 307_000 });
    expect(pair.a.events("receipt").length).toBe(2);
    await expectClosed(pair, id);
  });

  test("both ask at the same time: each has its own close, both are valid", async () => {
    const { pair, id } = await open({ channelType, pushMsat: PUSHED_MSAT });
    close(pair.a, id, 500);
    close(pair.b, id, 800);
    pair.cable.pump();
    const fees = pair.a.closes.map((raw) => split(pair, raw).fee);
    expect(new Set(fees).size).toBe(2);
    await expectClosed(pair, id);
  });

  test("the link is lost at each step, and the close goes on", async () => {
    for (let at = 0; at < 16; at++) {
      const { pair, id } = await open({ channelType, pushMsat: PUSHED_MSAT });
      push(pair.b, id, 1_000);
      close(pair.a, id);
      pair.cable.pump(at);
      pair.reconnect();
      pair.settle();
      await expectClosed(pair, id);
    }
  });
});

test("a close asked for while the peer is away is carried out when it comes, also after a restart", async () => {
  const { pair, id } = await open({ pushMsat: PUSHED_MSAT });
  pair.disconnect();
  expect(close(pair.a, id)).toBeUndefined();
  await pair.restart(pair.a);
  pair.connect();
  await expectClosed(pair, id);
});

test("a close that confirms too slowly is replaced by a dearer one", async () => {
  const { pair, id } = await open({ pushMsat: PUSHED_MSAT });
  close(pair.a, id, 253);
  pair.cable.pump();
  close(pair.a, id, 5_000);
  pair.cable.pump();
  const fees = pair.a.closes.map((raw) => split(pair, raw).fee);
  expect(fees.length).toBe(2);
  expect(fees[1]).toBeGreaterThan((fees[0] as number) * 10);
  expect(pair.b.closes.map(hex)).toEqual(pair.a.closes.map(hex));
  await expectClosed(pair, id);
});

test("feerates that make no sense are refused", async () => {
  const { pair, id } = await open();
  for (const feeratePerKw of [0, -1, 1.5, Number.NaN, 250_001]) {
    expect(close(pair.a, id, feeratePerKw)).toBe("the feerate must be 1 to 250000 sat/kw");
  }
});

const noReserve = { ...hostPolicy, reservePpm: 0 };

test("who has nothing cannot pay for a close: the other one does", async () => {
  const { pair, id } = await open({ policyA: noReserve, policyB: noReserve });
  close(pair.b, id);
  pair.cable.pump();
  const { a, b, fee } = split(pair, pair.a.closes[0] as Uint8Array);
  expect(a + fee).toBe(1_000_000);
  expect(b).toBe(0);
  await expectClosed(pair, id);
});

test("a closer whose rest is dust gives it to the fee", async () => {
  const { pair, id } = await open({
    policyA: noReserve,
    policyB: noReserve,
    pushMsat: 500_000,
  });
  close(pair.b, id, 600);
  pair.cable.pump();
  const { a, b } = split(pair, pair.b.closes[0] as Uint8Array);
  expect(a).toBe(1_000_000 - 500);
  expect(b).toBe(0);
  await expectClosed(pair, id);
});

describe("lies", () => {
  const opReturn = Uint8Array.of(0x6a, 6, 1, 2, 3, 4, 5, 6);

  function warned(side: TestNode, id: ChannelId): string {
    expect(side.events("forceClosing")).toEqual([]);
    expect(side.node.record(id)?.phase).not.toBe("force-closing");
    return side.events("violation").at(-1)?.tag ?? "nothing";
  }

  test.each([
    ["an unknown form", Uint8Array.of(0x51, 0x01)],
    ["nothing", new Uint8Array(0)],
    [
      "another script than the one promised at the opening",
      new Uint8Array(22).fill(0, 0, 1).fill(20, 1, 2),
    ],
  ])("a shutdown to %s is refused", async (_, scriptpubkey) => {
    const { pair, id } = await open({ pushMsat: PUSHED_MSAT });
    const before = pair.a.node.record(id);
    pair.b.node.sendService(pair.a.nodeId, { type: "shutdown", channelId: id, scriptpubkey });
    pair.cable.pump();
    expect(warned(pair.a, id)).toBe("shutdown.scriptpubkey");
    expect(pair.a.node.record(id)).toBe(before);
    pair.reconnect();
    close(pair.a, id);
    pair.cable.pump();
    expect(pair.a.closes.length).toBe(1);
  });

  test("a shutdown before its own updates are signed is refused", async () => {
    const { pair, id } = await open({ pushMsat: PUSHED_MSAT });
    pair.b.tamper = (message) => (message.type === "commitment_signed" ? [] : [message]);
    push(pair.b, id, 1_000);
    const scriptpubkey = pair.b.payoutScript;
    pair.b.node.sendService(pair.a.nodeId, { type: "shutdown", channelId: id, scriptpubkey });
    pair.cable.pump();
    expect(warned(pair.a, id)).toBe("shutdown");
  });

  type Closing = MessageNamed<"closing_complete">;
  const changes: readonly (readonly [string, (message: Closing) => Partial<Closing>, string])[] = [
    ["a fee above its balance", () => ({ feeSatoshis: satoshi(300_001) }), "closing-fee"],
    [
      "a script of ours that we never sent",
      () => ({ closeeScriptpubkey: opReturn }),
      "closing_complete.closee_scriptpubkey",
    ],
    [
      "a script that it did not promise",
      () => ({ closerScriptpubkey: opReturn }),
      "closing_complete.closer_scriptpubkey",
    ],
    ["another locktime than it signed", () => ({ locktime: 7 }), "closing-signature"],
    [
      "another fee than it signed",
      ({ feeSatoshis }) => ({ feeSatoshis: satoshi(feeSatoshis - 1) }),
      "closing-signature",
    ],
    [
      "no signature",
      () => ({ closeeOutputOnly: undefined, closerAndCloseeOutputs: undefined }),
      "closing_complete",
    ],
    [
      "only one without our output",
      (message) => ({
        closerOutputOnly: message.closerAndCloseeOutputs,
        closerAndCloseeOutputs: undefined,
      }),
      "closing_complete",
    ],
  ];

  test.each(changes)(
    "closing_complete with %s is refused, then the honest one is taken",
    async (_, change, tag) => {
      const { pair, id } = await open({ pushMsat: PUSHED_MSAT });
      let lied = false;
      pair.b.tamper = (message) => {
        if (message.type !== "closing_complete" || lied) return [message];
        lied = true;
        return [{ ...message, ...change(message) } as Message];
      };
      close(pair.b, id);
      pair.cable.pump();
      expect(warned(pair.a, id)).toBe(tag);
      expect(pair.a.closes).toEqual([]);
      pair.reconnect();
      expect(pair.a.closes.length).toBe(1);
      expect(hex(pair.b.closes[0] as Uint8Array)).toBe(hex(pair.a.closes[0] as Uint8Array));
    },
  );

  test("closing_complete while an HTLC is in flight, and closing_sig without an offer, are refused", async () => {
    const { pair, id } = await open({ pushMsat: PUSHED_MSAT });
    const honest = new HonestPair(pair, id, { a: 700_000_000, b: PUSHED_MSAT });
    honest.a.offer(1_000_000, true);
    pair.cable.pump();
    close(pair.b, id);
    pair.cable.pump();
    const closing = {
      channelId: id,
      closerScriptpubkey: pair.b.payoutScript,
      closeeScriptpubkey: pair.a.payoutScript,
      feeSatoshis: satoshi(500),
      locktime: 0,
      closerOutputOnly: undefined,
      closeeOutputOnly: undefined,
      closerAndCloseeOutputs: new Uint8Array(64) as never,
    };
    for (const type of ["closing_complete", "closing_sig"] as const) {
      pair.b.node.sendService(pair.a.nodeId, { type, ...closing });
      pair.cable.pump();
      expect(warned(pair.a, id)).toBe(type);
      pair.reconnect();
    }
    await honest.settle().catch(() => undefined);
    expect(pair.a.closes.length).toBe(1);
  });

  test("payments after the payer's own shutdown are refused", async () => {
    const { pair, id } = await open({ pushMsat: PUSHED_MSAT });
    const honest = new HonestPair(pair, id, { a: 700_000_000, b: PUSHED_MSAT });
    honest.a.offer(1_000_000, true); // keeps the close waiting
    pair.cable.pump();
    close(pair.b, id);
    pair.cable.pump();
    pair.b.node.sendService(pair.a.nodeId, {
      type: "update_push",
      channelId: id,
      id: 0,
      payments: payment(1),
      receiptsBelow: 0,
    });
    pair.cable.pump();
    expect(warned(pair.a, id)).toBe("update_push");
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])(
    "an end that a reorganisation undoes %d frames into a link waits for the next link in peace",
    async (frames) => {
      const { pair, id } = await open({ pushMsat: PUSHED_MSAT });
      close(pair.a, id);
      pair.cable.pump();
      const [raw] = pair.a.closes as [Uint8Array];
      const height = blockHeight(pair.height + 1);
      pair.a.node.blockConnected({ height, transactions: [{ raw, height } as never] });
      pair.disconnect();
      // Alice has nothing to say of the channel; bob, who has not heard of the block, does.
      pair.plugIn();
      pair.tick();
      pair.cable.pump(frames);
      pair.a.node.rewind(height);
      pair.settle();
      expect(pair.a.node.record(id)?.phase).toBe("closing");
      pair.expectPeace();

      pair.reconnect();
      pair.expectPeace();
      await expectClosed(pair, id);
    },
  );
});
