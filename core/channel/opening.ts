/** Opening a channel, up to the first durable record (BOLT 2 "Channel Establishment v1"). */
import { channelTypeBits } from "../messages/features.ts";
import type { MessageNamed } from "../messages/message.ts";
import type { Outpoint } from "../ports/chain.ts";
import { commitmentNumber, type PublicKey } from "../primitives/brands.ts";
import { equal } from "../primitives/bytes.ts";
import { demand } from "../primitives/errors.ts";
import { fundingOutput } from "../transactions/funding.ts";
import type { Context } from "./context.ts";
import {
  checkDeclaration,
  checkOpen,
  checkReserves,
  declare,
  MAX_FUNDING_OUTPUT_INDEX,
} from "./declaration.ts";
import { type Channel, Draft, type Transition } from "./draft.ts";
import type { Effect } from "./effects.ts";
import { type Agreement, firstRecord, type Proposal, signFirst } from "./first-record.ts";
import { considerReady } from "./funding.ts";
import type { Command, OpenCommand } from "./inputs.ts";
import { type ChannelRecord, freshSession } from "./record.ts";

export type Opening =
  | ({ readonly step: "open-sent" } & Proposal)
  /** Waits for the external wallet's `funded` command. */
  | ({ readonly step: "accepted" } & Agreement)
  | ({ readonly step: "funding-sent"; readonly outpoint: Outpoint } & Agreement)
  /** We are the acceptor. */
  | ({ readonly step: "accept-sent" } & Agreement);

/** The opener's first step. */
export function open(context: Context, command: OpenCommand): Transition {
  const { temporaryChannelId, remoteNodeId, keyIndex, channelType } = command;
  const { fundingSatoshis, pushMsat } = command;
  const feeratePerKw = channelType === "zero_fee_commitments" ? 0 : command.feeratePerKw;
  const local = declare(context, { fundingSatoshis, channelType });
  const proposal: Proposal = {
    temporaryChannelId,
    remoteNodeId,
    keyIndex,
    channelType,
    zeroConf: false,
    fundingSatoshis,
    pushMsat,
    feeratePerKw,
    local,
  };
  const message: MessageNamed<"open_channel"> = {
    type: "open_channel",
    chainHash: context.chainHash,
    temporaryChannelId,
    fundingSatoshis,
    pushMsat,
    feeratePerKw,
    channelFlags: 0,
    ...declarationFields(context, proposal),
  };
  const reason = openRefusal(context, message);
  if (reason !== undefined) {
    return ended(reason, [{ type: "notify", event: { type: "rejected", command, reason } }]);
  }
  return {
    channel: { kind: "opening", opening: { step: "open-sent", ...proposal } },
    effects: [{ type: "send", message }],
  };
}

