/** What must be true once nothing is left to do: both sides tell the same story, and each update happened once or not at all. */
import type { ChannelRecord, State } from "../../core/channel/record.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { amountOf, feerateOf, hashOf, type Plan, paymentsOf, type SideName } from "./plan.ts";
import type { SideState } from "./side.ts";

type Sides = Readonly<Record<SideName, SideState>>;

const OPENED_MSAT = { a: 600_000_000, b: 400_000_000 };
const OPENED_FEERATE = 1_000;

/** Which of the wishes came true, in the words of an outcome. */
export function ending(plan: Plan, sides: Sides): string {
  return plan.map((_, i) => (isDone(plan, i, sides) ? "done" : "not done")).join(", ");
}

/** What is wrong with an end; undefined: nothing. */
export function complain(plan: Plan, sides: Sides): string | undefined {
  const records = { a: sides.a.channel.record, b: sides.b.channel.record };
  for (const name of ["a", "b"] as const) {
    const unfinished = unfinishedIn(sides[name]);
    if (unfinished !== undefined) return `${name} is not done: ${unfinished}`;
  }
  const differences = mirror(records.a, records.b);
  if (differences.length > 0) return `the records differ in ${differences.join(", ")}`;
  for (const [i, { by }] of plan.entries()) {
    const told = toldComplaint(plan, i, sides, by);
    if (told !== undefined) return `${told} (update ${i} of ${by})`;
  }
  return accountComplaint(plan, sides, records.a);
}

function unfinishedIn({ channel: { record, session } }: SideState): string | undefined {
  const { pending, base } = record;
  if (record.phase !== "normal") return `it is ${record.phase}`;
  if (!session.reestablishReceived || !session.reestablishSent) return "it is not connected";
  if (record.awaitingRevocation) return "it waits for a revocation";
  if (base.htlcs.length > 0) return `${base.htlcs.length} HTLCs are open`;
  const lists = [...Object.values(pending), session.localProposed, session.remoteProposed];
  if (lists.some((updates) => updates.length > 0)) return "an update is under way";
  if (record.receiptsAwaited.length > 0) return "a receipt is missing";
  if (record.receiptsBelow !== record.nextLocalPushId) return "a receipt was skipped";
  return undefined;
}

/** Each field of one record beside its like in the other. */
function mirror(a: ChannelRecord, b: ChannelRecord): readonly string[] {
  const pairs: Readonly<Record<string, readonly [unknown, unknown]>> = {
    "alice's balance": [a.base.toLocalMsat, b.base.toRemoteMsat],
    "bob's balance": [a.base.toRemoteMsat, b.base.toLocalMsat],
    feerate: [a.base.feeratePerKw, b.base.feeratePerKw],
    "alice's commitment": [a.localNumber, b.remoteNumber],
    "bob's commitment": [a.remoteNumber, b.localNumber],
    "alice's HTLC ids": [a.nextLocalHtlcId, b.nextRemoteHtlcId],
    "bob's HTLC ids": [a.nextRemoteHtlcId, b.nextLocalHtlcId],
    "alice's push ids": [a.nextLocalPushId, b.nextRemotePushId],
    "bob's push ids": [a.nextRemotePushId, b.nextLocalPushId],
  };
  return Object.entries(pairs).flatMap(([name, [one, other]]) => (one === other ? [] : [name]));
}

/** Whether it came true: a push that the payer's store holds, an HTLC that the payee held, a feerate that is another. */
function isDone(plan: Plan, index: number, sides: Sides): boolean {
  const wish = plan[index];
  if (!wish) return false;
  const payee = sides[wish.by === "a" ? "b" : "a"];
  switch (wish.kind) {
    case "push":
      return sides[wish.by].debited.includes(toHex(paymentsOf(index).subarray(0, 16)));
    case "fulfil":
    case "fail":
      return payee.told.includes(`held ${toHex(hashOf(index))}`);
    case "fee":
      return sides.a.channel.record.base.feeratePerKw !== OPENED_FEERATE;
  }
}

/** What the applications heard, against what happened. */
function toldComplaint(plan: Plan, index: number, sides: Sides, by: SideName): string | undefined {
  const wish = plan[index];
  const payee = sides[by === "a" ? "b" : "a"];
  const { told } = sides[by];
  const done = isDone(plan, index, sides);
  if (wish?.kind === "push") {
    const reference = toHex(paymentsOf(index).subarray(0, 16));
    if (payee.credited.includes(reference) !== done) {
      return done ? "paid and not credited" : "credited and not paid";
    }
  }
  if (wish?.kind === "fee") return undefined;
  const held = `held ${toHex(hashOf(index))}`;
  if (told.includes(held) !== payee.told.includes(held)) return "only one side held the HTLC";
  const about = toHex(wish?.kind === "push" ? paymentsOf(index) : hashOf(index));
  if (done && told.includes(`rejected ${about}`)) return "it was rejected, and happened";
  if (!done && told.includes(`committed ${about}`)) return "it was committed, and did not happen";
  if (wish?.kind === "fulfil" && told.includes(`failed ${about}`)) return "a fulfilled HTLC failed";
  if (wish?.kind === "fail" && told.includes(`fulfilled ${about}`)) return "a failed HTLC was paid";
  return undefined;
}

/** To the millisatoshi. */
function accountComplaint(plan: Plan, sides: Sides, { base }: ChannelRecord): string | undefined {
  const wanted = { ...OPENED_MSAT };
  for (const [i, { by, kind }] of plan.entries()) {
    if ((kind !== "push" && kind !== "fulfil") || !isDone(plan, i, sides)) continue;
    wanted[by] -= amountOf(i);
    wanted[by === "a" ? "b" : "a"] += amountOf(i);
  }
  const { toLocalMsat, toRemoteMsat, feeratePerKw }: State = base;
  if (toLocalMsat !== wanted.a || toRemoteMsat !== wanted.b) {
    return `alice has ${toLocalMsat}, bob ${toRemoteMsat}; should be ${wanted.a}, ${wanted.b}`;
  }
  const rates = plan.flatMap(({ kind }, i) => (kind === "fee" ? [feerateOf(i)] : []));
  if (![OPENED_FEERATE, 0, ...rates].includes(feeratePerKw)) return `feerate ${feeratePerKw}`;
  return undefined;
}
