/** A payment reference is paid once and credited once, whatever is repeated, restarted or cheated (rule `credited-once`); and not before the payer revoked (rule `paid-when-revoked`). */
import { expect, test } from "vitest";
import { concat } from "../../core/primitives/bytes.ts";
import { commanded, open } from "../support/commands.ts";
import { payment, type TestNode } from "../support/node-pair.ts";

const AGAIN = "this payment reference was used before: nothing was paid";

function pay(side: TestNode, id: Parameters<TestNode["node"]["command"]>[0], payments: Uint8Array) {
  return commanded(side, () => side.node.command(id, { type: "push", payments }));
}

test("the same command twice pays once: at once, after it settled, after a restart", async () => {
  const { pair, id } = await open();
  const payments = payment(1_000);
  expect(pay(pair.a, id, payments)).toBeUndefined();
  expect(pay(pair.a, id, payments)).toBe(AGAIN);
  pair.cable.pump();
  expect(pay(pair.a, id, payments)).toBe(AGAIN);
  await pair.restart(pair.a);
  pair.connect();
  expect(pay(pair.a, id, payments)).toBe(AGAIN);
  expect(pair.balances(id)[1]).toBe(1_000);
  pair.expectPeace();
});

test("a reference twice in one batch, or in a batch that waits for its signature, is refused", async () => {
  const { pair, id } = await open();
  const first = payment(1_000);
  const second = payment(2_000);
  expect(pay(pair.a, id, concat(first, first))).toBe(AGAIN);
  expect(pay(pair.a, id, payment(5))).toBeUndefined();
  expect(pay(pair.a, id, first)).toBeUndefined(); // waits for the revocation
  expect(pay(pair.a, id, concat(second, first))).toBe(AGAIN);
  expect(pay(pair.a, id, second)).toBeUndefined(); // the refused batch used nothing up
  pair.cable.pump();
  expect(pair.balances(id)[1]).toBe(3_005);
  pair.expectPeace();
});

test("a reference that was refused for want of money may be used later", async () => {
  const { pair, id } = await open({ pushMsat: 100_000_000 });
  const payments = payment(95_000_000);
  expect(pay(pair.b, id, payments)).toMatch(/reserve/);
  expect(pay(pair.a, id, payment(50_000_000))).toBeUndefined();
  pair.cable.pump();
  expect(pay(pair.b, id, payments)).toBeUndefined();
  pair.expectPeace();
});

test("a reference lost with the link is told and may be used again", async () => {
  const { pair, id } = await open();
  pay(pair.a, id, payment(1));
  const payments = payment(1_000);
  expect(pay(pair.a, id, payments)).toBeUndefined(); // proposed, not signed
  pair.disconnect();
  expect(pair.a.events("rejected").at(-1)).toMatchObject({
    command: { type: "push", payments },
    reason: "the link was lost before it was signed: nothing was paid",
  });
  pair.connect();
  expect(pay(pair.a, id, payments)).toBeUndefined();
  pair.cable.pump();
  expect(pair.balances(id)[1]).toBe(1_001);
});

test("a payer that repeats a reference pays twice and is credited once, also after the payee's restart", async () => {
  const { pair, id } = await open();
  const payments = payment(1_000, 3);
  expect(pay(pair.a, id, payments)).toBeUndefined();
  pair.cable.pump();
  // A cheat forgets what it paid.
  pair.a.checking.isDebited = () => false;
  await pair.restart(pair.b);
  pair.connect();
  expect(pay(pair.a, id, concat(payments.slice(24, 48), payment(7)))).toBeUndefined();
  pair.cable.pump();
  const told = pair.b.events("pushReceived");
  expect(told.map(({ duplicates }) => duplicates)).toEqual([undefined, [0]]);
  expect(pair.balances(id)[1]).toBe(4_007);
});

test("two pushes with one reference, settled by one revocation, name the second as the duplicate", async () => {
  const { pair, id } = await open();
  pair.a.checking.isDebited = () => false;
  pay(pair.a, id, payment(1));
  const payments = payment(500);
  pay(pair.a, id, payments);
  pair.a.tamper = (message) =>
    message.type === "update_push" && message.id === 2
      ? [{ ...message, payments: payments.slice() }]
      : [message];
  pay(pair.a, id, payment(500));
  pair.cable.pump();
  expect(pair.b.events("pushReceived").map(({ duplicates }) => duplicates)).toEqual([
    undefined,
    undefined,
    [0],
  ]);
});

test("a push is told as received when its payer has revoked the state before it, and not one message sooner", async () => {
  const { pair, id } = await open();
  pay(pair.a, id, payment(1_000));
  const revocations = () => pair.a.sent.filter(({ type }) => type === "revoke_and_ack").length;
  while (pair.cable.waiting > 0) {
    const before = pair.b.events("pushReceived").length;
    expect(before).toBeLessThanOrEqual(revocations());
    pair.cable.pump(1);
    if (revocations() === 0) expect(pair.b.events("pushReceived")).toEqual([]);
  }
  expect(pair.b.events("pushReceived").length).toBe(1);
  // The same with a payer that never revokes.
  const other = await open();
  other.pair.a.tamper = (message) => (message.type === "revoke_and_ack" ? [] : [message]);
  pay(other.pair.a, other.id, payment(1_000));
  other.pair.cable.pump();
  expect(other.pair.b.events("pushReceived")).toEqual([]);
  expect(other.pair.b.events("receipt")).toEqual([]);
});

test("a payer is told in order: committed, settled, receipt", async () => {
  const { pair, id } = await open();
  pay(pair.a, id, payment(1_000));
  pair.cable.pump();
  const told = pair.a.told.map(({ event }) => event.type).filter((type) => type !== "rejected");
  expect(told.slice(-3)).toEqual(["pushCommitted", "pushSettled", "receipt"]);
});