/** Our own limits hold for ourselves too. */
function openRefusal(context: Context, message: MessageNamed<"open_channel">): string | undefined {
  try {
    checkOpen(context, message);
    return undefined;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

function declarationFields(context: Context, { channelType, zeroConf, local }: Proposal) {
  const { basepoints, dustLimitSatoshis, maxHtlcValueInFlightMsat } = local;
  const { channelReserveSatoshis, htlcMinimumMsat, toSelfDelay, maxAcceptedHtlcs } = local;
  return {
    dustLimitSatoshis,
    maxHtlcValueInFlightMsat,
    channelReserveSatoshis,
    htlcMinimumMsat,
    toSelfDelay,
    maxAcceptedHtlcs,
    ...basepoints,
    firstPerCommitmentPoint: context.signer.perCommitmentPoint(commitmentNumber(0)),
    upfrontShutdownScript: local.upfrontShutdownScript,
    channelType: channelTypeBits(channelType, { zeroConf }),
  };
}

/** The acceptor's first step; `keyIndex` is the one given to this channel. */
export function accept(
  context: Context,
  message: MessageNamed<"open_channel">,
  peer: { readonly remoteNodeId: PublicKey; readonly keyIndex: number },
): Transition {
  const { channelType, zeroConf: asksZeroConf } = checkOpen(context, message);
  const { fundingSatoshis, pushMsat, feeratePerKw, temporaryChannelId } = message;
  const trusted = context.policy.acceptsZeroConf(peer.remoteNodeId);
  demand(
    !asksZeroConf || trusted,
    "open_channel.channel_type",
    "zero-conf is not accepted from you",
  );
  const local = declare(context, { fundingSatoshis, channelType });
  const remote = checkDeclaration(context, message, { fundingSatoshis, channelType });
  checkReserves({ local, remote });
  const minimumDepth = trusted ? 0 : context.policy.minimumDepth;
  const agreement: Agreement = {
    temporaryChannelId,
    ...peer,
    channelType,
    zeroConf: asksZeroConf,
    fundingSatoshis,
    pushMsat,
    feeratePerKw,
    local,
    remote,
    remoteFirstPoint: message.firstPerCommitmentPoint,
    minimumDepth,
  };
  return {
    channel: { kind: "opening", opening: { step: "accept-sent", ...agreement } },
    effects: [
      {
        type: "send",
        message: {
          type: "accept_channel",
          temporaryChannelId,
          minimumDepth,
          ...declarationFields(context, agreement),
        },
      },
    ],
  };
}

export function receiveAccept(
  context: Context,
  opening: Opening,
  message: MessageNamed<"accept_channel">,
): Transition {
  demand(opening.step === "open-sent", "accept_channel", "no open_channel is outstanding");
  const { fundingSatoshis, channelType, local } = opening;
  const bits = channelTypeBits(channelType, { zeroConf: opening.zeroConf });
  demand(
    equal(message.channelType, bits),
    "accept_channel.channel_type",
    "is not the one we asked",
  );
  const { minimumDepth } = message;
  const { maxMinimumDepth } = context.policy;
  demand(minimumDepth <= maxMinimumDepth, "accept_channel.minimum_depth", "is unreasonably large");
  const remote = checkDeclaration(context, message, { fundingSatoshis, channelType });
  checkReserves({ local, remote });
  const { step: _, ...proposal } = opening;
  const agreement: Agreement = {
    ...proposal,
    remote,
    remoteFirstPoint: message.firstPerCommitmentPoint,
    minimumDepth,
  };
  const output = fundingOutput(
    context.crypto,
    [local.basepoints.fundingPubkey, remote.basepoints.fundingPubkey],
    fundingSatoshis,
  );
  return {
    channel: { kind: "opening", opening: { step: "accepted", ...agreement } },
    effects: [
      {
        type: "notify",
        event: { type: "fundingNeeded", script: output.script, amountSatoshis: output.amount },
      },
    ],
  };
}

/** The external wallet made (and holds back) the funding transaction. */
export function funded(
  context: Context,
  opening: Opening,
  command: Extract<Command, { type: "funded" }>,
): Transition {
  const { outpoint } = command;
  if (opening.step !== "accepted" || outpoint.vout > MAX_FUNDING_OUTPUT_INDEX) {
    const reason =
      opening.step === "accepted"
        ? `the funding output's index must be at most ${MAX_FUNDING_OUTPUT_INDEX}`
        : "the channel does not wait for its funding";
    const event = { type: "rejected", command, reason } as const;
    return { channel: { kind: "opening", opening }, effects: [{ type: "notify", event }] };
  }
  const { step: _, ...agreement } = opening;
  const signature = signFirst(context, agreement, { outpoint, localIsOpener: true });
  return {
    channel: { kind: "opening", opening: { step: "funding-sent", outpoint, ...agreement } },
    effects: [
      {
        type: "send",
        message: {
          type: "funding_created",
          temporaryChannelId: opening.temporaryChannelId,
          fundingTxid: outpoint.txid,
          fundingOutputIndex: outpoint.vout,
          signature,
        },
      },
    ],
  };
}

/** The acceptor's record begins here: it is durable before funding_signed leaves. */
export function receiveFundingCreated(
  context: Context,
  opening: Opening,
  message: MessageNamed<"funding_created">,
): Transition {
  demand(opening.step === "accept-sent", "funding_created", "no accept_channel is outstanding");
  const outpoint = { txid: message.fundingTxid, vout: message.fundingOutputIndex };
  const first = { outpoint, localIsOpener: false };
  const { step: _, ...agreement } = opening;
  const record = firstRecord(context, agreement, first, message.signature);
  const signature = signFirst(context, agreement, first);
  const draft = newDraft(context, record);
  draft.send({ type: "funding_signed", channelId: record.channelId, signature });
  begin(draft, false);
  return draft.finish();
}

/** The opener's record begins here; only then may the funding be broadcast. */
export function receiveFundingSigned(
  context: Context,
  opening: Opening,
  message: MessageNamed<"funding_signed">,
): Transition {
  demand(opening.step === "funding-sent", "funding_signed", "no funding_created is outstanding");
  const { step: _, outpoint, ...agreement } = opening;
  const record = firstRecord(
    context,
    agreement,
    { outpoint, localIsOpener: true },
    message.signature,
  );
  demand(equal(message.channelId, record.channelId), "funding_signed.channel_id", "is not ours");
  const draft = newDraft(context, record);
  begin(draft, true);
  return draft.finish();
}

function newDraft(context: Context, record: ChannelRecord): Draft {
  const session = { ...freshSession, connected: true };
  return new Draft(context, record, {
    ...session,
    reestablishSent: true,
    reestablishReceived: true,
  });
}

function begin(draft: Draft, broadcastFunding: boolean): void {
  const { channelId: id, terms } = draft.record;
  const { fundingPubkey: a } = terms.local.basepoints;
  const { fundingPubkey: b } = terms.remote.basepoints;
  const { script } = fundingOutput(draft.context.crypto, [a, b], terms.fundingSatoshis);
  draft.notify({ type: "created", channelId: id, broadcastFunding });
  draft.emit({ type: "watch", outpoint: terms.fundingOutpoint, script });
  considerReady(draft);
}

export function ended(reason: string, effects: readonly Effect[]): Transition {
  const channel: Channel = { kind: "ended", reason };
  return { channel, effects };
}
