/** Which HTLCs that we offered the chain has decided against, so that they can be failed upstream (BOLT 5). */
import type { Preimage } from "../../primitives/brands.ts";
import { equal } from "../../primitives/bytes.ts";
import type { CommitmentHtlc } from "../../transactions/terms.ts";
import { isTrimmed } from "../../transactions/weights.ts";
import { type Case, confirmations, isIrrevocable } from "./plan.ts";
import { specs } from "./recognise.ts";
import type { OutputReport, WatchedChannel } from "./watched.ts";

/** BOLT 5's "reasonable depth" after which a timeout, or a commitment without the HTLC, is taken as final. */
export const REASONABLE_DEPTH_BLOCKS = 6;

interface Offered {
  readonly htlc: CommitmentHtlc;
  /** It has an output in one of the valid commitments: a reorganisation could bring that. */
  readonly hasOutput: boolean;
}

export function failedHtlcIds(
  work: Case,
  reports: readonly OutputReport[],
  preimages: readonly Preimage[],
): readonly number[] {
  const hashes = preimages.map((known) => work.context.crypto.sha256(known));
  const failed: number[] = [];
  for (const [id, offered] of offeredHtlcs(work.channel)) {
    if (hashes.some((hash) => equal(hash, offered.htlc.paymentHash))) continue;
    const report = reports.find(
      ({ kind, htlc }) => kind === "offered-htlc" && htlc?.offeredByLocal && htlc.id === id,
    );
    if (report ? isDecided(work, offered, report) : isMissing(work, offered)) failed.push(id);
  }
  return failed.sort((a, b) => a - b);
}

/** Those of all valid commitments, by id. */
export function offeredHtlcs(channel: WatchedChannel): ReadonlyMap<number, Offered> {
  const { channelType } = channel.terms;
  const found = new Map<number, Offered>();
  for (const [side, spec] of specs(channel)) {
    const { dustLimitSatoshis } = channel.terms[side];
    const trim = { channelType, feeratePerKw: spec.feeratePerKw, dustLimitSatoshis };
    for (const htlc of spec.htlcs) {
      if (htlc.offered !== (side === "local")) continue;
      const hasOutput = !isTrimmed(trim, htlc) || found.get(htlc.id)?.hasOutput === true;
      found.set(htlc.id, { htlc, hasOutput });
    }
  }
  return found;
}

/** It has an output in the confirmed commitment: back with us, or not worth claiming and long expired. */
function isDecided({ view, policy }: Case, { htlc }: Offered, report: OutputReport): boolean {
  const depth = Math.min(REASONABLE_DEPTH_BLOCKS, policy.irrevocableDepth);
  if (report.status === "claimed" && report.height !== undefined) {
    return confirmations(view, report.height) >= depth;
  }
  return report.status === "abandoned" && view.tipHeight >= htlc.cltvExpiry + depth;
}

/** It has none there: dust, or only in another commitment. */
function isMissing(work: Case, { htlc, hasOutput }: Offered): boolean {
  const { commitment, view, policy } = work;
  const { height } = commitment.spend;
  if (commitment.ending === "future") {
    // What that commitment holds is unknown: the peer might still fulfil it there.
    const expired = view.tipHeight >= htlc.cltvExpiry + policy.irrevocableDepth;
    return expired && isIrrevocable(work, height);
  }
  const depth = Math.min(REASONABLE_DEPTH_BLOCKS, policy.irrevocableDepth);
  return !hasOutput || confirmations(view, height) >= depth;
}
