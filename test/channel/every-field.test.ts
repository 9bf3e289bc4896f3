/** Every field of every message of a live channel made wrong, once: a warning, a dropped link, nothing changed, and afterwards all goes on. */
import { describe, expect, test } from "vitest";
import { channelMessages } from "../../core/messages/channel.ts";
import type { Message } from "../../core/messages/message.ts";
import type { Field } from "../../core/messages/schema.ts";
import { updateMessages } from "../../core/messages/update.ts";
import { HonestPair } from "../support/honest-app.ts";
import { crypto, Pair, payment, type TestNode } from "../support/node-pair.ts";

const FUNDING_MSAT = 1_000_000_000;
const PUSHED_MSAT = 400_000_000;
/** No y belongs to this x. */
const OFF_CURVE = Uint8Array.of(2, ...new Uint8Array(31), 5);

/** Fields that may be anything: what they are for is not endangered by a wrong value. */
const HARMLESS: Readonly<Record<string, string>> = {
  "update_push.receiptsBelow": "the sender's own receipts",
  "channel_reestablish.receiptsBelow": "the sender's own receipts",
  "channel_reestablish.myCurrentPerCommitmentPoint": "ignored (BOLT 2)",
  "push_receipt.id": "a receipt for no push is ignored, and sent again with the next link",
  "update_add_htlc.onionRoutingPacket": "between payer and payee",
  "update_fail_htlc.reason": "between payee and payer",
  "closing_complete.closerOutputOnly": "the closee signs the variant with both outputs",
};
/** Looked at in data-loss.test.ts: the peer is asked to close. */
const ELSEWHERE = ["channel_reestablish.nextCommitmentNumber"];

const SKIPPED = ["open_channel", "accept_channel", "funding_created", "funding_signed"];
const NEVER_SENT = ["update_fail_malformed_htlc", "channel_ready"];
const definitions = [...channelMessages, ...updateMessages].filter(
  ({ name }) => !SKIPPED.includes(name) && !NEVER_SENT.includes(name),
);

interface Wrong {
  readonly what: string;
  readonly value: unknown;
}

function wrongValues(field: Field<unknown>, value: unknown): readonly Wrong[] {
  const { shape } = field;
  switch (shape.kind) {
    case "uint":
      return [{ what: "one more", value: (value as number) + 1 }];
    case "bytes":
      return [{ what: "a flipped bit", value: flipped(value as Uint8Array) }];
    case "point":
      return [{ what: "off the curve", value: OFF_CURVE }];
    case "list": {
      const list = value as readonly unknown[];
      return [
        ...(list.length > 0 ? [{ what: "one less", value: list.slice(1) }] : []),
        { what: "one more", value: [...list, new Uint8Array(64).fill(1)] },
        ...(list.length > 0
          ? [{ what: "a flipped bit", value: [flipped(list[0] as Uint8Array), ...list.slice(1)] }]
          : []),
      ];
    }
    case "optional":
      return value === undefined
        ? []
        : [{ what: "absent", value: undefined }, ...wrongValues(shape.of, value)];
    default:
      throw new Error(`no wrong value for ${shape.kind}`);
  }
}

function flipped(bytes: Uint8Array): Uint8Array {
  const out = bytes.length === 0 ? new Uint8Array(1) : bytes.slice();
  out[out.length - 1] = (out[out.length - 1] as number) ^ 1;
  return out;
}

/** A whole life, message by message; `seen` is asked after each delivery. */
async function live(honest: HonestPair, seen: () => void): Promise<void> {
  const { pair, a, b, id } = honest;
  const pump = async () => {
    for (let i = 0; pair.cable.waiting > 0 && i < 400; i++) {
      pair.cable.pump(1);
      seen();
      honest.react();
    }
  };
  a.push(payment(1_000));
  b.push(payment(2_000, 3));
  await pump();
  a.offer(40_000_000, true);
  b.offer(30_000_000, false);
  a.offer(25_000_000, false);
  b.offer(20_000_000, true);
  await pump();
  pair.a.node.command(id, { type: "updateFee", feeratePerKw: 1_500 });
  await pump();
  pair.reconnect();
  await honest.settle();
}

interface Case {
  readonly type: string;
  readonly name: string;
  readonly field: Field<unknown>;
}

const cases: readonly Case[] = definitions.flatMap(({ name: type, fields }) =>
  Object.entries(fields)
    .filter(([name]) => name !== "channelId" && !ELSEWHERE.includes(`${type}.${name}`))
    .map(([name, field]) => ({ type, name, field: field as Field<unknown> })),
);

