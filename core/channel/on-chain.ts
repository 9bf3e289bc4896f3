/** The channel's end on chain: what is watched, when we publish, what is claimed (BOLT 5); all derived anew at each block. */
import { closeLocally } from "../chain/monitor/close-locally.ts";
import { resolve } from "../chain/monitor/resolve.ts";
import type {
  ChainFact,
  ChainFacts,
  Resolution,
  WatchedChannel,
} from "../chain/monitor/watched.ts";
import type { Outpoint } from "../ports/chain.ts";
import { equal } from "../primitives/bytes.ts";
import { assert } from "../primitives/errors.ts";
import { commitmentTerms } from "../transactions/channel-terms.ts";
import { findCommitmentNumber } from "../transactions/number.ts";
import {
  parseTransaction,
  sameOutpoint,
  type Transaction,
  transactionId,
} from "../transactions/transaction.ts";
import { archivedHtlc } from "./archive.ts";
import type { Context } from "./context.ts";
import type { Draft } from "./draft.ts";
import { considerReady, fundingConfirmed } from "./funding.ts";
import type { Input } from "./inputs.ts";
import { resetSession } from "./proposals.ts";
import {
  type ChannelRecord,
  type Htlc,
  isOpen,
  MAX_FACTS,
  type Phase,
  type Update,
} from "./record.ts";
import { commitmentSpec, localState, offeredHtlcs, remoteNextState, remoteState } from "./state.ts";

const NONE = new Uint8Array(0);

/** What the monitor needs, from the record alone. */
export function watchedChannel(context: Context, record: ChannelRecord): WatchedChannel {
  const { terms, localNumber, remoteNumber, remoteNextPoint } = record;
  const remote = remoteState(record);
  const next = record.awaitingRevocation ? remoteNextState(record) : undefined;
  const nextNumber = (remoteNumber + 1) as typeof remoteNumber;
  assert(!next || remoteNextPoint, "a signed commitment has a point");
  const live = (next ?? remote).htlcs.concat(remote.htlcs);
  return {
    terms,
    local: {
      spec: commitmentSpec(localState(record), "local", localNumber),
      remoteSignature: record.localSignature,
      remoteHtlcSignatures: record.localHtlcSignatures,
    },
    remote: {
      spec: commitmentSpec(remote, "remote", remoteNumber),
      perCommitmentPoint: record.remotePoint,
    },
    ...(next && remoteNextPoint
      ? {
          remoteNext: {
            spec: commitmentSpec(next, "remote", nextNumber),
            perCommitmentPoint: remoteNextPoint,
          },
        }
      : {}),
    secrets: record.secrets,
    archive: [...context.archive, ...live.map((htlc) => archivedHtlc(context, htlc, remoteNumber))],
    preimages: record.base.htlcs.flatMap(({ offeredByLocal, preimage }) =>
      !offeredByLocal && preimage ? [preimage] : [],
    ),
    payoutScript: context.payoutScript,
    outdated: record.outdated || record.suspect === true,
  };
}

export const SUSPECT_REASON =
  "the store may have lost the newest state: nothing is published until the peer has confirmed it";

/** Once it is closing on chain, no number changes any more: an older record says the same. */
export function suspect(draft: Draft): void {
  if (!isOpen(draft.record.phase) || draft.record.suspect) return;
  draft.change({ suspect: true });
  draft.notify({ type: "outdated", reason: SUSPECT_REASON });
}

/** Our commitment is to be published; `reason` is for people. */
export function forceClose(draft: Draft, reason: string): void {
  const { record } = draft;
  if (!isOpen(record.phase)) return;
  // Rule `outdated-never-broadcasts`: our commitment may be one that we revoked.
  if (record.suspect) {
    draft.notify({ type: "outdated", reason: `${SUSPECT_REASON} (${reason})` });
    return;
  }
  resetSession(draft, "the channel is closing on chain: nothing was paid", draft.session.connected);
  draft.change({ phase: "force-closing", forceClosedAtHeight: draft.context.tipHeight });
  draft.notify({ type: "forceClosing", reason });
  draft.send({ type: "error", channelId: record.channelId, data: `closing on chain: ${reason}` });
  publish(draft);
}

