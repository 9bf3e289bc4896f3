/** channel_reestablish: what was lost with the link is sent again; a side that lost state finds out (BOLT 2 "Message Retransmission"). */
import { lookupSecret } from "../keys/shachain.ts";
import type { MessageNamed } from "../messages/message.ts";
import { commitmentNumber, secretKey } from "../primitives/brands.ts";
import { equal, isZero } from "../primitives/bytes.ts";
import { assert, demand } from "../primitives/errors.ts";
import { resumeClosing } from "./closing.ts";
import { acknowledgeReceipts, sendCommitmentSigned, sendReceipt } from "./commitments.ts";
import type { Draft } from "./draft.ts";
import { sendChannelReady } from "./funding.ts";
import { nextSession } from "./record.ts";
import { messageOf, resumeResolutions } from "./updates.ts";

/** A new link to the peer: tell it where we stand. */
export function connect(draft: Draft): void {
  const { context, record } = draft;
  draft.session = nextSession(draft.session, true);
  const { terms } = record;
  if (record.phase === "awaiting-funding" && terms.localIsOpener && !record.fundingHeight) {
    // Told again, or a crash at the wrong moment would keep the funding from being broadcast for ever.
    draft.notify({ type: "created", channelId: record.channelId, broadcastFunding: true });
  }
  // The chain has decided: an error would only make the peer publish in vain.
  if (record.phase === "on-chain") return;
  const lastSecret =
    record.remoteNumber === 0
      ? new Uint8Array(32)
      : lookupSecret(context.crypto, record.secrets, commitmentNumber(record.remoteNumber - 1));
  assert(lastSecret, "the last revoked secret is stored");
  draft.send({
    type: "channel_reestablish",
    channelId: record.channelId,
    nextCommitmentNumber: record.localNumber + 1,
    nextRevocationNumber: record.remoteNumber,
    yourLastPerCommitmentSecret: lastSecret,
    myCurrentPerCommitmentPoint: context.signer.perCommitmentPoint(record.localNumber),
    receiptsBelow: record.receiptsBelow,
  });
  if (record.phase !== "force-closing") {
    draft.changeSession({ reestablishSent: true });
    return;
  }
  // After the numbers: a peer whose record is old learns that before it hears that it should publish.
  draft.send({
    type: "error",
    channelId: record.channelId,
    data: "this channel is closing on chain",
  });
}

export function receiveReestablish(
  draft: Draft,
  message: MessageNamed<"channel_reestablish">,
): void {
  const { record } = draft;
  demand(
    draft.session.reestablishSent && !draft.session.reestablishReceived,
    "channel_reestablish",
    "comes once, after a connection",
  );
  if (record.phase === "outdated") {
    sayOutdated(draft);
    return;
  }
  if (weAreOutdated(draft, message) || weMayBeOutdated(draft, message)) return;
  if (peerIsOutdated(draft, message)) return;
  draft.changeSession({ reestablishReceived: true, mayBeOutdated: undefined });
  if (record.peerOutdated) draft.change({ peerOutdated: false });
  // The peer's numbers are ours: nothing was lost, as far as anybody but the peer can know.
  if (record.suspect) draft.change({ suspect: undefined });
  acknowledgeReceipts(draft, message.receiptsBelow);
  retransmit(draft, message);
  resumeResolutions(draft);
  resumeClosing(draft);
  draft.notify({ type: "reestablished" });
}

/** The peer proves, by a secret that we have yet to reveal, that our record is old: we must never publish it (rule `outdated-never-broadcasts`). */
function weAreOutdated(draft: Draft, message: MessageNamed<"channel_reestablish">): boolean {
  const { context, record } = draft;
  const { crypto, signer } = context;
  const { nextRevocationNumber, yourLastPerCommitmentSecret: secret } = message;
  if (nextRevocationNumber === 0) {
    demand(isZero(secret), "channel_reestablish.secret", "must be zeroes before any revocation");
    return false;
  }
  const point = signer.perCommitmentPoint(commitmentNumber(nextRevocationNumber - 1));
  const fits = crypto.isSecretKey(secret) && equal(crypto.publicKeyOf(secretKey(secret)), point);
  demand(fits, "channel_reestablish.secret", "is not our last revoked secret");
  if (nextRevocationNumber <= record.localNumber) return false;
  draft.change({ outdated: true, phase: "outdated" });
  sayOutdated(draft);
  draft.notify({
    type: "outdated",
    reason: `our record is at commitment ${record.localNumber}, the peer has revocations up to ${
      nextRevocationNumber - 1
    }: nothing of ours is published, the peer is asked to close`,
  });
  return true;
}

/** The peer expects more than we ever signed, without a proof: we may have lost state, or it lies. It may publish; we wait. */
function weMayBeOutdated(draft: Draft, message: MessageNamed<"channel_reestablish">): boolean {
  const { record } = draft;
  const sent = record.remoteNumber + (record.awaitingRevocation ? 1 : 0);
  const { nextCommitmentNumber } = message;
  if (nextCommitmentNumber <= sent + 1) return false;
  draft.changeSession({ peerLost: true, mayBeOutdated: true });
  sayOutdated(draft);
  draft.notify({
    type: "outdated",
    reason: `the peer expects our commitment ${nextCommitmentNumber}, our record knows of ${sent}: the peer is asked to close`,
  });
  return true;
}

function sayOutdated(draft: Draft): void {
  draft.send({
    type: "error",
    channelId: draft.record.channelId,
    data: "our state is outdated: please publish your commitment",
  });
}

/** The peer asks for what it must have had: it lost state. We wait for its error before we publish (BOLT 2). */
function peerIsOutdated(draft: Draft, message: MessageNamed<"channel_reestablish">): boolean {
  const { record } = draft;
  const { nextCommitmentNumber, nextRevocationNumber } = message;
  const tag = "channel_reestablish.next_commitment_number";
  demand(nextCommitmentNumber > 0, tag, "counts from 1");
  const behind =
    nextCommitmentNumber < record.remoteNumber + 1 || nextRevocationNumber < record.localNumber - 1;
  if (!behind) return false;
  draft.changeSession({ peerLost: true });
  if (!record.peerOutdated) draft.change({ peerOutdated: true });
  draft.notify({ type: "peerOutdated" });
  return true;
}

/** Sends again what the peer did not receive, in the order in which it was sent. */
function retransmit(draft: Draft, message: MessageNamed<"channel_reestablish">): void {
  const { record } = draft;
  const { nextCommitmentNumber, nextRevocationNumber } = message;
  if (record.readySent && nextCommitmentNumber === 1 && record.localNumber === 0) {
    sendChannelReady(draft);
  }
  for (const push of record.receiptsOwed) sendReceipt(draft, push);
  const needsRevocation = nextRevocationNumber === record.localNumber - 1;
  const needsCommitment =
    record.awaitingRevocation && nextCommitmentNumber === record.remoteNumber + 1;
  const revocation = () =>
    draft.emit({ type: "revoke", number: commitmentNumber(record.localNumber - 1) });
  if (needsRevocation && record.lastSent === "commitment_signed") revocation();
  if (needsCommitment) {
    for (const update of record.pending.localSigned) draft.send(messageOf(record, update));
    sendCommitmentSigned(draft);
  }
  if (needsRevocation && record.lastSent === "revoke_and_ack") revocation();
}
