/** Shutdown and mutual close (BOLT 2 "Channel Close", option_simple_close): each closer pays the fee it chose. */
import type { MessageNamed } from "../messages/message.ts";
import { type Satoshi, type Signature, satoshi, satoshiFloor } from "../primitives/brands.ts";
import { equal } from "../primitives/bytes.ts";
import { assert, demand } from "../primitives/errors.ts";
import {
  buildClosing,
  type ClosingTerms,
  type ClosingVariant,
  closeeVariant,
  closerVariants,
  closingWeight,
} from "../transactions/closing.ts";
import { assembleFundingWitness } from "../transactions/funding.ts";
import { dustThreshold, isShutdownScript } from "../transactions/script.ts";
import {
  parseTransaction,
  serializeTransaction,
  transactionId,
  transactionWeight,
  withWitness,
} from "../transactions/transaction.ts";
import type { Draft } from "./draft.ts";
import type { Command } from "./inputs.ts";
import { type ChannelRecord, type ClosingProposal, MAX_MUTUAL_CLOSES } from "./record.ts";

const VARIANTS: readonly ClosingVariant[] = [
  "closerOutputOnly",
  "closeeOutputOnly",
  "closerAndCloseeOutputs",
];

/** Over one link. Not the next block: a device that slept hears of several at once. */
const CLOSER_PATIENCE_BLOCKS = 6;

/** The close that was asked for is durable: it is carried out when the peer is back and pending updates are signed. */
export function close(draft: Draft, command: Extract<Command, { type: "close" }>): void {
  const { record } = draft;
  const reason = closeRefusal(draft, command);
  if (reason !== undefined) {
    draft.notify({ type: "rejected", command, reason });
    return;
  }
  const before = record.closeFeeratePerKw;
  if (before === command.feeratePerKw) return;
  draft.change({ closeFeeratePerKw: command.feeratePerKw });
  // A close that is signed already is replaced by a dearer one (BOLT 2: closing_complete may be sent again).
  const dearer = command.feeratePerKw > (before ?? 0);
  if (record.mutualCloses.length > 0 && dearer && draft.established && isQuiet(draft)) {
    offerClosing(draft);
  }
}

function closeRefusal(
  { context, record }: Draft,
  { feeratePerKw }: { readonly feeratePerKw: number },
): string | undefined {
  const open = ["awaiting-funding", "normal", "closing"].includes(record.phase);
  if (!open) return `the channel is ${record.phase}`;
  const { maxFeeratePerKw } = context.policy;
  const inRange = Number.isInteger(feeratePerKw) && feeratePerKw > 0;
  if (!inRange || feeratePerKw > maxFeeratePerKw) {
    return `the feerate must be 1 to ${maxFeeratePerKw} sat/kw`;
  }
  return undefined;
}

/** After a reconnect: shutdown is sent again, and the negotiation starts anew. */
export function resumeClosing(draft: Draft): void {
  const { localShutdownScript } = draft.record;
  if (localShutdownScript) sendShutdown(draft, localShutdownScript);
}

/** Does the next step of a close, where one is wanted and possible. Called after every input. */
export function advanceClosing(draft: Draft): void {
  const { record } = draft;
  if (
    !draft.established ||
    (record.phase !== "closing" && record.closeFeeratePerKw === undefined)
  ) {
    return;
  }
  if (!["awaiting-funding", "normal", "closing"].includes(record.phase)) return;
  if (!record.localShutdownScript && nothingUnsigned(draft)) {
    const script = shutdownScript(draft);
    draft.change({ localShutdownScript: script, phase: "closing" });
    sendShutdown(draft, script);
  }
  if (isQuiet(draft)) proposeClosing(draft);
}

/** BOLT 2: no shutdown while updates of ours are pending on the peer's commitment. */
function nothingUnsigned({ record, session }: Draft): boolean {
  return session.localProposed.length === 0 && record.pending.localSigned.length === 0;
}