/** A confirmed transaction that creates or spends something of ours. */
export function confirmed(draft: Draft, { raw, height }: ChainFact): void {
  const { context, record } = draft;
  const fact: ChainFact = { raw, height };
  const transaction = parseTransaction(fact.raw);
  const txid = transactionId(context.crypto, transaction);
  if (equal(txid, record.terms.fundingOutpoint.txid)) {
    fundingConfirmed(draft, transaction, fact.height);
    return;
  }
  if (!concernsUs(context, record, transaction)) return;
  const known = record.facts.filter(({ raw }) => !equal(raw, fact.raw));
  const facts = [...known, fact].sort((a, b) => a.height - b.height);
  const bytes = facts.reduce((sum, { raw }) => sum + raw.length, 0);
  if (facts.length > MAX_FACTS || bytes > context.policy.maxFactBytes) {
    // Without it the output counts as unspent: what is claimed of it is refused, and nothing else suffers.
    const text = `a transaction of ${raw.length} bytes on chain finds no room in the record`;
    draft.notify({ type: "violation", tag: "bounded", text });
    return;
  }
  draft.change({ facts });
  if (!spends(transaction, record.terms.fundingOutpoint)) return;
  resetSession(draft, "the channel ended on chain: nothing was paid", draft.session.connected);
  draft.change({ phase: "on-chain" });
}

function spends(transaction: Transaction, outpoint: { txid: Uint8Array; vout: number }): boolean {
  return transaction.inputs.some((input) => sameOutpoint(input.outpoint, outpoint as never));
}

/**
 * It spends the funding output, an output of the commitment that did, or the output of an HTLC transaction. What the
 * peer does with its coins after that is its own business: facts about it would fill the record (rule `bounded`).
 */
function concernsUs(context: Context, record: ChannelRecord, transaction: Transaction): boolean {
  const { crypto } = context;
  const { terms } = record;
  if (spends(transaction, terms.fundingOutpoint)) return true;
  const known = record.facts.map(({ raw }) => {
    const fact = parseTransaction(raw);
    return { fact, txid: transactionId(crypto, fact) };
  });
  const closing = known.find(({ fact }) => spends(fact, terms.fundingOutpoint));
  if (closing === undefined) return false;
  const { fact: closed, txid } = closing;
  // A mutual close leaves nothing to be claimed.
  if (findCommitmentNumber(crypto, commitmentTerms(terms, "local"), closed) === undefined) {
    return false;
  }
  const isSecondStage = (outpoint: Outpoint): boolean =>
    known.some(
      ({ fact, txid: id }) =>
        equal(id, outpoint.txid) && equal(fact.inputs[outpoint.vout]?.outpoint.txid ?? NONE, txid),
    );
  return transaction.inputs.some(
    ({ outpoint }) => equal(outpoint.txid, txid) || isSecondStage(outpoint),
  );
}

/** The blocks from `fromHeight` on are gone, and with them what they confirmed. */
export function reorganised(
  draft: Draft,
  { fromHeight, isReread = false }: Omit<Extract<Input, { type: "reorganised" }>, "type">,
): void {
  const { record } = draft;
  if (record.fundingHeight !== undefined && record.fundingHeight >= fromHeight) {
    draft.change({ fundingHeight: undefined });
    if (!isReread) draft.notify({ type: "fundingReorganised" });
  }
  const facts = record.facts.filter(({ height }) => height < fromHeight);
  if (facts.length === record.facts.length) return;
  draft.change({ facts });
  const spent = facts.some(({ raw }) =>
    spends(parseTransaction(raw), record.terms.fundingOutpoint),
  );
  if (record.phase !== "on-chain" || spent) return;
  const phase = phaseUnspent(record);
  const forceClosedAtHeight = record.forceClosedAtHeight ?? draft.context.tipHeight;
  draft.change(phase === "force-closing" ? { phase, forceClosedAtHeight } : { phase });
}

/** Where a channel stands whose ending was undone: what was under way goes on. */
function phaseUnspent(record: ChannelRecord): Phase {
  if (record.outdated) return "outdated";
  return record.mutualCloses.length > 0 ? "closing" : "force-closing";
}

/** A new tip: depth, deadlines, and whatever has to be published now. */
export function onTip(draft: Draft): void {
  considerReady(draft);
  if (draft.ended !== undefined) return;
  considerDeadlines(draft);
  publish(draft);
}

