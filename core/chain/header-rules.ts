/** The rules that one header must obey after another (Bitcoin consensus: GetNextWorkRequired, ContextualCheckBlockHeader; BIP 94, 113). */
import { type BlockHeight, blockHeight } from "../primitives/brands.ts";
import type { Network } from "./networks.ts";
import { hashToNumber, retargetedBits, startsPeriod, targetOf, workOf } from "./work.ts";

/** Why headers are refused. */
export type HeaderRule =
  | "length"
  | "too-many"
  | "unconnected"
  | "proof-of-work"
  | "bits"
  | "time-too-old"
  | "time-too-new"
  | "time-warp"
  | "version"
  | "less-work";

/** One block as the rules for the next one see it. */
export interface Cursor {
  readonly height: BlockHeight;
  readonly hash: Uint8Array;
  readonly bits: number;
  /** Times of the newest blocks up to this one, oldest first, at most 11. */
  readonly times: readonly number[];
  /** Of the first block of this retarget period. */
  readonly periodTime: number;
  readonly periodBits: number;
  /** Of the whole chain up to this block. */
  readonly work: bigint;
}

export interface HeaderFields {
  readonly version: number;
  readonly time: number;
  readonly bits: number;
  readonly hash: Uint8Array;
}

export type StepOutcome =
  | { readonly ok: true; readonly cursor: Cursor }
  | { readonly ok: false; readonly rule: HeaderRule; readonly reason: string };

export const MEDIAN_TIME_BLOCKS = 11;
export const MAX_FUTURE_SECONDS = 7200;
/** BIP 94: a period's first block may lie this far before the block before it, and no further. */
const MAX_TIMEWARP_SECONDS = 600;
/** BIP 94 networks: after this long a block of least difficulty is due. */
const MIN_DIFFICULTY_AFTER_SECONDS = 1200;

export function nextCursor(
  network: Network,
  previous: Cursor,
  header: HeaderFields,
  nowSeconds: number | undefined,
): StepOutcome {
  const height = previous.height + 1;
  const required = requiredBits(network, previous, header.time);
  if (header.bits !== required) {
    return refused("bits", `difficulty bits ${hex(header.bits)} where ${hex(required)} is due`);
  }
  const target = targetOf(header.bits);
  if (target === undefined || hashToNumber(header.hash) > target) {
    return refused("proof-of-work", "its hash does not reach its target");
  }
  const late = timeRefusal(network, previous, header.time, nowSeconds);
  if (late !== undefined) return late;
  const rule = network.versions.find((v) => height >= v.fromHeight && header.version < v.version);
  if (rule !== undefined) {
    return refused("version", `version ${header.version} where at least ${rule.version} is due`);
  }
  const opensPeriod = startsPeriod(height);
  return {
    ok: true,
    cursor: {
      height: blockHeight(height),
      hash: header.hash,
      bits: header.bits,
      times: previous.times.slice(-(MEDIAN_TIME_BLOCKS - 1)).concat(header.time),
      periodTime: opensPeriod ? header.time : previous.periodTime,
      periodBits: opensPeriod ? header.bits : previous.periodBits,
      work: previous.work + workOf(target),
    },
  };
}

/** The bits that a block after `previous` must carry. */
export function requiredBits(network: Network, previous: Cursor, time: number): number {
  if (network.retarget === "none") return previous.bits;
  if (!startsPeriod(previous.height + 1)) {
    if (network.retarget === "every-2016") return previous.bits;
    const lastTime = previous.times[previous.times.length - 1] as number;
    // Within a period, only blocks of least difficulty differ from the first one's bits.
    return time > lastTime + MIN_DIFFICULTY_AFTER_SECONDS
      ? network.powLimitBits
      : previous.periodBits;
  }
  return retargetedBits({
    bits: network.retarget === "bip94" ? previous.periodBits : previous.bits,
    firstTime: previous.periodTime,
    lastTime: previous.times[previous.times.length - 1] as number,
    powLimitBits: network.powLimitBits,
  });
}

function timeRefusal(
  network: Network,
  previous: Cursor,
  time: number,
  nowSeconds: number | undefined,
): StepOutcome | undefined {
  const median = medianTime(previous);
  if (median !== undefined && time <= median) {
    return refused("time-too-old", `time ${time} is not after the median ${median} of the last 11`);
  }
  const lastTime = previous.times[previous.times.length - 1] as number;
  if (
    network.retarget === "bip94" &&
    startsPeriod(previous.height + 1) &&
    time < lastTime - MAX_TIMEWARP_SECONDS
  ) {
    return refused("time-warp", "a period's first block lies more than 600 s before the last one");
  }
  if (nowSeconds !== undefined && time > nowSeconds + MAX_FUTURE_SECONDS) {
    return refused("time-too-new", `time ${time} is more than two hours ahead of ${nowSeconds}`);
  }
  return undefined;
}

/** Undefined where a checkpoint did not tell enough of the times before it. */
export function medianTime(cursor: Cursor): number | undefined {
  const known = cursor.times.length;
  if (known < MEDIAN_TIME_BLOCKS && known < cursor.height + 1) return undefined;
  // Blocks come nearly in the order of their times: each is moved past few others, where a sort compares by calls.
  const sorted = cursor.times.slice();
  for (let i = 1; i < known; i++) {
    const time = sorted[i] as number;
    let at = i;
    for (; at > 0 && (sorted[at - 1] as number) > time; at--) sorted[at] = sorted[at - 1] as number;
    sorted[at] = time;
  }
  return sorted[known >> 1];
}

function hex(bits: number): string {
  return `0x${bits.toString(16).padStart(8, "0")}`;
}

function refused(rule: HeaderRule, reason: string): StepOutcome {
  return { ok: false, rule, reason };
}
