/** Proposing updates: pushes, HTLCs and fees (BOLT 2 "Normal Operation"). */
import type { Message } from "../messages/message.ts";
import { paymentsFault, sumPayments } from "../payments/push.ts";
import type { Preimage } from "../primitives/brands.ts";
import { equal } from "../primitives/bytes.ts";
import { unreachable } from "../primitives/errors.ts";
import { offerHtlc } from "./commitments.ts";
import type { Draft } from "./draft.ts";
import { fundingLost } from "./funding.ts";
import type { Command } from "./inputs.ts";
import { dustExposed, MAX_PENDING_UPDATES, pushRoom, refusal, signableHtlcs } from "./limits.ts";
import { type ChannelRecord, type Htlc, isOpen, type State, type Update } from "./record.ts";
import { allForRemote, tryReduce } from "./state.ts";

const MAX_ONION_BYTES = 1366;
/** BOLT 4 failures are shorter; so are our own reasons. */
const MAX_REASON_BYTES = 512;

type UpdateCommand = Extract<
  Command,
  { type: "push" | "addHtlc" | "fulfillHtlc" | "failHtlc" | "updateFee" }
>;

/** Proposes an update, or rejects the command with a reason; signing follows in the same transition where it can. */
export function propose(draft: Draft, command: UpdateCommand): void {
  const reason =
    command.type === "fulfillHtlc"
      ? fulfill(draft, command)
      : command.type === "failHtlc"
        ? resolve(draft, { type: "fail", htlcId: command.htlcId, reason: command.reason })
        : proposeNew(draft, command);
  if (reason !== undefined) draft.notify({ type: "rejected", command, reason });
}

function proposeNew(
  draft: Draft,
  command: Extract<Command, { type: "push" | "addHtlc" | "updateFee" }>,
): string | undefined {
  const { context, record, session } = draft;
  if (record.phase !== "normal") return `the channel is ${record.phase}`;
  if (!draft.established) return "the peer is not connected";
  if (record.closeFeeratePerKw !== undefined) return "the channel is about to close";
  const lost = fundingLost(record);
  if (lost !== undefined) return lost;
  if (context.declineReason !== undefined && command.type !== "updateFee") {
    return context.declineReason;
  }
  const malformed = malformedRefusal(draft, command);
  if (malformed !== undefined) return malformed;
  const full = pendingRefusal(draft, command);
  if (full !== undefined) return full;
  const update = newUpdate(draft, command);
  const state = tryReduce(record.base, allForRemote(record, [...session.localProposed, update]));
  const reason =
    refusal(record.terms, {
      proposer: "local",
      broadcaster: "remote",
      state,
      update,
      careful: true,
    }) ?? ownRefusal(draft, command, state);
  if (reason !== undefined) return reason;
  draft.changeSession({ localProposed: [...session.localProposed, update] });
  draft.send(messageOf(draft.record, update));
  return undefined;
}

/** What can be seen from the command alone. */
function malformedRefusal(
  { context, record }: Draft,
  command: Extract<Command, { type: "push" | "addHtlc" | "updateFee" }>,
): string | undefined {
  switch (command.type) {
    case "push":
      if (!context.negotiated.pushUpdates) return "the peer takes no pushes, only HTLCs";
      return paymentsFault(command.payments);
    case "addHtlc":
      if (command.cltvExpiry <= context.tipHeight) return "the HTLC would expire at once";
      if (command.onion && command.onion.length > MAX_ONION_BYTES) {
        return `an onion has at most ${MAX_ONION_BYTES} bytes`;
      }
      return undefined;
    case "updateFee": {
      const { minFeeratePerKw: min, maxFeeratePerKw: max } = context.policy;
      if (record.terms.channelType === "zero_fee_commitments") return "this channel has no feerate";
      if (!record.terms.localIsOpener) return "only the opener sets the feerate";
      const { feeratePerKw } = command;
      const inRange = feeratePerKw >= min && feeratePerKw <= max;
      return Number.isInteger(feeratePerKw) && inRange
        ? undefined
        : `the feerate must be ${min} to ${max} sat/kw`;
    }
    default:
      return unreachable(command);
  }
}

function pendingRefusal(
  { context, record, session }: Draft,
  command: UpdateCommand,
): string | undefined {
  const pending = [
    ...record.pending.localAcked,
    ...record.pending.localSigned,
    ...session.localProposed,
  ];
  if (pending.length >= MAX_PENDING_UPDATES) return "too many updates are under way: try again";
  if (command.type !== "push") return undefined;
  const { localMaxMessageBytes, remoteMaxMessageBytes } = context.negotiated;
  const smaller = Math.min(localMaxMessageBytes, remoteMaxMessageBytes);
  const room = pushRoom(smaller) - pushBytes(pending);
  if (command.payments.length > room) return "too many payments are under way: try again";
  const overhead = 64; // type, channel id, id and CBOR heads (docs/PROTOCOL.md)
  if (command.payments.length + overhead > remoteMaxMessageBytes) {
    return `the peer takes messages of at most ${remoteMaxMessageBytes} bytes: use smaller batches`;
  }
  return undefined;
}

export function pushBytes(updates: readonly Update[]): number {
  return updates.reduce((n, u) => (u.type === "push" ? n + u.payments.length : n), 0);
}

/** Reasons of our own policy, and of what the peer can take. */
function ownRefusal(
  { context, record }: Draft,
  command: Command,
  state: State | undefined,
): string | undefined {
  if (command.type === "push" || !state) return undefined;
  const { policy, negotiated } = context;
  if (dustExposed(record.terms, policy, state)) return "too much would lie in HTLCs below dust";
  const most = signableHtlcs(negotiated.remoteMaxMessageBytes);
  if (state.htlcs.length > most) {
    return `the peer's messages have room for the signatures of ${most} HTLCs`;
  }
  return undefined;
}

