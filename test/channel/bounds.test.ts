/** What may be under way at once, and commands that make no sense: refused with a reason, and the channel goes on. */
import { describe, expect, test } from "vitest";
import { MAX_PENDING_UPDATES } from "../../core/channel/limits.ts";
import { packPayments } from "../../core/payments/push.ts";
import { blockHeight, milliSatoshi } from "../../core/primitives/brands.ts";
import { commanded, HASH, open, push, pushes } from "../support/commands.ts";
import { payment } from "../support/node-pair.ts";

describe("what is under way (rule `bounded`)", () => {
  test("a push larger than the peer's messages is refused, the largest that fits goes through", async () => {
    const { pair, id } = await open({ maxMessageB: 4096 });
    const batch = (count: number) =>
      commanded(pair.a, () =>
        pair.a.node.command(id, { type: "push", payments: payment(1, count) }),
      );
    expect(batch(169)).toMatch(/at most 4096 bytes: use smaller batches/);
    expect(batch(168)).toBeUndefined();
    pair.cable.pump();
    expect(pair.b.events("pushReceived").length).toBe(1);
    pair.expectPeace();
  });

  test("pushes of some messages may be under way to a device, then the payer waits", async () => {
    const { pair, id } = await open({ maxMessageB: 4096 });
    const reasons = Array.from({ length: 20 }, () =>
      commanded(pair.a, () => pair.a.node.command(id, { type: "push", payments: payment(1, 168) })),
    );
    const taken = reasons.indexOf("too many payments are under way: try again");
    expect(taken).toBeGreaterThan(1);
    expect(taken).toBeLessThan(6);
    pair.cable.pump();
    expect(pair.a.events("receipt").length).toBe(taken);
    pair.expectPeace();
  });

  test("eight of the largest messages may be under way between hosts, then the payer waits", async () => {
    const { pair, id } = await open();
    const more = () =>
      commanded(pair.a, () =>
        pair.a.node.command(id, { type: "push", payments: payment(1, 2700) }),
      );
    let taken = 0;
    while (taken < 20 && more() === undefined) taken++;
    expect(taken).toBe(8);
    expect(more()).toBe("too many payments are under way: try again");
    pair.cable.pump();
    expect(pair.balances(id)[1]).toBe(8 * 2700);
    pair.expectPeace();
  });

  test("what was signed is taken when it is told again by a payer that takes smaller messages since", async () => {
    const { pair, id } = await open();
    pair.a.node.command(id, ...pushes(20, 1000));
    await pair.restart(pair.a);
    Object.assign(pair.a, { maxMessageBytes: 30_000 });
    await pair.restart(pair.a);
    pair.connect();
    await pair.flow();
    expect(pair.balances(id)[1]).toBe(20_000);
    pair.expectPeace();
  });

  test("a thousand pushes may be under way, each gets its receipt", async () => {
    const { pair, id } = await open();
    for (let i = 0; i < MAX_PENDING_UPDATES; i++) expect(push(pair.a, id, 1)).toBeUndefined();
    expect(push(pair.a, id, 1)).toBe("too many updates are under way: try again");
    pair.cable.pump();
    expect(pair.a.events("receipt").length).toBe(MAX_PENDING_UPDATES);
    expect(pair.balances(id)[1]).toBe(MAX_PENDING_UPDATES);
    pair.expectPeace();
  });

  test("a cheat that never revokes cannot make our lists grow without end", async () => {
    const { pair, id } = await open({ pushMsat: 100_000_000 });
    pair.b.tamper = (message) => (message.type === "revoke_and_ack" ? [] : [message]);
    push(pair.a, id, 1); // our commitment_signed stays unanswered
    let violated = false;
    for (let i = 0; i < 2 * MAX_PENDING_UPDATES && !violated; i++) {
      push(pair.b, id, 1);
      pair.cable.pump();
      violated = pair.a.events("violation").length > 0 || !pair.b.node.isConnected(pair.a.nodeId);
    }
    const pending = pair.a.node.record(id)?.pending;
    expect((pending?.remoteAcked.length ?? 0) + (pending?.remoteSigned.length ?? 0)).toBeLessThan(
      1_600,
    );
  });
});

describe("commands that make no sense are rejected, and the channel goes on", () => {
  test.each([
    ["no payments", new Uint8Array(0), /whole entries/],
    ["half a payment", new Uint8Array(30), /whole entries/],
    ["an amount of zero", new Uint8Array(24), /amount of zero/],
    ["more than any channel", packed(Number.MAX_SAFE_INTEGER, 2), /beyond any channel/],
  ])("%s", async (_, payments, reason) => {
    const { pair, id } = await open();
    const command = { type: "push", payments } as const;
    expect(commanded(pair.a, () => pair.a.node.command(id, command))).toMatch(reason);
    expect(push(pair.a, id, 5)).toBeUndefined();
    pair.cable.pump();
    pair.expectPeace();
  });

  test("HTLCs that cannot be: expired, without amount, with an onion too long, not there", async () => {
    const { pair, id } = await open();
    const offer = { type: "addHtlc", paymentHash: HASH, cltvExpiry: blockHeight(500) } as const;
    const amountMsat = milliSatoshi(1_000_000);
    const reasons = [
      { ...offer, amountMsat, cltvExpiry: blockHeight(50) },
      { ...offer, amountMsat: milliSatoshi(0) },
      { ...offer, amountMsat, onion: new Uint8Array(1367) },
      { type: "failHtlc", htlcId: 0, reason: new Uint8Array(0) } as const,
      { type: "fulfillHtlc", htlcId: 7, preimage: new Uint8Array(32) as never } as const,
    ].map((command) => commanded(pair.a, () => pair.a.node.command(id, command)));
    expect(reasons).toEqual([
      "the HTLC would expire at once",
      "an HTLC must have at least 1 msat",
      "an onion has at most 1366 bytes",
      "there is no HTLC 0 to resolve",
      "there is no HTLC 7 to fulfil",
    ]);
    pair.expectPeace();
  });
});

function packed(amountMsat: number, count: number): Uint8Array {
  const one = (i: number) => ({
    reference: new Uint8Array(16).fill(i + 1),
    amountMsat: milliSatoshi(amountMsat),
  });
  return packPayments(Array.from({ length: count }, (_, i) => one(i)));
}
