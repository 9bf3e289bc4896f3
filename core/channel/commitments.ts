/** The commitment dance: commitment_signed and revoke_and_ack in both directions (BOLT 2 "Normal Operation"). */
import { insertSecret } from "../keys/shachain.ts";
import type { MessageNamed } from "../messages/message.ts";
import { receiptHash } from "../payments/receipt.ts";
import {
  type CommitmentNumber,
  commitmentNumber,
  type PerCommitmentPoint,
  type Signature,
  secretKey,
} from "../primitives/brands.ts";
import { equal } from "../primitives/bytes.ts";
import { assert, demand } from "../primitives/errors.ts";
import type { Side } from "../transactions/channel-terms.ts";
import { buildCommitment, type Commitment } from "../transactions/commitment.ts";
import type { CommitmentKeys, CommitmentSpec } from "../transactions/terms.ts";
import { archivedBetween } from "./archive.ts";
import { broadcasterConstants, broadcasterKeys } from "./commitment-cache.ts";
import type { Context } from "./context.ts";
import type { Draft } from "./draft.ts";
import { fundingLost } from "./funding.ts";
import { dustExposureMsat, trims } from "./limits.ts";
import {
  type ChannelRecord,
  type Htlc,
  MAX_RECEIPTS_OWED,
  type State,
  type Update,
} from "./record.ts";
import { allForLocal, commitmentSpec, reduce, remoteNextState, sided, tryReduce } from "./state.ts";

export type KeyedCommitment = Commitment & {
  readonly keys: CommitmentKeys;
  readonly spec: CommitmentSpec;
};

/** One side's commitment transaction for a state. */
export function commitmentOf(
  context: Context,
  record: Pick<ChannelRecord, "terms">,
  request: {
    readonly broadcaster: Side;
    readonly state: State;
    readonly number: CommitmentNumber;
    readonly point: PerCommitmentPoint;
  },
): KeyedCommitment {
  const { broadcaster, state, number, point } = request;
  const { terms } = record;
  const { crypto, commitments } = context;
  const keys =
    commitments?.keys(crypto, terms, broadcaster, point) ??
    broadcasterKeys(crypto, terms, broadcaster, point);
  const spec = commitmentSpec(state, broadcaster, number);
  const side =
    commitments?.of(crypto, terms, broadcaster) ?? broadcasterConstants(crypto, terms, broadcaster);
  const built = buildCommitment(crypto, side.terms, keys, spec, side.constants);
  return { ...built, keys, spec };
}

/** Signs the peer's next commitment where there is anything new to sign and nothing outstanding. */
export function signWhenDue(draft: Draft): void {
  const { record, session } = draft;
  if (!draft.established || record.awaitingRevocation || !record.remoteNextPoint) return;
  if (session.localProposed.length === 0 && record.pending.remoteAcked.length === 0) return;
  const number = commitmentNumber(record.remoteNumber + 1);
  const stamp = (update: Update): Update => stampFirstNumber(update, number);
  draft.change({
    pending: {
      ...record.pending,
      localSigned: session.localProposed.map(stamp),
      remoteAcked: [],
      remoteSigned: record.pending.remoteAcked.map(stamp),
    },
    nextLocalHtlcId: record.nextLocalHtlcId + count(session.localProposed, "add"),
    nextLocalPushId: record.nextLocalPushId + count(session.localProposed, "push"),
    awaitingRevocation: true,
    lastSent: "commitment_signed",
  });
  draft.changeSession({ localProposed: [] });
  for (const update of draft.record.pending.localSigned) announceCommitted(draft, update);
  sendCommitmentSigned(draft);
}

/** Sends commitment_signed for the commitment that the record holds as signed; byte-identical whenever repeated. */
export function sendCommitmentSigned(draft: Draft): void {
  const { context, record } = draft;
  assert(record.awaitingRevocation && record.remoteNextPoint, "nothing is signed");
  const number = commitmentNumber(record.remoteNumber + 1);
  const point = record.remoteNextPoint;
  const commitment = commitmentOf(context, record, {
    broadcaster: "remote",
    state: remoteNextState(record),
    number,
    point,
  });
  draft.send({
    type: "commitment_signed",
    channelId: record.channelId,
    signature: context.signer.signRemoteCommitment(number, commitment.sighash),
    htlcSignatures: commitment.htlcs.map(({ sighash }) =>
      context.signer.signRemoteHtlc(point, sighash),
    ),
  });
}

function stampFirstNumber(update: Update, number: number): Update {
  return update.type === "add"
    ? { type: "add", htlc: { ...update.htlc, firstRemoteNumber: number } }
    : update;
}

function announceCommitted(draft: Draft, update: Update): void {
  if (update.type === "push") {
    draft.emit({ type: "debit", payments: update.payments });
    const { id: pushId, payments } = update;
    draft.notify({ type: "pushCommitted", pushId, payments });
  }
  if (update.type === "add") draft.notify({ type: "htlcCommitted", htlc: update.htlc });
}

function count(updates: readonly Update[], type: Update["type"]): number {
  return updates.reduce((n, update) => (update.type === type ? n + 1 : n), 0);
}

