/** What becomes of HTLC outputs in our commitment, the peer's, and a revoked one (BOLT 5 "HTLC Output Handling"). */
import { type BlockHeight, blockHeight, type Preimage } from "../../primitives/brands.ts";
import { equal } from "../../primitives/bytes.ts";
import { assert } from "../../primitives/errors.ts";
import {
  htlcByPreimageClaim,
  htlcByTimeoutClaim,
  revokedHtlcClaim,
} from "../../transactions/claims.ts";
import { delayedScript, hash160, p2wsh } from "../../transactions/script.ts";
import { planDelayed, reportOf } from "./balances.ts";
import { type HtlcSpendPath, htlcSpendPath, type Spend } from "./chain-view.ts";
import { prepareHtlcTransaction } from "./htlc-transaction.ts";
import {
  type Case,
  type ClosingHtlc,
  type ClosingOutput,
  confirmations,
  isIrrevocable,
  type Plan,
} from "./plan.ts";
import type { OutputReport } from "./watched.ts";

/** Blocks after its expiry in which a timed-out HTLC should be ours, before upstream's own expiry comes near. */
export const TIMEOUT_GRACE_BLOCKS = 18;

/** An output that the cheater alone could take, and does not, is given up after a month. */
const UNKNOWN_BLOCKS = 4_320;

type Status = Omit<OutputReport, "outpoint" | "amount" | "kind" | "htlc">;

/** The HTLC output, and after it the second-stage output where there is one. */
export function planHtlc(work: Case, output: ClosingOutput, htlc: ClosingHtlc): readonly Plan[] {
  const spend = work.view.spendOf(output.outpoint);
  if (spend !== undefined) return planSpent(work, output, htlc, spend);
  switch (work.commitment.ending) {
    case "local":
      return [planOwn(work, output, htlc)];
    case "revoked":
      return [punishHtlc(work, output, htlc)];
    default:
      return [planTheirs(work, output, htlc)];
  }
}

/** An output that nothing explains: in a revoked commitment an HTLC that the archive lost. */
export function planUnknown(work: Case, output: ClosingOutput): readonly Plan[] {
  const { commitment, view } = work;
  const spend = view.spendOf(output.outpoint);
  const since = spend?.height ?? commitment.spend.height;
  const revoked = commitment.ending === "revoked";
  const path = spend && htlcSpendPath(spend);
  const isGivenUp = confirmations(view, since) >= UNKNOWN_BLOCKS;
  const waits = revoked && spend === undefined && !isGivenUp;
  const irrevocable = !waits && isIrrevocable(work, since);
  const reason = revoked
    ? "the record and the archive do not know this HTLC: its second stage will be punished"
    : "the record does not know what this output is";
  const status = waits ? "waiting" : "theirs";
  const named = { kind: "unknown" as const };
  const report = reportOf(output, named, { status, height: since, irrevocable, reason });
  const stage = spend && path ? secondStage(work, spend, path, {}) : [];
  return [{ report, watch: true, ...revealed(path) }, ...stage];
}

function planSpent(
  work: Case,
  output: ClosingOutput,
  htlc: ClosingHtlc,
  spend: Spend,
): readonly Plan[] {
  const path = htlcSpendPath(spend);
  const { commitment } = work;
  const byBroadcaster = path.type === "second-stage";
  const ours = byBroadcaster === (commitment.broadcaster === "local");
  const named = nameOf(work, htlc);
  const report = reportOf(output, named, {
    status: ours ? "claimed" : "theirs",
    height: spend.height,
    irrevocable: isIrrevocable(work, spend.height),
  });
  const plan: Plan = { report, watch: true, ...(isOffered(work, htlc) ? revealed(path) : {}) };
  return [plan, ...secondStage(work, spend, path, { htlc: named.htlc })];
}

/** The output that the HTLC transaction pays, where it concerns us: our own, or a cheater's. */
function secondStage(
  work: Case,
  spend: Spend,
  path: HtlcSpendPath,
  named: Pick<OutputReport, "htlc"> | { readonly htlc?: OutputReport["htlc"] },
): readonly Plan[] {
  const { commitment, context } = work;
  const { ending, keys, terms } = commitment;
  if (path.type !== "second-stage" || keys === undefined) return [];
  if (ending !== "local" && ending !== "revoked") return [];
  // SINGLE|ANYONECANPAY binds each input to the output of the same index, whatever was added for the fee.
  const output = spend.transaction.outputs[spend.inputIndex];
  const script = p2wsh(context.crypto, delayedScript(keys, terms.toSelfDelay));
  if (output === undefined || !equal(output.script, script)) return [];
  const outpoint = { txid: spend.txid, vout: spend.inputIndex };
  const { htlc } = named;
  return [
    planDelayed(
      work,
      { outpoint, ...output },
      { kind: "second-stage", since: spend.height, ...(htlc ? { htlc } : {}) },
    ),
  ];
}

