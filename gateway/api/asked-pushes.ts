/** Pushes that were given to their channel, until it has told what became of them: a call that is tried again gives none twice. */
import type { EventHub } from "../run/event-hub.ts";

const REFERENCE_DIGITS = 32;

interface Told {
  readonly type: string;
  readonly command?: { readonly type: string; readonly payments?: string };
  readonly payments?: readonly { readonly reference: string }[];
}

export class AskedPushes {
  private readonly references = new Set<string>();

  constructor(events: EventHub) {
    events.follow(({ event }) => {
      if (event.type !== "channel") return;
      const { type, command, payments = [] } = event.event as Told;
      if (type === "rejected" && command?.payments !== undefined) {
        this.references.delete(command.payments.slice(0, REFERENCE_DIGITS));
      }
      // From now on the store knows it.
      if (type === "pushCommitted")
        for (const one of payments) this.references.delete(one.reference);
    });
  }

  /** It may yet be paid, or refused. */
  has(reference: string): boolean {
    return this.references.has(reference);
  }

  /** Calls `give` unless the push of that reference, hexadecimal, waits already; `give`: false where there is no such channel. */
  once(reference: string, give: () => boolean): boolean {
    if (this.references.has(reference)) return true;
    this.references.add(reference);
    const isGiven = give();
    if (!isGiven) this.references.delete(reference);
    return isGiven;
  }
}
