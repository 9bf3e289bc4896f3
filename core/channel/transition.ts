/** A channel as a function: (context, channel, input) → channel and effects; nothing else is read, nothing else is changed. */
import type { Message } from "../messages/message.ts";
import type { PublicKey } from "../primitives/brands.ts";
import { ProtocolViolation, unreachable } from "../primitives/errors.ts";
import {
  advanceClosing,
  close,
  hasUsableClose,
  receiveClosingComplete,
  receiveClosingSig,
  receiveShutdown,
} from "./closing.ts";
import {
  receiveCommitmentSigned,
  receiveReceipt,
  receiveRevokeAndAck,
  signWhenDue,
} from "./commitments.ts";
import type { Context } from "./context.ts";
import { type Channel, Draft, type Transition } from "./draft.ts";
import type { Effect } from "./effects.ts";
import { channelIdOf } from "./first-record.ts";
import { receiveChannelReady } from "./funding.ts";
import type { Command, Input } from "./inputs.ts";
import { confirmed, forceClose, onTip, reorganised, SUSPECT_REASON, suspect } from "./on-chain.ts";
import {
  ended,
  funded,
  type Opening,
  receiveAccept,
  receiveFundingCreated,
  receiveFundingSigned,
} from "./opening.ts";
import { forgottenProposals, resetSession } from "./proposals.ts";
import { receiveUpdate } from "./received-updates.ts";
import { type ChannelRecord, freshSession, isOpen, nextSession } from "./record.ts";
import { connect, receiveReestablish } from "./reestablish.ts";
import { propose } from "./updates.ts";

/** A channel read from its record after a restart. */
export function restored(record: ChannelRecord): Channel {
  return { kind: "live", record, session: freshSession };
}

/**
 * `updateFollows`: signing waits for the next input, an update of ours, and has one signature for both.
 *
 * A breach by the peer changes nothing durable: it is told, and the link is closed. Only a deadline, the peer's error, or a
 * person publishes our commitment (rule `honest-peer-never-force-closed`).
 */
export function transition(
  context: Context,
  channel: Channel,
  input: Input,
  updateFollows = false,
): Transition {
  try {
    return step(context, channel, input, updateFollows);
  } catch (cause) {
    if (!(cause instanceof ProtocolViolation)) throw cause;
    return violated(channel, cause);
  }
}

function step(
  context: Context,
  channel: Channel,
  input: Input,
  updateFollows: boolean,
): Transition {
  switch (channel.kind) {
    case "opening":
      return stepOpening(context, channel.opening, input);
    case "live":
      return stepLive(context, channel, input, updateFollows);
    case "ended":
      return ended(channel.reason, []);
    default:
      return unreachable(channel);
  }
}

function stepOpening(context: Context, opening: Opening, input: Input): Transition {
  if (input.type === "funded") return funded(context, opening, input);
  if (input.type === "disconnected") {
    return openFailed("the link was lost before the channel was funded: nothing was paid");
  }
  if (input.type === "close" || input.type === "forceClose") {
    const reason = input.type === "close" ? input.reason : undefined;
    const failed = openFailed(
      `${reason ?? "it was closed before it was funded"}: nothing was paid`,
    );
    // Untold, the peer would keep a place for it as long as the link lasts.
    return { ...failed, effects: [errorOf(opening, "the channel is given up"), ...failed.effects] };
  }
  if (input.type !== "message") {
    return { channel: { kind: "opening", opening }, effects: [] };
  }
  const { message } = input;
  switch (message.type) {
    case "accept_channel":
      return receiveAccept(context, opening, message);
    case "funding_created":
      return receiveFundingCreated(context, opening, message);
    case "funding_signed":
      return receiveFundingSigned(context, opening, message);
    case "error":
      return openFailed(`the peer refused: ${message.data}`);
    case "warning":
      return { channel: { kind: "opening", opening }, effects: [peerSaid(message)] };
    default:
      throw new ProtocolViolation(message.type, "comes before the channel is funded");
  }
}

function openFailed(reason: string): Transition {
  return ended(reason, [{ type: "notify", event: { type: "openFailed", reason } }]);
}

function errorOf(opening: Opening, data: string): Effect {
  // From funding_created on the acceptor knows the channel by its final id.
  const final = opening.step === "funding-sent" && channelIdOf(opening.outpoint);
  const channelId = final || opening.temporaryChannelId;
  return { type: "send", message: { type: "error", channelId, data } };
}

function peerSaid(message: Extract<Message, { type: "error" | "warning" }>): Effect {
  const { type: severity, data: text } = message;
  return { type: "notify", event: { type: "peerSaid", severity, text } };
}

function stepLive(
  context: Context,
  channel: Extract<Channel, { kind: "live" }>,
  input: Input,
  updateFollows: boolean,
): Transition {
  const draft = new Draft(context, channel.record, channel.session);
  perform(draft, input);
  if (draft.ended === undefined && draft.session.connected && isOpen(draft.record.phase)) {
    if (!updateFollows) signWhenDue(draft);
    advanceClosing(draft);
  }
  return draft.finish();
}

