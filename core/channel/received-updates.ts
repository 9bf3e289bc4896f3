/** Updates that the peer proposes, held to its limits and to what it promised (BOLT 2 "Normal Operation"). */
import type { MessageNamed } from "../messages/message.ts";
import { checkPayments, sumPayments } from "../payments/push.ts";
import { blockHeight } from "../primitives/brands.ts";
import { equal } from "../primitives/bytes.ts";
import { demand, unreachable } from "../primitives/errors.ts";
import { acknowledgeReceipts } from "./commitments.ts";
import type { Draft } from "./draft.ts";
import { dustExposed, MAX_UPDATES_UNDER_WAY, openerOf, pushRoom, refusal } from "./limits.ts";
import type { Htlc, Update } from "./record.ts";
import { allForLocal, tryReduce } from "./state.ts";
import { pushBytes, resolving, storePreimage } from "./updates.ts";

/** A block height above which `cltv_expiry` would be read as a time (BOLT 2). */
const MAX_CLTV_EXPIRY = 500_000_000;

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
  const underWay = record.pending.remoteAcked.length + record.pending.remoteSigned.length;
  const adds = type === "update_push" || type === "update_add_htlc";
  const open = record.phase === "normal" || record.phase === "closing";
  demand(open, type, `the channel is ${record.phase}`);
  demand(
    !adds || !record.remoteShutdownScript,
    type,
    "nothing may be added after the sender's shutdown",
  );
  demand(
    session.remoteProposed.length + underWay < MAX_UPDATES_UNDER_WAY,
    type,
    "too many updates are under way",
  );
  const update = receivedUpdate(draft, message);
  const remoteProposed = [...draft.session.remoteProposed, update];
  const proposer = "remote";
  if (adds || type === "update_fee") {
    const state = tryReduce(record.base, allForLocal(record, remoteProposed));
    const request = { proposer, broadcaster: "local", state, update, careful: false } as const;
    const reason = refusal(record.terms, request);
    demand(reason === undefined, type, reason ?? "");
    if (state && type === "update_fee") {
      const exposed = dustExposed(record.terms, draft.context.policy, state);
      demand(!exposed, type, "too much would lie in HTLCs below dust");
    }
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
      return {
        type: "fail",
        htlcId: message.id,
        reason: message.reason.slice(0, draft.context.policy.maxReasonBytes),
      };
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
  // To us it would be an odd message that nobody agreed on; a peer that ignores it has other commitments.
  demand(context.negotiated.pushUpdates, "update_push", "pushes were not negotiated");
  const expected = record.nextRemotePushId + proposedCount(session.remoteProposed, "push");
  demand(message.id === expected, "update_push.id", `must be ${expected}, is ${message.id}`);
  checkPayments(message.payments);
  const pending = [...record.pending.remoteAcked, ...record.pending.remoteSigned];
  const underWay = pushBytes([...pending, ...session.remoteProposed]);
  const room = pushRoom(context.negotiated.localMaxMessageBytes) - underWay;
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
  const short = onion.length <= draft.context.policy.maxOnionBytes;
  demand(short, "update_add_htlc.onion_routing_packet", "this node forwards nothing");
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
