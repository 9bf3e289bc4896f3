/** An own reference is used once: a repeated command pays nothing (rule `credited-once`, the payer's half). */
import type { ChannelEvent } from "../channel/effects.ts";
import type { Update } from "../channel/record.ts";
import { countPayments } from "../payments/push.ts";
import type { CommitOutcome, Store } from "../ports/store.ts";
import { ReferenceSet } from "./reference-set.ts";

/** Whether any of these packed payments was made before. */
export function isKnownReference(store: Store, payments: Uint8Array): Promise<boolean> | boolean {
  if (store.isAnyDebited) return store.isAnyDebited(payments);
  const waiting: Promise<boolean>[] = [];
  for (let i = 0; i < countPayments(payments); i++) {
    const reference = payments.subarray(i * 24, i * 24 + 16);
    const known = store.isDebited(reference);
    if (known === true) return true;
    if (known instanceof Promise) waiting.push(known);
  }
  if (waiting.length === 0) return false;
  return Promise.all(waiting).then((all) => all.includes(true));
}

/** References of pushes that were proposed in this session and are not yet signed. */
export class ProposedReferences {
  private references: ReferenceSet | undefined;

  get isEmpty(): boolean {
    return this.references === undefined;
  }

  /** Adds packed payments before they are proposed; false where one is proposed already, or stands there twice. */
  add(payments: Uint8Array): boolean {
    const count = countPayments(payments);
    if (this.references === undefined && count === 1) return true;
    this.references ??= new ReferenceSet(0, count);
    return this.references.addPacked(payments).length === 0;
  }

  /** What is proposed now, after a push of these payments, if any, was added, and was proposed or refused. */
  after(proposed: readonly Update[], payments?: Uint8Array): void {
    if (proposed.length === 0) this.references = undefined;
    else if (payments && (this.isEmpty || !isProposed(proposed.at(-1), payments))) {
      this.references = new ReferenceSet();
      for (const one of proposed) if (one.type === "push") this.references.addPacked(one.payments);
    }
  }
}

function isProposed(update: Update | undefined, payments: Uint8Array): boolean {
  return update?.type === "push" && update.payments === payments;
}

/** Tells which payments of a push were credited before; `from`: those of this commit that come before its own. */
export function withDuplicates(
  event: Extract<ChannelEvent, { type: "pushReceived" }>,
  { duplicateCredits }: CommitOutcome,
  from: number,
): ChannelEvent {
  const last = from + countPayments(event.payments);
  const own = duplicateCredits.filter((i) => i >= from && i < last);
  return own.length > 0 ? { ...event, duplicates: own.map((i) => i - from) } : event;
}
