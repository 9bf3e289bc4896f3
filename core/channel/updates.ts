/** Proposing and receiving updates: pushes, HTLCs and fees (BOLT 2 "Normal Operation"). */
import type { Message, MessageNamed } from "../messages/message.ts";
import { checkPayments, sumPayments } from "../payments/push.ts";
import { blockHeight, type Preimage } from "../primitives/brands.ts";
import { equal } from "../primitives/bytes.ts";
import { demand, unreachable } from "../primitives/errors.ts";
import { acknowledgeReceipts } from "./commitments.ts";
import type { Draft } from "./draft.ts";
import type { Command } from "./inputs.ts";
import {
  dustExposureMsat,
  MAX_PENDING_UPDATES,
  openerOf,
  PENDING_PUSH_MESSAGES,
  refusal,
} from "./limits.ts";
import type { ChannelRecord, Htlc, State, Update } from "./record.ts";
import { allForLocal, allForRemote, tryReduce } from "./state.ts";

/** A block height above which `cltv_expiry` would be read as a time (BOLT 2). */
const MAX_CLTV_EXPIRY = 500_000_000;

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
  if (record.minimumDepth > 0 && record.fundingHeight === undefined) {
    return "the funding transaction left the chain: waiting for it to confirm again";
  }
  if (context.declineReason !== undefined && command.type !== "updateFee") {
    return context.declineReason;
  }
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
  const { remoteMaxMessageBytes } = context.negotiated;
  const room = PENDING_PUSH_MESSAGES * remoteMaxMessageBytes - pushBytes(pending);
  if (command.payments.length > room) return "too many payments are under way: try again";
  const overhead = 64; // type, channel id, id and CBOR heads (docs/PROTOCOL.md)
  if (command.payments.length + overhead > remoteMaxMessageBytes) {
    return `the peer takes messages of at most ${remoteMaxMessageBytes} bytes: use smaller batches`;
  }
  return undefined;
}

function pushBytes(updates: readonly Update[]): number {
  return updates.reduce((n, u) => (u.type === "push" ? n + u.payments.length : n), 0);
}

/** Reasons of our own policy. */
function ownRefusal(
  { context, record }: Draft,
  command: Command,
  state: State | undefined,
): string | undefined {
  const { policy } = context;
  if (command.type === "addHtlc" && state) {
    if (command.cltvExpiry <= context.tipHeight) return "the HTLC would expire at once";
    const exposure = Math.max(
      dustExposureMsat(record.terms, "remote", state),
      dustExposureMsat(record.terms, "local", state),
    );
    if (exposure > policy.maxDustExposureMsat) return "too much would lie in HTLCs below dust";
  }
  if (command.type === "updateFee") {
    if (record.terms.channelType === "zero_fee_commitments") return "this channel has no feerate";
    if (!record.terms.localIsOpener) return "only the opener sets the feerate";
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
  if (draft.established) return resolve(draft, { type: "fulfill", htlcId, preimage });
  return undefined;
}

function storePreimage(draft: Draft, htlc: Htlc, preimage: Preimage): void {
  const { base } = draft.record;
  const htlcs = base.htlcs.map((h) => (h === htlc ? { ...h, preimage } : h));
  draft.change({ base: { ...base, htlcs } });
}

type Resolving = Extract<Update, { type: "fulfill" | "fail" }>;

function resolve(draft: Draft, update: Resolving): string | undefined {
  const { record, session } = draft;
  const htlc = receivedHtlc(record, update.htlcId);
  if (!htlc) return `there is no HTLC ${update.htlcId} to resolve`;
  if (resolving(draft, "local", update.htlcId)) return undefined; // under way already
  if (update.type === "fail" && htlc.preimage)
    return "its preimage is known: it is being fulfilled";
  if (record.phase !== "normal" && record.phase !== "closing") {
    return `the channel is ${record.phase}`;
  }
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
      draft.notify({ type: "htlcReceived", htlc });
    }
  }
}

function receivedHtlc(record: ChannelRecord, id: number): Htlc | undefined {
  return record.base.htlcs.find((htlc) => !htlc.offeredByLocal && htlc.id === id);
}