function shutdownScript({ context, record }: Draft): Uint8Array {
  const { upfrontShutdownScript } = record.terms.local;
  return upfrontShutdownScript.length > 0 ? upfrontShutdownScript : context.payoutScript;
}

function sendShutdown(draft: Draft, scriptpubkey: Uint8Array): void {
  draft.send({ type: "shutdown", channelId: draft.record.channelId, scriptpubkey });
  draft.changeSession({ shutdownSent: true });
}

export function receiveShutdown(draft: Draft, message: MessageNamed<"shutdown">): void {
  const { context, record } = draft;
  const { scriptpubkey } = message;
  const { upfrontShutdownScript } = record.terms.remote;
  const anySegwit = context.negotiated.anySegwitShutdown;
  const known = isShutdownScript(scriptpubkey, { anySegwit, simpleClose: true });
  demand(known, "shutdown.scriptpubkey", "is not one of the forms that BOLT 2 allows");
  const asPromised =
    upfrontShutdownScript.length === 0 || equal(upfrontShutdownScript, scriptpubkey);
  demand(asPromised, "shutdown.scriptpubkey", "is not the one promised at the opening");
  const ours = draft.session.remoteProposed.some((u) => u.type === "add" || u.type === "push");
  demand(!ours, "shutdown", "comes before a commitment_signed for pending updates");
  draft.change({ remoteShutdownScript: scriptpubkey, phase: "closing" });
}

/** Both shutdowns exchanged, no HTLC left, nothing pending, no revocation owed. */
function isQuiet({ record, session }: Draft): boolean {
  const { localSigned, localAcked, remoteAcked, remoteSigned } = record.pending;
  return (
    record.localShutdownScript !== undefined &&
    record.remoteShutdownScript !== undefined &&
    session.shutdownSent &&
    record.base.htlcs.length === 0 &&
    !record.awaitingRevocation &&
    localSigned.length + localAcked.length + remoteAcked.length + remoteSigned.length === 0 &&
    session.localProposed.length + session.remoteProposed.length === 0
  );
}

/** The one who asked for the close pays it; the other offers where that one cannot pay any fee, or forgot that it asked. */
function proposeClosing(draft: Draft): void {
  const { context, session } = draft;
  if (session.closingOffered || hasUsableClose(draft)) return;
  if (session.closingQuietAt === undefined) {
    draft.changeSession({ closingQuietAt: context.tipHeight });
  }
  offerClosing(draft);
}

/** Whoever asked offers at once. One that does not seems to have forgotten, as after an older image was put back. */
function hasPeerForgotten({ context, session }: Draft): boolean {
  const { tipHeight } = context;
  return tipHeight >= (session.closingQuietAt ?? tipHeight) + CLOSER_PATIENCE_BLOCKS;
}

/** A mutual close is signed that nodes relay now: a peer may also offer one without a fee, or for years from now. */
export function hasUsableClose({ context, record }: Draft): boolean {
  const least = Math.min(context.policy.minFeeratePerKw, record.closeFeeratePerKw ?? Infinity);
  return record.mutualCloses.some((raw) => {
    const { outputs, locktime } = parseTransaction(raw);
    const isDust = outputs.some(({ script, amount }) => amount < dustThreshold(script));
    const weight = transactionWeight(parseTransaction(raw));
    return locktime <= context.tipHeight && !isDust && feeOf(record, raw) * 1000 >= weight * least;
  });
}

function feeOf({ terms }: ChannelRecord, raw: Uint8Array): number {
  const paid = parseTransaction(raw).outputs.reduce((sum, { amount }) => sum + amount, 0);
  return terms.fundingSatoshis - paid;
}