function perform(draft: Draft, input: Input): void {
  switch (input.type) {
    case "message":
      receive(draft, input.message);
      return;
    case "connected":
      connect(draft);
      return;
    case "disconnected":
      resetSession(draft, "the link was lost before it was signed: nothing was paid", false);
      return;
    case "push":
    case "addHtlc":
    case "fulfillHtlc":
    case "failHtlc":
    case "updateFee":
      propose(draft, input);
      return;
    case "close":
      close(draft, input);
      return;
    case "forceClose":
      if (draft.record.suspect) reject(draft, input, SUSPECT_REASON);
      else if (isOpen(draft.record.phase)) forceClose(draft, "it was asked for");
      else reject(draft, input, `the channel is ${draft.record.phase}`);
      return;
    case "suspect":
      suspect(draft);
      return;
    case "tip":
      onTip(draft);
      return;
    case "confirmed":
      confirmed(draft, input);
      return;
    case "reorganised":
      reorganised(draft, input);
      return;
    case "open":
    case "funded":
      reject(draft, input, "the channel is open already");
      return;
    default:
      unreachable(input);
  }
}

function reject(draft: Draft, command: Command, reason: string): void {
  draft.notify({ type: "rejected", command, reason });
}

function receive(draft: Draft, message: Message): void {
  if (message.type === "error") {
    receiveError(draft, message);
    return;
  }
  if (message.type === "warning") {
    draft.emit(peerSaid(message));
    return;
  }
  const { phase } = draft.record;
  const reestablishes = message.type === "channel_reestablish";
  // Once a commitment may be on its way to the chain, not one message more may change the record (rule `never-broadcast-revoked`).
  if (!isOpen(phase) && !(phase === "outdated" && reestablishes)) return;
  // The chain had decided when this link came, and a reorganisation undid that: the next link begins anew.
  if (draft.session.connected && !draft.session.reestablishSent) return;
  if (reestablishes) {
    receiveReestablish(draft, message);
    return;
  }
  if (!draft.established) {
    if (draft.session.peerLost) return; // it is about to learn that it lost state
    throw new ProtocolViolation(message.type, "comes before channel_reestablish");
  }
  receiveEstablished(draft, message);
}

function receiveEstablished(draft: Draft, message: Message): void {
  switch (message.type) {
    case "channel_ready":
      receiveChannelReady(draft, message);
      return;
    case "update_push":
    case "update_add_htlc":
    case "update_fulfill_htlc":
    case "update_fail_htlc":
    case "update_fail_malformed_htlc":
    case "update_fee":
      receiveUpdate(draft, message);
      return;
    case "commitment_signed":
      receiveCommitmentSigned(draft, message);
      return;
    case "revoke_and_ack":
      receiveRevokeAndAck(draft, message);
      return;
    case "push_receipt":
      receiveReceipt(draft, message);
      return;
    case "shutdown":
      receiveShutdown(draft, message);
      return;
    case "closing_complete":
      receiveClosingComplete(draft, message);
      return;
    case "closing_sig":
      receiveClosingSig(draft, message);
      return;
    default:
      throw new ProtocolViolation(message.type, "does not belong into an open channel");
  }
}

/** The peer failed the channel (BOLT 1). Nothing is lost by forgetting one that never held money of ours. */
function receiveError(draft: Draft, message: Extract<Message, { type: "error" }>): void {
  const { record } = draft;
  draft.emit(peerSaid(message));
  const unfunded = record.fundingHeight === undefined && !record.terms.localIsOpener;
  const { localNumber, remoteNumber, base } = record;
  if (unfunded && localNumber + remoteNumber + base.toLocalMsat === 0) {
    const reason = `the opener gave up: ${message.data}`;
    draft.notify({ type: "forgotten", reason });
    draft.ended = reason;
    return;
  }
  // What it gave us at the opening is ours if the funding confirms after all: that is waited for, like any funding.
  if (unfunded && !record.readySent) return;
  // A mutual close is signed: it ends the channel, and our commitment would only compete with it.
  if (hasUsableClose(draft)) return;
  // Who is ahead of us publishes its own; ours may be one that we revoked and forgot (rule `outdated-never-broadcasts`).
  if (draft.session.mayBeOutdated) return;
  forceClose(draft, `the peer failed the channel: ${message.data}`);
}

function violated(channel: Channel, violation: ProtocolViolation): Transition {
  const { tag, message: text } = violation;
  const told: Effect = { type: "notify", event: { type: "violation", tag, text } };
  switch (channel.kind) {
    case "opening": {
      const failed = openFailed(text);
      const effects = [errorOf(channel.opening, text), told, ...failed.effects];
      return { ...failed, effects };
    }
    case "live": {
      const { channelId } = channel.record;
      return {
        channel: { ...channel, session: nextSession(channel.session, false) },
        effects: [
          ...forgottenProposals(channel.session, "the link was dropped: nothing was paid"),
          { type: "send", message: { type: "warning", channelId, data: text } },
          told,
          { type: "disconnect", reason: text },
        ],
      };
    }
    case "ended":
      return { channel, effects: [told] };
    default:
      return unreachable(channel);
  }
}

/** Whose channel this is. */
export function remoteNodeIdOf(channel: Channel): PublicKey | undefined {
  if (channel.kind === "opening") return channel.opening.remoteNodeId;
  return channel.kind === "live" ? channel.record.remoteNodeId : undefined;
}