/** In our own commitment: by HTLC-timeout, or by HTLC-success. */
function planOwn(work: Case, output: ClosingOutput, htlc: ClosingHtlc): Plan {
  const { view, commitment } = work;
  const report = (status: Status) => reportOf(output, nameOf(work, htlc), status);
  const preimage = htlc.offered ? undefined : knownPreimage(work, htlc);
  if (!htlc.offered && preimage === undefined) return waitForTheirs(work, output, htlc);
  if (htlc.offered && view.tipHeight < htlc.cltvExpiry) {
    const height = htlc.cltvExpiry as BlockHeight;
    return { report: report({ status: "waiting", height, irrevocable: false }), watch: true };
  }
  const start = htlc.offered ? expiryOrLater(work, htlc) : commitment.spend.height;
  const deadline = htlc.offered ? graceEnd(start) : blockHeight(htlc.cltvExpiry);
  const schedule = { start, deadline, urgency: "contested" as const };
  const prepared = prepareHtlcTransaction(work, output, schedule, preimage);
  if (prepared === undefined) {
    const irrevocable = isIrrevocable(work, commitment.spend.height);
    const reason = "the record has no signature of the peer for this HTLC's transaction";
    return { report: report({ status: "abandoned", irrevocable, reason }), watch: true };
  }
  const claimable = report({ status: "claimable", height: start, irrevocable: false });
  return { report: claimable, prepared, watch: true };
}

/** In the peer's valid commitment: by its expiry, or by its preimage. */
function planTheirs(work: Case, output: ClosingOutput, htlc: ClosingHtlc): Plan {
  const { context, view, commitment, channel } = work;
  const { crypto } = context;
  const { channelType } = channel.terms;
  const report = (status: Status) => reportOf(output, nameOf(work, htlc), status);
  const { keys } = commitment;
  assert(keys !== undefined, "HTLCs are only recognised with the commitment's keys");
  if (htlc.offered) {
    const preimage = knownPreimage(work, htlc);
    if (preimage === undefined) return waitForTheirs(work, output, htlc);
    const input = htlcByPreimageClaim(crypto, output, channelType, keys, htlc, preimage);
    const start = commitment.spend.height;
    const deadline = blockHeight(htlc.cltvExpiry);
    return {
      report: report({ status: "claimable", height: start, irrevocable: false }),
      candidate: alone(input, "htlc-success", start, deadline),
      watch: true,
    };
  }
  if (view.tipHeight < htlc.cltvExpiry) {
    const height = htlc.cltvExpiry as BlockHeight;
    return { report: report({ status: "waiting", height, irrevocable: false }), watch: true };
  }
  const start = expiryOrLater(work, htlc);
  const input = htlcByTimeoutClaim(crypto, output, channelType, keys, htlc);
  return {
    report: report({ status: "claimable", height: start, irrevocable: false }),
    candidate: alone(input, "htlc-timeout", start, graceEnd(start)),
    watch: true,
  };
}

function punishHtlc(work: Case, output: ClosingOutput, htlc: ClosingHtlc): Plan {
  const { context, commitment, channel } = work;
  const { keys, secret, terms, spend } = commitment;
  assert(keys !== undefined && secret !== undefined, "a revoked commitment comes with its secret");
  const { channelType } = channel.terms;
  const input = revokedHtlcClaim(context.crypto, output, channelType, keys, htlc, secret);
  const start = spend.height;
  const claimable = { status: "claimable" as const, height: start, irrevocable: false };
  return {
    report: reportOf(output, nameOf(work, htlc), claimable),
    candidate: alone(input, "penalty", start, blockHeight(start + terms.toSelfDelay)),
    watch: true,
  };
}

/** Offered to us, its preimage unknown: the peer's, once expired. */
function waitForTheirs(work: Case, output: ClosingOutput, htlc: ClosingHtlc): Plan {
  const expired = work.view.tipHeight >= htlc.cltvExpiry;
  const height = expired ? expiryOrLater(work, htlc) : (htlc.cltvExpiry as BlockHeight);
  const report = reportOf(output, nameOf(work, htlc), {
    status: expired ? "theirs" : "waiting",
    height,
    irrevocable: expired && confirmations(work.view, height) >= work.policy.irrevocableDepth,
    reason: "its preimage is unknown",
  });
  return { report, watch: true };
}

function alone(
  input: ReturnType<typeof htlcByTimeoutClaim>,
  purpose: "penalty" | "htlc-success" | "htlc-timeout",
  start: BlockHeight,
  deadline: BlockHeight,
): NonNullable<Plan["candidate"]> {
  return { input, purpose, batch: false, schedule: { start, deadline, urgency: "contested" } };
}

function nameOf(work: Case, htlc: ClosingHtlc) {
  const offeredByLocal = isOffered(work, htlc);
  return {
    kind: offeredByLocal ? ("offered-htlc" as const) : ("received-htlc" as const),
    htlc: { offeredByLocal, ...(htlc.id === undefined ? {} : { id: htlc.id }) },
  };
}

/** By us. */
function isOffered({ commitment }: Case, htlc: ClosingHtlc): boolean {
  return htlc.offered === (commitment.broadcaster === "local");
}

function knownPreimage(
  { context, channel }: Case,
  { paymentHash160 }: ClosingHtlc,
): Preimage | undefined {
  return channel.preimages.find((known) => equal(hash160(context.crypto, known), paymentHash160));
}

function expiryOrLater({ commitment }: Case, { cltvExpiry }: ClosingHtlc): BlockHeight {
  return blockHeight(Math.max(cltvExpiry, commitment.spend.height));
}

function graceEnd(start: BlockHeight): BlockHeight {
  return blockHeight(start + TIMEOUT_GRACE_BLOCKS);
}

function revealed(path: HtlcSpendPath | undefined): Pick<Plan, "preimage"> {
  if (path === undefined || path.type === "revocation" || path.preimage === undefined) return {};
  return { preimage: path.preimage };
}
