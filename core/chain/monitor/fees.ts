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
/** One satoshi per virtual byte: what Bitcoin Core wants more for relaying a replacement. */
export const REPLACEMENT_STEP_PER_KW = 250;
/** The rate rises this often between start and deadline; versions within one step are the same bytes. */
const MAX_STEPS = 12;
/** Steps after a missed deadline, one a block. */
const MAX_LATE_STEPS = 24;

/**
 * Satoshi per 1000 weight at `tip`. While the policy's rates stay as they are, every step pays at
 * least REPLACEMENT_STEP_PER_KW more than the one before, so that it can replace it.
 */
export function feerateAt(schedule: FeeSchedule, tip: BlockHeight, policy: MonitorPolicy): number {
  const { start, deadline, urgency } = schedule;
  const span = Math.max(1, deadline - start);
  const steps = Math.min(span, MAX_STEPS);
  const elapsed = Math.max(0, tip - start);
  const onTime = Math.min(steps, Math.floor((elapsed * steps) / span));
  let feerate = estimate(0, urgency, policy);
  for (let step = 1; step <= onTime; step++) {
    feerate = Math.max(estimate(step / steps, urgency, policy), feerate + REPLACEMENT_STEP_PER_KW);
  }
  if (urgency === "patient") return feerate;
  const late = Math.min(MAX_LATE_STEPS, Math.max(0, elapsed - span));
  for (let step = 0; step < late; step++) {
    feerate = Math.max(Math.ceil(feerate * 1.25), feerate + REPLACEMENT_STEP_PER_KW);
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