function newUpdate(
  { record, session }: Draft,
  command: Extract<Command, { type: "push" | "addHtlc" | "updateFee" }>,
): Update {
  const proposed = (type: Update["type"]) =>
    session.localProposed.filter((update) => update.type === type).length;
  switch (command.type) {
    case "push":
      return {
        type: "push",
        id: record.nextLocalPushId + proposed("push"),
        payments: command.payments,
        amountMsat: sumPayments(command.payments),
      };
    case "addHtlc":
      return {
        type: "add",
        htlc: {
          offeredByLocal: true,
          id: record.nextLocalHtlcId + proposed("add"),
          amountMsat: command.amountMsat,
          paymentHash: command.paymentHash,
          cltvExpiry: command.cltvExpiry,
          onion: command.onion ?? new Uint8Array(0),
        },
      };
    case "updateFee":
      return { type: "fee", feeratePerKw: command.feeratePerKw };
    default:
      return unreachable(command);
  }
}

/** The preimage is durable at once; the update follows now, or when the peer is back. */
function fulfill(
  draft: Draft,
  { htlcId, preimage }: { readonly htlcId: number; readonly preimage: Preimage },
): string | undefined {
  const htlc = receivedHtlc(draft.record, htlcId);
  if (!htlc) return `there is no HTLC ${htlcId} to fulfil`;
  if (!equal(draft.context.crypto.sha256(preimage), htlc.paymentHash)) {
    return "the preimage does not fit the payment hash";
  }
  if (resolving(draft, "local", htlcId)) {
    return htlc.preimage ? undefined : `HTLC ${htlcId} is being failed already`;
  }
  storePreimage(draft, htlc, preimage);
  // Without the peer it goes out at the next link, or is claimed on chain.
  if (!draft.established) return undefined;
  return resolve(draft, { type: "fulfill", htlcId, preimage });
}

export function storePreimage(draft: Draft, htlc: Htlc, preimage: Preimage): void {
  const { base } = draft.record;
  const htlcs = base.htlcs.map((h) => (h === htlc ? { ...h, preimage } : h));
  draft.change({ base: { ...base, htlcs } });
}

type Resolving = Extract<Update, { type: "fulfill" | "fail" }>;

function resolve(draft: Draft, update: Resolving): string | undefined {
  const { record, session } = draft;
  const htlc = receivedHtlc(record, update.htlcId);
  if (!htlc) return `there is no HTLC ${update.htlcId} to resolve`;
  if (update.type === "fail" && update.reason.length > MAX_REASON_BYTES) {
    return `a reason has at most ${MAX_REASON_BYTES} bytes`;
  }
  if (resolving(draft, "local", update.htlcId)) return undefined; // under way already
  if (update.type === "fail" && htlc.preimage)
    return "its preimage is known: it is being fulfilled";
  if (!isOpen(record.phase)) return `the channel is ${record.phase}`;
  if (!draft.established) return "the peer is not connected";
  draft.changeSession({ localProposed: [...session.localProposed, update] });
  draft.send(messageOf(record, update));
  return undefined;
}

/** Proposes anew what the record wants and a lost link made forgotten, and asks again about what is undecided. */
export function resumeResolutions(draft: Draft): void {
  for (const htlc of draft.record.base.htlcs) {
    if (htlc.offeredByLocal || resolving(draft, "local", htlc.id)) continue;
    if (htlc.preimage) {
      resolve(draft, { type: "fulfill", htlcId: htlc.id, preimage: htlc.preimage });
    } else {
      offerHtlc(draft, htlc);
    }
  }
}

function receivedHtlc(record: ChannelRecord, id: number): Htlc | undefined {
  return record.base.htlcs.find((htlc) => !htlc.offeredByLocal && htlc.id === id);
}

/** Whether an update of `side` that resolves HTLC `id` is under way. */
export function resolving(draft: Draft, side: "local" | "remote", id: number): boolean {
  const { pending } = draft.record;
  const updates =
    side === "local"
      ? [...pending.localSigned, ...pending.localAcked, ...draft.session.localProposed]
      : [...pending.remoteSigned, ...pending.remoteAcked, ...draft.session.remoteProposed];
  return updates.some((update) => "htlcId" in update && update.htlcId === id);
}

/** The message that proposes an update of ours. */
export function messageOf(record: ChannelRecord, update: Update): Message {
  const { channelId } = record;
  switch (update.type) {
    case "push": {
      const { id, payments } = update;
      return {
        type: "update_push",
        channelId,
        id,
        payments,
        receiptsBelow: record.receiptsBelow,
      };
    }
    case "add": {
      const { id, amountMsat, paymentHash, cltvExpiry, onion } = update.htlc;
      return {
        type: "update_add_htlc",
        channelId,
        id,
        amountMsat,
        paymentHash,
        cltvExpiry,
        onionRoutingPacket: onion,
      };
    }
    case "fulfill": {
      const { htlcId: id, preimage: paymentPreimage } = update;
      return { type: "update_fulfill_htlc", channelId, id, paymentPreimage };
    }
    case "fail":
      return { type: "update_fail_htlc", channelId, id: update.htlcId, reason: update.reason };
    case "failMalformed": {
      const { htlcId: id, sha256OfOnion, failureCode } = update;
      return { type: "update_fail_malformed_htlc", channelId, id, sha256OfOnion, failureCode };
    }
    case "fee":
      return { type: "update_fee", channelId, feeratePerKw: update.feeratePerKw };
    default:
      return unreachable(update);
  }
}