/** An HTLC that only the chain can settle now. */
function considerDeadlines(draft: Draft): void {
  const { context, record } = draft;
  if (!isOpen(record.phase)) return;
  const { tipHeight, policy } = context;
  const states = [localState(record), remoteState(record), remoteNextState(record)];
  for (const htlc of states.flatMap(({ htlcs }) => htlcs)) {
    const expired = tipHeight >= htlc.cltvExpiry + policy.timeoutGraceBlocks;
    if (htlc.offeredByLocal && expired) {
      forceClose(draft, `HTLC ${htlc.id} that we offered expired at block ${htlc.cltvExpiry}`);
      return;
    }
    const late = tipHeight >= htlc.cltvExpiry - policy.fulfillSafetyBlocks;
    if (!htlc.offeredByLocal && htlc.preimage && late) {
      forceClose(draft, `HTLC ${htlc.id} expires at ${htlc.cltvExpiry} and is not yet settled`);
      return;
    }
  }
}

/** Publishes, watches and tells what the monitor says. */
function publish(draft: Draft): void {
  const { context, record } = draft;
  const facts: ChainFacts = { tipHeight: context.tipHeight, confirmed: record.facts };
  const { irrevocableDepth } = context.policy;
  const policy = { feeratesPerKw: context.feerates, irrevocableDepth };
  if (record.phase === "closing") {
    for (const raw of record.mutualCloses) draft.emit({ type: "publishClose", raw });
  }
  if (record.phase === "force-closing") {
    const channel = watchedChannel(context, record);
    const claims = closeLocally(context, channel, facts, policy, record.forceClosedAtHeight);
    for (const claim of claims) draft.emit({ type: "publish", claim });
  }
  if (record.phase !== "on-chain") return;
  const resolution = resolve(context, watchedChannel(context, record), facts, policy);
  if (isAheadOf(record, resolution)) draft.change({ outdated: true });
  for (const outpoint of resolution.watch) draft.emit({ type: "watch", outpoint });
  for (const claim of resolution.claims) draft.emit({ type: "publish", claim });
  tellHtlcs(draft, resolution);
  const { ending, outputs, warning } = resolution;
  const told = { ending, outputs, tipHeight: context.tipHeight };
  draft.notify({ type: "onChain", ...told, ...(warning === undefined ? {} : { warning }) });
  if (resolution.complete) {
    draft.notify({ type: "closed", ending, outputs });
    draft.ended = `closed on chain (${ending})`;
  }
}

/**
 * A commitment in a block that the record has yet to come to proves, by our own signature, that the record is old: should
 * the block be taken back, ours may be one that we revoked (rule `outdated-never-broadcasts`).
 */
function isAheadOf(record: ChannelRecord, { ending, commitmentNumber = 0 }: Resolution): boolean {
  if (record.outdated) return false;
  return ending === "future" || (ending === "local" && commitmentNumber > record.localNumber);
}

/** What the chain decided about HTLCs that we offered; each is told once. */
function tellHtlcs(draft: Draft, resolution: Resolution): void {
  const { crypto } = draft.context;
  for (const preimage of resolution.preimages) {
    const hash = crypto.sha256(preimage);
    const isItsHtlc = (h: Htlc) => h.offeredByLocal && !h.preimage && equal(h.paymentHash, hash);
    const htlc = offeredHtlcs(draft.record).find(isItsHtlc);
    if (!htlc) continue;
    keepPreimage(draft, { ...htlc, preimage });
    draft.notify({ type: "htlcFulfilled", htlc, preimage });
  }
  for (const id of resolution.failedHtlcIds) {
    const { failedOnChain } = draft.record;
    if (failedOnChain.includes(id)) continue;
    const htlc = offeredHtlcs(draft.record).find((h) => h.id === id);
    if (!htlc || htlc.preimage) continue; // fulfilled off chain, whoever got the output
    draft.change({ failedOnChain: [...failedOnChain, id] });
    const { paymentHash } = htlc;
    draft.notify({ type: "htlcFailed", htlcId: id, paymentHash, reason: new Uint8Array(0) });
  }
}

/** The peer may claim an HTLC from any commitment that we signed: it is told though nothing of it is in `base` yet. */
function keepPreimage(draft: Draft, known: Htlc): void {
  const isIt = (h: Htlc) => h.offeredByLocal && h.id === known.id;
  const { base, pending } = draft.record;
  const inUpdate = (update: Update): Update =>
    update.type === "add" && isIt(update.htlc) ? { type: "add", htlc: known } : update;
  draft.change({
    base: { ...base, htlcs: base.htlcs.map((h) => (isIt(h) ? known : h)) },
    pending: {
      ...pending,
      localSigned: pending.localSigned.map(inUpdate),
      localAcked: pending.localAcked.map(inUpdate),
    },
  });
}