function offerClosing(draft: Draft): void {
  const { context, record, session } = draft;
  if (session.closingProposed) return; // BOLT 2: no other before closing_sig
  const terms = closingTerms(record, "local", { feeSatoshis: satoshi(0), locktime: 0 });
  const weight = closingWeight(terms);
  const wanted = record.closeFeeratePerKw;
  const theirs = satoshiFloor(record.base.toRemoteMsat);
  const balance = satoshiFloor(record.base.toLocalMsat);
  const least = Math.ceil((weight * context.policy.minFeeratePerKw) / 1000);
  if (balance < least) return;
  if (wanted === undefined && theirs >= least && !hasPeerForgotten(draft)) return;
  const feerate = wanted ?? context.feerates.soon;
  const feeSatoshis = satoshi(Math.min(Math.ceil((weight * feerate) / 1000), balance));
  const offer: ClosingTerms = { ...terms, feeSatoshis };
  const variants = closerVariants(offer);
  if (variants.length === 0) return; // every output would be dust: the other side closes, or nobody gains
  const signatures: Partial<Record<ClosingVariant, Signature>> = {};
  for (const variant of variants) {
    const { sighash } = buildClosing(context.crypto, offer, variant);
    signatures[variant] = context.signer.signClosing(sighash);
  }
  const proposal = {
    closerScriptpubkey: offer.closerScript,
    closeeScriptpubkey: offer.closeeScript,
    feeSatoshis,
    locktime: 0,
  };
  draft.changeSession({ closingProposed: proposal, closingOffered: true });
  draft.send({
    type: "closing_complete",
    channelId: record.channelId,
    ...proposal,
    closerOutputOnly: signatures.closerOutputOnly,
    closeeOutputOnly: signatures.closeeOutputOnly,
    closerAndCloseeOutputs: signatures.closerAndCloseeOutputs,
  });
}

function closingTerms(
  record: ChannelRecord,
  closer: "local" | "remote",
  { feeSatoshis, locktime }: { readonly feeSatoshis: Satoshi; readonly locktime: number },
): ClosingTerms {
  const { terms, base, localShutdownScript, remoteShutdownScript } = record;
  assert(localShutdownScript && remoteShutdownScript, "both shutdowns were exchanged");
  const local = closer === "local";
  return {
    fundingOutpoint: terms.fundingOutpoint,
    fundingSatoshis: terms.fundingSatoshis,
    fundingPubkeys: [terms.local.basepoints.fundingPubkey, terms.remote.basepoints.fundingPubkey],
    closerMsat: local ? base.toLocalMsat : base.toRemoteMsat,
    closeeMsat: local ? base.toRemoteMsat : base.toLocalMsat,
    closerScript: local ? localShutdownScript : remoteShutdownScript,
    closeeScript: local ? remoteShutdownScript : localShutdownScript,
    feeSatoshis,
    locktime,
  };
}

/** The peer closes and pays: we sign what it offers, and publish it. */
export function receiveClosingComplete(
  draft: Draft,
  message: MessageNamed<"closing_complete">,
): void {
  const { context, record } = draft;
  demand(isQuiet(draft), "closing_complete", "comes before the channel is empty");
  const { closerScriptpubkey, closeeScriptpubkey, feeSatoshis, locktime } = message;
  const mine = record.localShutdownScript as Uint8Array;
  demand(
    equal(closeeScriptpubkey, mine),
    "closing_complete.closee_scriptpubkey",
    "is not the script we sent last",
  );
  const { upfrontShutdownScript } = record.terms.remote;
  const anySegwit = context.negotiated.anySegwitShutdown;
  const promised =
    upfrontShutdownScript.length === 0 || equal(upfrontShutdownScript, closerScriptpubkey);
  const known = isShutdownScript(closerScriptpubkey, { anySegwit, simpleClose: true });
  demand(known && promised, "closing_complete.closer_scriptpubkey", "is not allowed");
  const base = closingTerms(record, "remote", { feeSatoshis, locktime });
  const terms: ClosingTerms = { ...base, closerScript: closerScriptpubkey };
  const offered = VARIANTS.filter((variant) => message[variant] !== undefined);
  const variant = closeeVariant(terms, offered);
  demand(variant, "closing_complete", "lacks the signature that our output calls for");
  const raw = completeClosing(draft, terms, variant, message[variant] as Signature);
  const { sighash } = buildClosing(context.crypto, terms, variant);
  const signature = context.signer.signClosing(sighash);
  draft.change({ remoteShutdownScript: closerScriptpubkey });
  draft.send({
    type: "closing_sig",
    channelId: record.channelId,
    closerScriptpubkey,
    closeeScriptpubkey,
    feeSatoshis,
    locktime,
    closerOutputOnly: variant === "closerOutputOnly" ? signature : undefined,
    closeeOutputOnly: variant === "closeeOutputOnly" ? signature : undefined,
    closerAndCloseeOutputs: variant === "closerAndCloseeOutputs" ? signature : undefined,
  });
  keepClosing(draft, raw);
}

