/** The monitor (BOLT 5): from a channel's record and the confirmed facts alone, what became of it and what to publish now. */
import type { Preimage } from "../../primitives/brands.ts";
import { equal } from "../../primitives/bytes.ts";
import { isReturnScript } from "../../transactions/script.ts";
import { assemble } from "./assemble.ts";
import { planAnchor, planDelayed, planToRemote } from "./balances.ts";
import { type ChainView, type Spend, viewChain } from "./chain-view.ts";
import { failedHtlcIds, offeredHtlcs } from "./failed-htlcs.ts";
import { planHtlc, planUnknown } from "./htlcs.ts";
import { identify } from "./identify.ts";
import { type Case, type ClosingOutput, isIrrevocable, type Plan } from "./plan.ts";
import type {
  ChainFacts,
  MonitorContext,
  MonitorPolicy,
  OutputReport,
  Resolution,
  WatchedChannel,
} from "./watched.ts";

/**
 * Pure: nothing is remembered between calls. A reorganisation removes facts, and everything follows from
 * those that are left. Throws ProtocolViolation("transaction") where a fact is no transaction.
 */
export function resolve(
  context: MonitorContext,
  channel: WatchedChannel,
  facts: ChainFacts,
  policy: MonitorPolicy,
): Resolution {
  const view = viewChain(context.crypto, facts);
  const { fundingOutpoint } = channel.terms;
  const spend = view.spendOf(fundingOutpoint);
  if (spend === undefined) {
    return { ending: "open", ...NOTHING, watch: [fundingOutpoint], complete: false };
  }
  const closing = identify(context, channel, spend);
  if (!("outputs" in closing)) {
    return resolveSimple(channel, closing.ending, view, policy, spend);
  }
  return resolveCommitment({ context, channel, policy, view, commitment: closing });
}

const NOTHING = { outputs: [], claims: [], preimages: [], failedHtlcIds: [] } as const;

function resolveCommitment(work: Case): Resolution {
  const { channel, commitment } = work;
  const { spend, warning } = commitment;
  const plans = commitment.outputs.flatMap((output) => planOutput(work, output));
  const { reports, claims } = assemble(work, plans);
  const preimages = revealedPreimages(work, plans);
  const watched = plans.filter(({ watch }) => watch).map(({ report }) => report.outpoint);
  return {
    ending: commitment.ending,
    commitmentNumber: commitment.number,
    spendingTxid: spend.txid,
    spentAtHeight: spend.height,
    outputs: reports,
    claims,
    watch: [channel.terms.fundingOutpoint, ...watched],
    preimages,
    failedHtlcIds: failedHtlcIds(work, reports, preimages),
    complete: isIrrevocable(work, spend.height) && reports.every(({ irrevocable }) => irrevocable),
    ...(warning === undefined ? {} : { warning }),
  };
}

function planOutput(work: Case, output: ClosingOutput): readonly Plan[] {
  const { commitment } = work;
  if (output.htlc !== undefined) return planHtlc(work, output, output.htlc);
  switch (output.kind) {
    case "toBroadcaster":
      return [planDelayed(work, output, { kind: "to-local", since: commitment.spend.height })];
    case "toCountersignatory":
      return [planToRemote(work, output)];
    case "broadcasterAnchor":
    case "countersignatoryAnchor":
    case "sharedAnchor":
      return [planAnchor(work, output)];
    default:
      return planUnknown(work, output);
  }
}

/** A mutual close pays its shutdown scripts and needs nothing; with an unknown spend nothing can be done. */
function resolveSimple(
  channel: WatchedChannel,
  ending: "mutual" | "unknown",
  view: ChainView,
  policy: MonitorPolicy,
  spend: Spend,
): Resolution {
  const irrevocable = isIrrevocable({ view, policy }, spend.height);
  const outputs = spend.transaction.outputs.map(({ script, amount }, vout): OutputReport => {
    return {
      outpoint: { txid: spend.txid, vout },
      amount,
      kind: ending === "mutual" ? "mutual-close" : "unknown",
      status: ending === "mutual" && paysUs(channel, script) ? "claimed" : "theirs",
      height: spend.height,
      irrevocable,
    };
  });
  return {
    ending,
    ...NOTHING,
    spendingTxid: spend.txid,
    spentAtHeight: spend.height,
    outputs,
    watch: [channel.terms.fundingOutpoint],
    complete: irrevocable,
    ...(ending === "unknown" ? { warning: UNKNOWN_WARNING } : {}),
  };
}

const UNKNOWN_WARNING =
  "the funding output was spent by a transaction that this channel never had: " +
  "a key may have leaked, and funds may be lost";

function paysUs({ terms, shutdownScripts, payoutScript }: WatchedChannel, script: Uint8Array) {
  const own = [terms.local.upfrontShutdownScript, shutdownScripts?.local, payoutScript];
  return !isReturnScript(script) && own.some((known) => known?.length && equal(known, script));
}

/** Those that fit an HTLC of ours, each once. */
function revealedPreimages({ context, channel }: Case, plans: readonly Plan[]): Preimage[] {
  const { crypto } = context;
  const hashes = [
    ...[...offeredHtlcs(channel).values()].map(({ htlc }) => crypto.ripemd160(htlc.paymentHash)),
    ...channel.archive.filter(({ offered }) => !offered).map((htlc) => htlc.paymentHash160),
  ];
  const found: Preimage[] = [];
  for (const { preimage } of plans) {
    if (preimage === undefined || found.some((known) => equal(known, preimage))) continue;
    const hash = crypto.ripemd160(crypto.sha256(preimage));
    if (hashes.some((known) => equal(known, hash))) found.push(preimage);
  }
  return found;
}