describe.each(cases.map((one) => [`${one.type}.${one.name}`, one] as const))("%s", (path, one) => {
  test.each(["a", "b"] as const)("from %s", async (who) => {
    let variants = 1;
    let tried = 0;
    for (let variant = 0; variant < variants; variant++) {
      const outcome = await liveWithWrong(one, who, variant);
      variants = outcome.variants;
      if (outcome.hit) tried++;
      if (!outcome.hit || path in HARMLESS) continue;
      const [first = "nothing"] = outcome.violations;
      expect({ path, variant, first }).not.toMatchObject({ first: "nothing" });
    }
    if (who === "a" && one.field.shape.kind !== "optional") expect(tried).toBeGreaterThan(0);
  });
});

/** The first message of this type that `who` sends is made wrong in one field. */
async function liveWithWrong(one: Case, who: "a" | "b", variant: number) {
  const pair = await Pair.make();
  const id = await pair.open({ channelType: "anchors", pushMsat: PUSHED_MSAT });
  const start = { a: FUNDING_MSAT - PUSHED_MSAT, b: PUSHED_MSAT };
  const honest = new HonestPair(pair, id, start);
  const victim = pair[who === "a" ? "b" : "a"];
  let variants = 0;
  let hit = false;
  pair[who].tamper = (message) => {
    if (hit || message.type !== one.type) return [message];
    const value: unknown = message[one.name as keyof Message];
    if (Array.isArray(value) && value.length === 0) return [message]; // a later one has more
    const values = wrongValues(one.field, value);
    variants = values.length;
    const wrong = values[variant];
    if (!wrong) return [message];
    hit = true;
    return [{ ...message, [one.name]: wrong.value } as Message];
  };
  const unchanged = watchViolations(victim);
  const closes = ["shutdown", "closing_complete", "closing_sig"].includes(one.type);
  if (closes) await close(honest, who, unchanged);
  else {
    await live(honest, unchanged);
    if (!(one.type === "update_push" && one.name === "payments")) {
      await honest.expectSettled({ quiet: false });
    }
  }
  for (const side of [pair.a, pair.b]) {
    expect(side.events("forceClosing")).toEqual([]);
    expect(side.checking.faults).toEqual([]);
    expect(side.claims).toEqual([]);
  }
  const violations = victim.events("violation").map(({ tag }) => tag);
  return { hit, variants, violations };
}

async function close(honest: HonestPair, who: "a" | "b", seen: () => void): Promise<void> {
  const { pair, id } = honest;
  const closer = who === "a" ? pair.a : pair.b;
  closer.node.command(id, { type: "close", feeratePerKw: 500 });
  const other = who === "a" ? pair.b : pair.a;
  other.node.command(id, { type: "close", feeratePerKw: 700 });
  for (let round = 0; round < 4; round++) {
    for (let i = 0; pair.cable.waiting > 0 && i < 100; i++) {
      pair.cable.pump(1);
      seen();
    }
    pair.reconnect();
  }
  expect(pair.a.closes.length).toBeGreaterThan(0);
  expect(pair.b.closes.length).toBeGreaterThan(0);
}

/** Asserts, when called after each delivery, that a violation left the record as it was. */
function watchViolations(side: TestNode): () => void {
  let told = 0;
  let commits = side.checking.commits;
  let violations = 0;
  return () => {
    const fresh = side.told.slice(told).map(({ event }) => event);
    told = side.told.length;
    const now = side.events("violation").length;
    if (now === violations + 1 && fresh.length === 1) {
      expect(side.checking.commits).toBe(commits);
      expect(side.sent.at(-1)?.type).toBe("warning");
      expect(side.node.isConnected(side.nodeId)).toBe(false);
    }
    violations = now;
    commits = side.checking.commits;
  };
}

test("a message for a channel that is not known is answered by an error under that id, and nothing else happens", async () => {
  const pair = await Pair.make();
  const id = await pair.open();
  const stranger = flipped(id) as typeof id;
  pair.b.node.sendService(pair.a.nodeId, {
    type: "shutdown",
    channelId: stranger,
    scriptpubkey: new Uint8Array(22),
  });
  const before = pair.a.checking.commits;
  pair.cable.pump();
  expect(pair.a.checking.commits).toBe(before);
  pair.a.node.command(id, { type: "push", payments: payment(5) });
  pair.cable.pump();
  expect(pair.b.events("pushReceived").length).toBe(1);
  pair.expectPeace();
});

test("the point off the curve is off the curve", () => {
  expect(crypto.isPublicKey(OFF_CURVE)).toBe(false);
});
