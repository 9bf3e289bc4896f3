/** What a claim may pay at a height: rises from economy to now towards its deadline in replaceable steps (BIP 125, BOLT 5). */
import type { BlockHeight, Satoshi } from "../../primitives/brands.ts";
import { satoshi } from "../../primitives/brands.ts";
import type { MonitorPolicy } from "./watched.ts";

/** Whether someone else can take the output after the deadline: then the rate keeps rising. */
export type Urgency = "contested" | "patient";

export interface FeeSchedule {
  /** The first tip at which the claim could be published. */
  readonly start: BlockHeight;
  readonly deadline: BlockHeight;
  readonly urgency: Urgency;
}

/** What most nodes relay at least: 1 satoshi per virtual byte, rounded up. */
export const MIN_FEERATE_PER_KW = 253;
/** What Bitcoin Core wants more for relaying a replacement: 1 satoshi per virtual byte, and a little for rounding. */
export const REPLACEMENT_STEP_PER_KW = 253;
/** The rate rises this often between start and deadline; versions within one step are the same bytes. */
const MAX_STEPS = 12;
/** Steps after a missed deadline, one a block. */
const MAX_LATE_STEPS = 24;
const LATE_FACTOR = 1.25;

/**
 * Satoshi per 1000 weight at `tip`, never above `ceiling`. While the policy's rates stay as they are, a version
 * pays either the same as the one before, or at least REPLACEMENT_STEP_PER_KW more, so that it can replace it.
 */
export function feerateAt(
  { start, deadline, urgency }: FeeSchedule,
  tip: BlockHeight,
  policy: MonitorPolicy,
  ceiling: number = Number.MAX_SAFE_INTEGER,
): number {
  const span = Math.max(1, deadline - start);
  const steps = Math.min(span, MAX_STEPS);
  const elapsed = Math.max(0, tip - start);
  const onTime = Math.min(steps, Math.floor((elapsed * steps) / span));
  const late = urgency === "patient" ? 0 : Math.min(MAX_LATE_STEPS, Math.max(0, elapsed - span));
  let feerate = Math.min(ceiling, estimate(0, urgency, policy));
  for (let step = 1; step <= onTime + late; step++) {
    const wanted =
      step <= onTime ? estimate(step / steps, urgency, policy) : Math.ceil(feerate * LATE_FACTOR);
    const next = Math.min(ceiling, Math.max(wanted, feerate + REPLACEMENT_STEP_PER_KW));
    if (next - feerate < REPLACEMENT_STEP_PER_KW) break;
    feerate = next;
  }
  return feerate;
}

export function feeFor(weight: number, feeratePerKw: number): Satoshi {
  return satoshi(Math.ceil((weight * feeratePerKw) / 1000));
}

/** The policy's rate at a fraction of the way to the deadline. */
function estimate(fraction: number, urgency: Urgency, policy: MonitorPolicy): number {
  const { economy, soon, now } = policy.feeratesPerKw;
  const low = Math.max(economy, MIN_FEERATE_PER_KW);
  const middle = Math.max(soon, low);
  const high = urgency === "patient" ? middle : Math.max(now, middle);
  const first = fraction < 0.5;
  const from = first ? low : middle;
  const to = first ? middle : high;
  return Math.ceil(from + (to - from) * (first ? fraction * 2 : fraction * 2 - 1));
}