/** Whether an update of `side` that resolves HTLC `id` is under way. */
function resolving(draft: Draft, side: "local" | "remote", id: number): boolean {
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

export type UpdateMessage = MessageNamed<
  | "update_push"
  | "update_add_htlc"
  | "update_fulfill_htlc"
  | "update_fail_htlc"
  | "update_fail_malformed_htlc"
  | "update_fee"
>;

/** An update that the peer proposes; any breach is a ProtocolViolation and changes nothing. */
export function receiveUpdate(draft: Draft, message: UpdateMessage): void {
  const { record, session } = draft;
  const { type } = message;
  const adds = type === "update_push" || type === "update_add_htlc";
  const open = record.phase === "normal" || record.phase === "closing";
  demand(open, type, `the channel is ${record.phase}`);
  demand(
    !adds || !record.remoteShutdownScript,
    type,
    "nothing may be added after the sender's shutdown",
  );
  demand(
    session.remoteProposed.length < MAX_PENDING_UPDATES,
    type,
    "too many updates without a commitment_signed",
  );
  const update = receivedUpdate(draft, message);
  const remoteProposed = [...draft.session.remoteProposed, update];
  const proposer = "remote";
  if (adds || type === "update_fee") {
    const state = tryReduce(record.base, allForLocal(record, remoteProposed));
    const request = { proposer, broadcaster: "local", state, update, careful: false } as const;
    const reason = refusal(record.terms, request);
    demand(reason === undefined, type, reason ?? "");
  }
  draft.changeSession({ remoteProposed });
}

function receivedUpdate(draft: Draft, message: UpdateMessage): Update {
  switch (message.type) {
    case "update_push":
      return receivedPush(draft, message);
    case "update_add_htlc":
      return receivedAdd(draft, message);
    case "update_fulfill_htlc":
      return receivedFulfill(draft, message);
    case "update_fail_htlc":
      offeredHtlc(draft, message);
      return { type: "fail", htlcId: message.id, reason: message.reason };
    case "update_fail_malformed_htlc": {
      const { id: htlcId, sha256OfOnion, failureCode } = message;
      const badOnion = failureCode >= 0x8000;
      demand(badOnion, "update_fail_malformed_htlc.failure_code", "must have BADONION");
      offeredHtlc(draft, message);
      return { type: "failMalformed", htlcId, sha256OfOnion, failureCode };
    }
    case "update_fee":
      return receivedFee(draft, message);
    default:
      return unreachable(message);
  }
}

function receivedPush(draft: Draft, message: MessageNamed<"update_push">): Update {
  const { context, record, session } = draft;
  const expected = record.nextRemotePushId + proposedCount(session.remoteProposed, "push");
  demand(message.id === expected, "update_push.id", `must be ${expected}, is ${message.id}`);
  checkPayments(message.payments);
  const pending = [...record.pending.remoteAcked, ...record.pending.remoteSigned];
  const room =
    PENDING_PUSH_MESSAGES * context.negotiated.localMaxMessageBytes -
    pushBytes([...pending, ...session.remoteProposed]);
  demand(message.payments.length <= room, "update_push.payments", "too many are under way");
  acknowledgeReceipts(draft, message.receiptsBelow);
  const { id, payments } = message;
  return { type: "push", id, payments, amountMsat: sumPayments(payments) };
}

function receivedAdd(draft: Draft, message: MessageNamed<"update_add_htlc">): Update {
  const { record, session } = draft;
  const expected = record.nextRemoteHtlcId + proposedCount(session.remoteProposed, "add");
  demand(message.id === expected, "update_add_htlc.id", `must be ${expected}, is ${message.id}`);
  const { id, amountMsat, paymentHash, cltvExpiry, onionRoutingPacket: onion } = message;
  const inRange = cltvExpiry < MAX_CLTV_EXPIRY && cltvExpiry > 0;
  demand(inRange, "update_add_htlc.cltv_expiry", `${cltvExpiry} is not a block height`);
  return {
    type: "add",
    htlc: {
      offeredByLocal: false,
      id,
      amountMsat,
      paymentHash,
      cltvExpiry: blockHeight(cltvExpiry),
      onion,
    },
  };
}

/** The preimage is ours to use at once, whatever becomes of the update: it is durable before anything else happens. */
function receivedFulfill(draft: Draft, message: MessageNamed<"update_fulfill_htlc">): Update {
  const htlc = offeredHtlc(draft, message);
  const { paymentPreimage: preimage } = message;
  const fits = equal(draft.context.crypto.sha256(preimage), htlc.paymentHash);
  demand(fits, "update_fulfill_htlc.payment_preimage", `does not fit HTLC ${htlc.id}`);
  if (!htlc.preimage) storePreimage(draft, htlc, preimage);
  draft.notify({ type: "htlcFulfilled", htlc, preimage });
  return { type: "fulfill", htlcId: htlc.id, preimage };
}

/** The HTLC of ours that the peer resolves: irrevocable, and not resolved already. */
function offeredHtlc(draft: Draft, { id, type }: { id: number; type: string }): Htlc {
  const htlc = draft.record.base.htlcs.find((h) => h.offeredByLocal && h.id === id);
  demand(htlc, `${type}.id`, `${id} is not an HTLC that is irrevocably in flight`);
  demand(!resolving(draft, "remote", id), `${type}.id`, `HTLC ${id} is being resolved already`);
  return htlc;
}

function receivedFee(draft: Draft, message: MessageNamed<"update_fee">): Update {
  const { context, record } = draft;
  const { feeratePerKw } = message;
  const { minFeeratePerKw, maxFeeratePerKw } = context.policy;
  const tag = "update_fee.feerate_per_kw";
  const hasFees = record.terms.channelType !== "zero_fee_commitments";
  demand(hasFees, "update_fee", "this channel type has no feerate");
  demand(openerOf(record.terms) === "remote", "update_fee", "only the opener sets the feerate");
  demand(feeratePerKw >= minFeeratePerKw, tag, `${feeratePerKw} is below ${minFeeratePerKw}`);
  demand(feeratePerKw <= maxFeeratePerKw, tag, `${feeratePerKw} is above ${maxFeeratePerKw}`);
  return { type: "fee", feeratePerKw };
}

function proposedCount(updates: readonly Update[], type: Update["type"]): number {
  return updates.filter((update) => update.type === type).length;
}
