/** Updates that were proposed and are not yet signed: the link forgets them, whoever asked for them does not (BOLT 2 "Message Retransmission"). */
import type { Draft } from "./draft.ts";
import type { Effect } from "./effects.ts";
import type { Command } from "./inputs.ts";
import { type ChannelSession, nextSession, type Update } from "./record.ts";

/** The command that led to an update of ours; undefined for resolutions of HTLCs, which are asked for anew. */
export function commandOf(update: Update): Command | undefined {
  switch (update.type) {
    case "push":
      return { type: "push", payments: update.payments };
    case "add": {
      const { amountMsat, paymentHash, cltvExpiry, onion } = update.htlc;
      return { type: "addHtlc", amountMsat, paymentHash, cltvExpiry, onion };
    }
    case "fee":
      return { type: "updateFee", feeratePerKw: update.feeratePerKw };
    default:
      return undefined;
  }
}

/** Tells everyone whose proposal is forgotten that nothing was paid. */
export function forgottenProposals(session: ChannelSession, reason: string): readonly Effect[] {
  return session.localProposed.flatMap((update): readonly Effect[] => {
    const command = commandOf(update);
    return command ? [{ type: "notify", event: { type: "rejected", command, reason } }] : [];
  });
}

/** The session begins anew: `connected` where the link stays, though nothing more is negotiated over it. */
export function resetSession(draft: Draft, reason: string, connected: boolean): void {
  for (const effect of forgottenProposals(draft.session, reason)) draft.emit(effect);
  draft.session = nextSession(draft.session, connected);
}