/** commitment_signed from the peer: our new commitment, and our revocation of the old one. */
export function receiveCommitmentSigned(
  draft: Draft,
  message: MessageNamed<"commitment_signed">,
): void {
  const { context, record, session } = draft;
  const { localAcked, remoteAcked } = record.pending;
  const changes = localAcked.length + session.remoteProposed.length;
  demand(changes > 0, "commitment_signed", "has no updates to commit");
  const number = commitmentNumber(record.localNumber + 1);
  const state = tryReduce(record.base, allForLocal(record, session.remoteProposed));
  demand(state, "commitment_signed", "a balance would fall below zero");
  const commitment = commitmentOf(context, record, {
    broadcaster: "local",
    state,
    number,
    point: context.signer.perCommitmentPoint(number),
  });
  checkSignatures(context, record, commitment, message);
  draft.change({
    base: reduce(record.base, sided("local", localAcked)),
    pending: {
      ...record.pending,
      localAcked: [],
      remoteAcked: [...remoteAcked, ...session.remoteProposed],
    },
    nextRemoteHtlcId: record.nextRemoteHtlcId + count(session.remoteProposed, "add"),
    nextRemotePushId: record.nextRemotePushId + count(session.remoteProposed, "push"),
    localNumber: number,
    localSignature: message.signature,
    localHtlcSignatures: message.htlcSignatures,
    lastSent: "revoke_and_ack",
  });
  draft.changeSession({ remoteProposed: [] });
  for (const update of localAcked) settleLocal(draft, record, update);
  draft.emit({ type: "revoke", number: commitmentNumber(number - 1) });
}

function checkSignatures(
  context: Context,
  record: ChannelRecord,
  commitment: KeyedCommitment,
  message: { readonly signature: Signature; readonly htlcSignatures: readonly Signature[] },
): void {
  const { crypto } = context;
  const { fundingPubkey } = record.terms.remote.basepoints;
  demand(
    crypto.verify(message.signature, commitment.sighash, fundingPubkey),
    "commitment_signed.signature",
    `does not fit our commitment ${commitment.spec.number}`,
  );
  demand(
    message.htlcSignatures.length === commitment.htlcs.length,
    "commitment_signed.htlc_signatures",
    `must be ${commitment.htlcs.length}, are ${message.htlcSignatures.length}`,
  );
  commitment.htlcs.forEach(({ htlc, sighash }, i) => {
    demand(
      crypto.verify(
        message.htlcSignatures[i] as Signature,
        sighash,
        commitment.keys.countersignatoryHtlcPubkey,
      ),
      "commitment_signed.htlc_signatures",
      `number ${i} does not fit HTLC ${htlc.id}`,
    );
  });
}

/** An update of ours that is irrevocable on both sides now. */
function settleLocal(draft: Draft, before: ChannelRecord, update: Update): void {
  switch (update.type) {
    case "push": {
      const { id, payments } = update;
      const digest = draft.context.crypto.sha256(payments);
      const awaited = [...draft.record.receiptsAwaited, { id, digest }].slice(
        -draft.context.policy.maxReceiptsAwaited,
      );
      draft.change({ receiptsAwaited: awaited });
      draft.notify({ type: "pushSettled", pushId: id, payments });
      return;
    }
    case "fulfill":
    case "fail":
    case "failMalformed": {
      const htlc = before.base.htlcs.find((h) => !h.offeredByLocal && h.id === update.htlcId);
      assert(htlc, "a resolved HTLC was in the base state");
      const fulfilled = update.type === "fulfill";
      draft.notify({
        type: "htlcSettled",
        htlcId: htlc.id,
        paymentHash: htlc.paymentHash,
        amountMsat: htlc.amountMsat,
        fulfilled,
      });
      return;
    }
    default:
      return;
  }
}

/** revoke_and_ack from the peer: its old commitment is dead, its updates that we signed are irrevocable. */
export function receiveRevokeAndAck(draft: Draft, message: MessageNamed<"revoke_and_ack">): void {
  const { context, record } = draft;
  const { crypto } = context;
  const { perCommitmentSecret, nextPerCommitmentPoint } = message;
  demand(record.awaitingRevocation, "revoke_and_ack", "no commitment_signed is outstanding");
  demand(
    crypto.isSecretKey(perCommitmentSecret) &&
      equal(crypto.publicKeyOf(secretKey(perCommitmentSecret)), record.remotePoint),
    "revoke_and_ack.per_commitment_secret",
    `does not belong to commitment ${record.remoteNumber}`,
  );
  demand(
    crypto.isPublicKey(nextPerCommitmentPoint),
    "revoke_and_ack.next_per_commitment_point",
    "is not a point on the curve",
  );
  assert(record.remoteNextPoint, "a signed commitment has a point");
  for (const entry of archivedBetween(context, record)) draft.emit({ type: "archive", entry });
  const { localAcked, localSigned, remoteSigned } = record.pending;
  draft.change({
    base: reduce(record.base, sided("remote", remoteSigned)),
    pending: {
      ...record.pending,
      localSigned: [],
      localAcked: [...localAcked, ...localSigned],
      remoteSigned: [],
    },
    remoteNumber: commitmentNumber(record.remoteNumber + 1),
    remotePoint: record.remoteNextPoint,
    remoteNextPoint: nextPerCommitmentPoint,
    awaitingRevocation: false,
    secrets: insertSecret(
      crypto,
      record.secrets,
      record.remoteNumber,
      secretKey(perCommitmentSecret),
    ),
  });
  for (const update of remoteSigned) settleRemote(draft, record, update);
}

