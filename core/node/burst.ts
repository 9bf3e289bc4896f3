/** A burst of updates shares a signature: signing waits for the next update in a channel's queue (BOLT 2 "Batching"). */
import type { Input } from "../channel/inputs.ts";

/** Then it is signed, however much waits. */
const MAX_BURST = 256;
const UPDATES: readonly Input["type"][] = ["push", "addHtlc", "fulfillHtlc", "failHtlc"];

export class Burst {
  private length = 0;

  /** Whether what is worked on now is signed together with `next`, which follows it. */
  goesOn(next: Input | undefined): boolean {
    const more = next !== undefined && UPDATES.includes(next.type);
    this.length = more ? (this.length + 1) % MAX_BURST : 0;
    return this.length > 0;
  }
}
