/** Updates that are commanded together share a signature, and one that is refused leaves none of the others unsigned. */
import { expect, test } from "vitest";
import { open } from "../support/commands.ts";
import { payment, type TestNode } from "../support/node-pair.ts";

const push = (payments: Uint8Array) => ({ type: "push", payments }) as const;

function signatures(side: TestNode): number {
  return side.sent.filter(({ type }) => type === "commitment_signed").length;
}

test("ten pushes in one command: one commitment_signed of each side, every push received", async () => {
  const { pair, id } = await open();
  const before = [signatures(pair.a), signatures(pair.b)] as const;
  pair.a.node.command(id, ...Array.from({ length: 10 }, () => push(payment(1_000))));
  pair.cable.pump();
  expect([signatures(pair.a) - before[0], signatures(pair.b) - before[1]]).toEqual([1, 1]);
  expect(pair.b.events("pushReceived")).toHaveLength(10);
  expect(pair.balances(id)[1]).toBe(10_000);
  pair.expectPeace();
});

test("the last of a burst has a used reference: it is refused, those before it are paid", async () => {
  const { pair, id } = await open();
  const first = payment(1_000);
  pair.a.node.command(id, push(first), push(payment(500)), push(first));
  pair.cable.pump();
  expect(pair.a.events("rejected")).toMatchObject([
    { reason: "this payment reference was used before: nothing was paid" },
  ]);
  expect(pair.balances(id)[1]).toBe(1_500);
  pair.expectPeace();
});

test("a burst longer than may share a signature is signed in parts, and all of it arrives", async () => {
  const { pair, id } = await open();
  pair.a.node.command(id, ...Array.from({ length: 300 }, () => push(payment(1))));
  pair.cable.pump();
  expect(pair.balances(id)[1]).toBe(300);
  expect(pair.b.events("receipt").length + pair.a.events("receipt").length).toBe(300);
  pair.expectPeace();
});