/** An update of the peer's that is irrevocable on both sides now (rule `paid-when-revoked`). */
function settleRemote(draft: Draft, before: ChannelRecord, update: Update): void {
  const declineReason = fundingLost(draft.record) ?? draft.context.declineReason;
  switch (update.type) {
    case "push": {
      const declined = declineReason === undefined ? {} : { declined: declineReason };
      creditPush(draft, update.id, update.payments, declined);
      return;
    }
    case "add":
      offerHtlc(draft, update.htlc);
      return;
    case "fail":
    case "failMalformed": {
      const htlc = before.base.htlcs.find((h) => h.offeredByLocal && h.id === update.htlcId);
      assert(htlc, "a failed HTLC was in the base state");
      const reason = update.type === "fail" ? update.reason : new Uint8Array(0);
      const { id: htlcId, paymentHash } = htlc;
      draft.notify({ type: "htlcFailed", htlcId, paymentHash, reason });
      return;
    }
    default:
      return;
  }
}

/** Tells of an HTLC that waits for its preimage, and why it should be failed where it should. */
export function offerHtlc(draft: Draft, htlc: Htlc): void {
  const declined = declineHtlc(draft, htlc);
  draft.notify({ type: "htlcReceived", htlc, ...(declined === undefined ? {} : { declined }) });
}

function declineHtlc({ context, record }: Draft, htlc: Htlc): string | undefined {
  const { policy, tipHeight } = context;
  const declineReason = fundingLost(record) ?? context.declineReason;
  if (declineReason !== undefined) return declineReason;
  if (htlc.cltvExpiry <= tipHeight + policy.fulfillSafetyBlocks) {
    return `it expires at block ${htlc.cltvExpiry}: too soon to be sure of it`;
  }
  const { terms, base } = record;
  const exposures = (["local", "remote"] as const).map((side) => ({
    trimmed: trims(terms, side, base, htlc),
    msat: dustExposureMsat(terms, side, base),
  }));
  const exposed = exposures.some(
    ({ trimmed, msat }) => trimmed && msat > policy.maxDustExposureMsat,
  );
  return exposed ? "too much would lie in HTLCs below dust" : undefined;
}

function creditPush(
  draft: Draft,
  pushId: number,
  payments: Uint8Array,
  declined: { declined?: string },
): void {
  const { context, record } = draft;
  const digest = context.crypto.sha256(payments);
  const push = { id: pushId, digest };
  draft.emit({ type: "credit", pushId, payments });
  draft.notify({ type: "pushReceived", pushId, payments, ...declined });
  draft.change({ receiptsOwed: [...record.receiptsOwed, push].slice(-MAX_RECEIPTS_OWED) });
  sendReceipt(draft, push);
}

export function sendReceipt(
  draft: Draft,
  push: { readonly id: number; readonly digest: Uint8Array },
): void {
  const { context, record } = draft;
  const hash = receiptHash(context.crypto, record.channelId, push);
  draft.send({
    type: "push_receipt",
    channelId: record.channelId,
    id: push.id,
    signature: context.nodeSigner.sign(hash),
  });
}

export function receiveReceipt(draft: Draft, message: MessageNamed<"push_receipt">): void {
  const { context, record } = draft;
  const push = record.receiptsAwaited.find(({ id }) => id === message.id);
  if (!push) return; // repeated after a reconnect
  demand(
    context.crypto.verify(
      message.signature,
      receiptHash(context.crypto, record.channelId, push),
      record.remoteNodeId,
    ),
    "push_receipt.signature",
    `does not fit push ${message.id}`,
  );
  // Receipts come in the order of the pushes: one that was skipped is lost for good.
  const awaited = record.receiptsAwaited.filter(({ id }) => id > message.id);
  draft.change({
    receiptsAwaited: awaited,
    receiptsBelow: receiptsBelow(record, awaited),
  });
  draft.notify({ type: "receipt", pushId: message.id, signature: message.signature });
}

/** All receipts below the first awaited push are held. */
function receiptsBelow(record: ChannelRecord, awaited: ChannelRecord["receiptsAwaited"]): number {
  const { localSigned, localAcked } = record.pending;
  const settled = record.nextLocalPushId - count(localSigned, "push") - count(localAcked, "push");
  return awaited.reduce((below, { id }) => Math.min(below, id), settled);
}

/** The peer holds our receipts below this id: they need not be kept. */
export function acknowledgeReceipts(draft: Draft, below: number): void {
  const { receiptsOwed } = draft.record;
  if (receiptsOwed.some(({ id }) => id < below)) {
    draft.change({ receiptsOwed: receiptsOwed.filter(({ id }) => id >= below) });
  }
}
