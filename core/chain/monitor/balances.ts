/** What becomes of to_local, to_remote, anchors, and of second-stage outputs, which are locked like to_local (BOLT 3, 5). */
import { type BlockHeight, blockHeight } from "../../primitives/brands.ts";
import { assert } from "../../primitives/errors.ts";
import type { Claim as ClaimInput } from "../../transactions/claims.ts";
import { delayedClaim, revokedDelayedClaim, toRemoteClaim } from "../../transactions/claims.ts";
import type { Spend } from "./chain-view.ts";
import { coldOutput } from "./cold-output.ts";
import {
  type Candidate,
  type Case,
  type ClosingOutput,
  isIrrevocable,
  type Plan,
  relativeLockEnd,
} from "./plan.ts";
import type { OutputReport } from "./watched.ts";

/** Nobody else can take such an output: it may wait that long for cheap blocks. */
const SWEEP_PATIENCE_BLOCKS = 144;

export type Claimable = Pick<ClosingOutput, "outpoint" | "amount" | "script">;
type Named = Pick<OutputReport, "kind" | "htlc">;

/**
 * to_local, or the output of an HTLC transaction, confirmed at `since`: the broadcaster's after the
 * delay, ours at once where the commitment is revoked.
 */
export function planDelayed(
  work: Case,
  output: Claimable,
  { since, ...named }: Named & { readonly since: BlockHeight },
): Plan {
  const { commitment, view } = work;
  const report = (rest: Omit<OutputReport, "outpoint" | "amount" | "kind" | "htlc">) =>
    reportOf(output, named, rest);
  const spend = view.spendOf(output.outpoint);
  if (commitment.ending === "remote" || commitment.ending === "future") {
    const irrevocable = isIrrevocable(work, since);
    return { report: report({ status: "theirs", height: since, irrevocable }), watch: false };
  }
  if (spend !== undefined) {
    const punished = isRevocation(spend);
    const status = punished === (commitment.ending === "revoked") ? "claimed" : "theirs";
    const irrevocable = isIrrevocable(work, spend.height);
    return { report: report({ status, height: spend.height, irrevocable }), watch: true };
  }
  return commitment.ending === "revoked"
    ? punishDelayed(work, output, since, report)
    : collectDelayed(work, output, since, report);
}

/** Ours in a commitment of the peer. */
export function planToRemote(work: Case, output: ClosingOutput): Plan {
  const { context, channel, commitment, view } = work;
  const since = commitment.spend.height;
  const named = { kind: "to-remote" as const };
  if (commitment.broadcaster === "local") {
    const irrevocable = isIrrevocable(work, since);
    const rest = { status: "theirs" as const, height: since, irrevocable };
    return { report: reportOf(output, named, rest), watch: false };
  }
  const spend = view.spendOf(output.outpoint);
  if (spend !== undefined) {
    const irrevocable = isIrrevocable(work, spend.height);
    const rest = { status: "claimed" as const, height: spend.height, irrevocable };
    return { report: reportOf(output, named, rest), watch: true };
  }
  const { channelType } = channel.terms;
  const { paymentBasepoint } = context.signer.basepoints;
  const input = toRemoteClaim(context.crypto, output, channelType, paymentBasepoint);
  if (context.signer.coldPayout)
    return planCold(work, output, named, { input, since, spendableFrom: since });
  return {
    report: reportOf(output, named, { status: "claimable", height: since, irrevocable: false }),
    candidate: sweep(input, since),
    watch: true,
  };
}

/** Given up: spending it takes a fee that it does not cover, and after 16 blocks anyone may. */
export function planAnchor(work: Case, output: ClosingOutput): Plan {
  const height = work.commitment.spend.height;
  const reason = "an anchor only carries the fee of its commitment, which is confirmed";
  const rest = {
    status: "abandoned" as const,
    height,
    irrevocable: isIrrevocable(work, height),
    reason,
  };
  return { report: reportOf(output, { kind: "anchor" }, rest), watch: false };
}

export function reportOf(
  { outpoint, amount }: Claimable,
  { kind, htlc }: Named,
  rest: Omit<OutputReport, "outpoint" | "amount" | "kind" | "htlc">,
): OutputReport {
  return { outpoint, amount, kind, ...(htlc === undefined ? {} : { htlc }), ...rest };
}

type Reporter = (rest: Omit<OutputReport, "outpoint" | "amount" | "kind" | "htlc">) => OutputReport;

function punishDelayed(
  { commitment }: Case,
  output: Claimable,
  since: BlockHeight,
  report: Reporter,
): Plan {
  const { keys, secret, terms } = commitment;
  assert(keys !== undefined && secret !== undefined, "a revoked commitment comes with its secret");
  return {
    report: report({ status: "claimable", height: since, irrevocable: false }),
    candidate: {
      input: revokedDelayedClaim(output, keys, terms.toSelfDelay, secret),
      schedule: {
        start: since,
        deadline: blockHeight(since + terms.toSelfDelay),
        urgency: "contested",
      },
      purpose: "penalty",
      batch: true,
    },
    watch: true,
  };
}

function collectDelayed(work: Case, output: Claimable, since: BlockHeight, report: Reporter): Plan {
  const { context, commitment, view } = work;
  const { keys, terms } = commitment;
  assert(keys !== undefined, "our own commitment comes with its keys");
  const input = delayedClaim(output, keys, terms.toSelfDelay);
  const ready = relativeLockEnd(since, terms.toSelfDelay);
  const { kind, htlc } = report({ status: "waiting", irrevocable: false });
  if (context.signer.coldPayout) {
    return planCold(
      work,
      output,
      { kind, ...(htlc ? { htlc } : {}) },
      { input, since, spendableFrom: ready },
    );
  }
  if (view.tipHeight < ready) {
    const waiting = report({ status: "waiting", height: ready, irrevocable: false });
    return { report: waiting, watch: true };
  }
  return {
    report: report({ status: "claimable", height: ready, irrevocable: false }),
    candidate: sweep(input, ready),
    watch: true,
  };
}

interface ColdInput {
  readonly input: ClaimInput;
  /** When the output was confirmed. */
  readonly since: BlockHeight;
  readonly spendableFrom: BlockHeight;
}

function planCold(
  work: Case,
  output: Claimable,
  named: Named,
  { input, since, spendableFrom }: ColdInput,
): Plan {
  const { context, channel } = work;
  assert(input.key !== undefined, "a cold output has a key");
  const { basepoints } = context.signer;
  const { cold, descriptor } = coldOutput({
    output,
    input,
    spendableFrom,
    keyIndex: channel.terms.keyIndex,
    basepoint:
      input.key.role === "delayed"
        ? basepoints.delayedPaymentBasepoint
        : basepoints.paymentBasepoint,
    publicKey: context.signer.claimPublicKey(input.key),
  });
  const irrevocable = isIrrevocable(work, since);
  const rest = { status: "cold" as const, height: spendableFrom, irrevocable, descriptor, cold };
  return { report: reportOf(output, named, rest), watch: true };
}

function sweep(input: ClaimInput, start: BlockHeight): Candidate {
  const deadline = blockHeight(start + SWEEP_PATIENCE_BLOCKS);
  const schedule = { start, deadline, urgency: "patient" as const };
  return { input, schedule, purpose: "sweep", batch: true };
}

/** By the branch of `OP_IF` that the witness chose; a zero byte (0x80 is the negative one) is false as the empty item is. */
function isRevocation({ transaction, inputIndex }: Spend): boolean {
  const choice = transaction.inputs[inputIndex]?.witness[1];
  return choice?.length === 1 && choice[0] !== 0 && choice[0] !== 0x80;
}
