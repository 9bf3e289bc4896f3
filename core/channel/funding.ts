/** From the funding transaction to channel_ready on both sides (BOLT 2 "The channel_ready Message"). */
import type { MessageNamed } from "../messages/message.ts";
import { type BlockHeight, commitmentNumber } from "../primitives/brands.ts";
import { equal } from "../primitives/bytes.ts";
import { demand } from "../primitives/errors.ts";
import { fundingOutput } from "../transactions/funding.ts";
import type { Transaction } from "../transactions/transaction.ts";
import type { Draft } from "./draft.ts";
import type { ChannelRecord } from "./record.ts";

/** An acceptor forgets a channel whose funding does not confirm within this many blocks (BOLT 2). */
const FORGET_AFTER_BLOCKS = 2016;

/** The funding transaction was confirmed at `height`; one that does not pay the agreed output is not the funding. */
export function fundingConfirmed(
  draft: Draft,
  transaction: Transaction,
  height: BlockHeight,
): void {
  const { context, record } = draft;
  const { terms } = record;
  const output = transaction.outputs[terms.fundingOutpoint.vout];
  const expected = fundingOutput(
    context.crypto,
    [terms.local.basepoints.fundingPubkey, terms.remote.basepoints.fundingPubkey],
    terms.fundingSatoshis,
  );
  if (output?.amount === expected.amount && equal(output.script, expected.script)) {
    draft.change({ fundingHeight: height });
    return;
  }
  draft.notify({
    type: "violation",
    tag: "funding-output",
    text: "the funding transaction does not pay what was agreed: the channel is worth nothing",
  });
  draft.send({
    type: "error",
    channelId: record.channelId,
    data: "the funding output is not what was agreed",
  });
  draft.ended = "the funding transaction does not pay what was agreed";
}

/** Why nothing is paid while the funding is not in the chain (zero-conf aside): whoever made it may spend it elsewhere. */
export function fundingLost({ minimumDepth, fundingHeight }: ChannelRecord): string | undefined {
  if (minimumDepth === 0 || fundingHeight !== undefined) return undefined;
  return "the funding transaction left the chain: waiting for it to confirm again";
}

/** Sends channel_ready when the funding is deep enough; forgets a channel that was never funded. */
export function considerReady(draft: Draft): void {
  const { context, record } = draft;
  const { fundingHeight, phase } = record;
  // A channel that is to be closed on chain is forgotten as well where it was never there.
  if (phase === "force-closing" && record.forceClosedAtHeight !== undefined) {
    forgetUnfunded(draft);
    return;
  }
  if (phase !== "awaiting-funding" && phase !== "closing") return;
  if (fundingHeight === undefined && record.minimumDepth > 0) {
    forgetUnfunded(draft);
    return;
  }
  const depth = fundingHeight === undefined ? 0 : context.tipHeight - fundingHeight + 1;
  if (record.readySent || depth < record.minimumDepth) return;
  draft.change({ readySent: true });
  if (draft.established) sendChannelReady(draft);
  becomeNormal(draft);
}

/** Every place for a channel could be taken by openers that fund none. */
function forgetUnfunded(draft: Draft): void {
  const { context, record } = draft;
  const never = !record.terms.localIsOpener && !record.readySent;
  const age = context.tipHeight - record.createdAtHeight;
  if (!never || record.fundingHeight !== undefined || age < FORGET_AFTER_BLOCKS) return;
  const reason = `no funding transaction confirmed within ${FORGET_AFTER_BLOCKS} blocks`;
  draft.ended = reason;
  draft.notify({ type: "forgotten", reason });
}

export function sendChannelReady(draft: Draft): void {
  draft.send({
    type: "channel_ready",
    channelId: draft.record.channelId,
    secondPerCommitmentPoint: draft.context.signer.perCommitmentPoint(commitmentNumber(1)),
    shortChannelId: undefined,
  });
}

export function receiveChannelReady(draft: Draft, message: MessageNamed<"channel_ready">): void {
  const { context, record } = draft;
  if (record.readyReceived) return; // repeated after a reconnect (BOLT 2)
  const { secondPerCommitmentPoint: point } = message;
  const onCurve = context.crypto.isPublicKey(point);
  demand(onCurve, "channel_ready.second_per_commitment_point", "is not a point on the curve");
  draft.change({ readyReceived: true, remoteNextPoint: point });
  becomeNormal(draft);
}

function becomeNormal(draft: Draft): void {
  const { record } = draft;
  if (!record.readySent || !record.readyReceived) return;
  if (record.phase === "awaiting-funding") draft.change({ phase: "normal" });
  draft.notify({ type: "ready" });
}