/** The peer signed our offer: publish it. */
export function receiveClosingSig(draft: Draft, message: MessageNamed<"closing_sig">): void {
  const { session, record } = draft;
  const { closingProposed } = session;
  demand(
    closingProposed && matches(closingProposed, message),
    "closing_sig",
    "fits no offer of ours",
  );
  const signed = VARIANTS.filter((variant) => message[variant] !== undefined);
  const [variant] = signed;
  demand(signed.length === 1 && variant, "closing_sig", "must have exactly one signature");
  const { feeSatoshis, locktime, closerScriptpubkey, closeeScriptpubkey } = closingProposed;
  const fee = { feeSatoshis: satoshi(feeSatoshis), locktime };
  // The peer may have changed its script since: this offer stands for what it was.
  const terms: ClosingTerms = {
    ...closingTerms(record, "local", fee),
    closerScript: closerScriptpubkey,
    closeeScript: closeeScriptpubkey,
  };
  demand(closerVariants(terms).includes(variant), "closing_sig", "signs what was not offered");
  const raw = completeClosing(draft, terms, variant, message[variant] as Signature);
  draft.changeSession({ closingProposed: undefined });
  keepClosing(draft, raw);
}

function matches(ours: ClosingProposal, theirs: MessageNamed<"closing_sig">): boolean {
  return (
    equal(ours.closerScriptpubkey, theirs.closerScriptpubkey) &&
    equal(ours.closeeScriptpubkey, theirs.closeeScriptpubkey) &&
    ours.feeSatoshis === theirs.feeSatoshis &&
    ours.locktime === theirs.locktime
  );
}

/** Checks the peer's signature and adds ours. */
function completeClosing(
  { context, record }: Draft,
  terms: ClosingTerms,
  variant: ClosingVariant,
  theirs: Signature,
): Uint8Array {
  const { transaction, sighash } = buildClosing(context.crypto, terms, variant);
  const { local, remote } = record.terms;
  const { fundingPubkey } = remote.basepoints;
  const fits = context.crypto.verify(theirs, sighash, fundingPubkey);
  demand(fits, "closing-signature", "the peer's signature does not fit the closing transaction");
  const witness = assembleFundingWitness(
    {
      fundingPubkey: local.basepoints.fundingPubkey,
      signature: context.signer.signClosing(sighash),
    },
    { fundingPubkey, signature: theirs },
  );
  return serializeTransaction(withWitness(transaction, 0, witness));
}

function keepClosing(draft: Draft, raw: Uint8Array): void {
  const { record } = draft;
  const known = record.mutualCloses.some((close) => equal(close, raw));
  const all = known ? record.mutualCloses : [...record.mutualCloses, raw];
  // A peer that offers many cheap ones does not push the dear one out.
  const fees = all.map((close) => feeOf(record, close));
  const cheapest = fees.reduce((at, fee, i) => (fee < (fees[at] as number) ? i : at), 0);
  const kept = all.length > MAX_MUTUAL_CLOSES ? all.filter((_, i) => i !== cheapest) : all;
  if (!known) draft.change({ mutualCloses: kept });
  draft.emit({ type: "publishClose", raw });
  const { crypto } = draft.context;
  draft.notify({ type: "closing", txid: transactionId(crypto, parseTransaction(raw)) });
}
