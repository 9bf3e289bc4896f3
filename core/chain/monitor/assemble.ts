/** Turns plans into signed claims and final reports: batches what is safe together, gives up what is not worth its fee (BOLT 5). */
import { type BlockHeight, blockHeight } from "../../primitives/brands.ts";
import { compare, toHex } from "../../primitives/bytes.ts";
import { dustThreshold } from "../../transactions/script.ts";
import { buildSweep, finalizeSweep, sweepWeight } from "../../transactions/sweep.ts";
import {
  outpointKey,
  serializeTransaction,
  transactionId,
} from "../../transactions/transaction.ts";
import { type FeeSchedule, feeFor, feerateAt, MIN_FEERATE_PER_KW } from "./fees.ts";
import { type Candidate, type Case, isIrrevocable, type Plan } from "./plan.ts";
import type { Claim, OutputReport } from "./watched.ts";

/** Outpoint, script length and sequence, four weight units a byte. */
const INPUT_WEIGHT = 4 * 41;

/**
 * An output worth no more is given up for good where the feerate of the day forbids claiming it: about two transactions
 * at 10 satoshi per vbyte. Others wait for cheaper blocks, for feerates are what somebody told us.
 */
const GIVE_UP_SATOSHIS = 3_500;

export interface Assembled {
  readonly reports: readonly OutputReport[];
  readonly claims: readonly Claim[];
}

export function assemble(work: Case, plans: readonly Plan[]): Assembled {
  const claims: Claim[] = [];
  const kept = new Set<string>();
  for (const { prepared, report } of plans) {
    if (!prepared?.worthwhile) continue;
    claims.push(prepared.claim);
    kept.add(outpointKey(report.outpoint));
  }
  const candidates = plans.flatMap(({ candidate }) => candidate ?? []);
  for (const { id, members } of grouped(work, candidates)) {
    const swept = sweep(work, id, members);
    if (swept === undefined) continue;
    claims.push(swept.claim);
    for (const { input } of swept.members) kept.add(outpointKey(input.outpoint));
  }
  const reports = plans.map(({ report }) =>
    report.status === "claimable" && !kept.has(outpointKey(report.outpoint))
      ? abandoned(work, report)
      : report,
  );
  return { reports, claims };
}

interface Group {
  readonly id: string;
  readonly members: readonly Candidate[];
}

/**
 * What the other side can take by now goes alone: it would invalidate the others' sweep. So do HTLC outputs, which a
 * cheater can spend at any time (rule `revoked-always-punished`).
 */
function grouped({ commitment, view }: Case, candidates: readonly Candidate[]): readonly Group[] {
  const together: Candidate[] = [];
  const groups: Group[] = [];
  for (const candidate of candidates) {
    const { batch, schedule, purpose, input } = candidate;
    const late = schedule.urgency === "contested" && view.tipHeight >= schedule.deadline;
    if (batch && !late) together.push(candidate);
    else groups.push({ id: `${purpose}:${outpointKey(input.outpoint)}`, members: [candidate] });
  }
  if (together.length > 0) {
    const purpose = batchPurpose(commitment.ending);
    groups.unshift({ id: `${purpose}:${toHex(commitment.spend.txid)}`, members: together });
  }
  return groups;
}

/** One transaction for all that pay for themselves in it; undefined where nothing would be left. */
function sweep(
  { context, channel, policy, view, commitment }: Case,
  id: string,
  candidates: readonly Candidate[],
): { readonly claim: Claim; readonly members: readonly Candidate[] } | undefined {
  const lowest = Math.max(policy.feeratesPerKw.economy, MIN_FEERATE_PER_KW);
  const members = candidates
    .filter(({ input }) => input.amount > feeFor(INPUT_WEIGHT + input.witnessWeight, lowest))
    .sort(byOutpoint);
  const [first] = members;
  if (first === undefined) return undefined;
  const inputs = members.map(({ input }) => input);
  const total = inputs.reduce((sum, { amount }) => sum + amount, 0);
  const weight = sweepWeight(inputs, channel.payoutScript);
  // Whatever the deadline, the fee leaves an output that can be relayed.
  const most = total - Math.max(1, dustThreshold(channel.payoutScript));
  if (feeFor(weight, lowest) > most) return undefined;
  const schedule = mergedSchedule(members);
  const ceiling = Math.floor((most * 1000) / weight);
  const feeratePerKw = feerateAt(schedule, view.tipHeight, policy, ceiling);
  const unsigned = buildSweep(context.crypto, inputs, channel.payoutScript, feeratePerKw);
  if (unsigned.type === "dust") return undefined;
  const signatures = inputs.map(({ key }, index) => {
    const sighash = unsigned.sighashes[index];
    return key && sighash ? context.signer.signClaim(key, sighash) : undefined;
  });
  const transaction = finalizeSweep(unsigned, signatures);
  const claim: Claim = {
    id,
    purpose: first.batch ? batchPurpose(commitment.ending) : first.purpose,
    raw: serializeTransaction(transaction),
    txid: transactionId(context.crypto, transaction),
    deadline: schedule.deadline,
    feeratePerKw,
  };
  return { claim, members };
}

function batchPurpose(ending: Case["commitment"]["ending"]): "penalty" | "sweep" {
  return ending === "revoked" ? "penalty" : "sweep";
}

/** The earliest start and deadline, so that a batch that grows never pays a lower rate than before. */
function mergedSchedule(members: readonly Candidate[]): FeeSchedule {
  const schedules = members.map(({ schedule }) => schedule);
  return {
    start: least(schedules.map(({ start }) => start)),
    deadline: least(schedules.map(({ deadline }) => deadline)),
    urgency: schedules.some(({ urgency }) => urgency === "contested") ? "contested" : "patient",
  };
}

function abandoned(work: Case, report: OutputReport): OutputReport {
  const height = report.height ?? work.commitment.spend.height;
  const rate = Math.max(work.policy.feeratesPerKw.economy, MIN_FEERATE_PER_KW);
  return {
    ...report,
    status: "abandoned",
    irrevocable: report.amount <= GIVE_UP_SATOSHIS && isIrrevocable(work, height),
    reason: `${report.amount} sat are not worth the fee of claiming them at ${rate} sat per 1000 weight`,
  };
}

function byOutpoint({ input: a }: Candidate, { input: b }: Candidate): number {
  return compare(a.outpoint.txid, b.outpoint.txid) || a.outpoint.vout - b.outpoint.vout;
}

function least(heights: readonly BlockHeight[]): BlockHeight {
  return blockHeight(heights.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY));
}
