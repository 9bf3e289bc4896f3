/** After every step both sides of a channel mean the same by the commitments that they hold of each other, to the millisatoshi (rule `value-conserved`). */
import { type ChannelRecord, type Htlc, isOpen, type State } from "../../../core/channel/record.ts";
import { localState, remoteNextState, remoteState } from "../../../core/channel/state.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import type { MakeChecker } from "./checker.ts";
import { DurableRecords } from "./kept-records.ts";

export const mirror: MakeChecker = (world, complain) => {
  const durable = new DurableRecords();
  const compared = new Map<string, readonly [ChannelRecord, ChannelRecord]>();
  return {
    step: () => {
      for (const channel of world.book.channels) {
        const { id, opener, acceptor } = channel;
        const isCheat = [opener, acceptor].some((index) => world.node(index).isByzantine);
        if (!id || isCheat || !world.isSound(channel)) continue;
        const a = durable.of(world.node(opener), id);
        const b = durable.of(world.node(acceptor), id);
        if (!a || !b || !isOpen(a.phase) || !isOpen(b.phase)) continue;
        const last = compared.get(toHex(id));
        if (last?.[0] === a && last[1] === b) continue;
        compared.set(toHex(id), [a, b]);
        const fault = disagreement(a, b) ?? disagreement(b, a);
        if (fault) complain(`channel of n${opener} and n${acceptor}: ${fault}`);
      }
    },
  };
};

/** Of the commitment that `owner` holds, and that `other` believes it to hold. */
function disagreement(owner: ChannelRecord, other: ChannelRecord): string | undefined {
  const { localNumber: number } = owner;
  const isNext = other.awaitingRevocation && number === other.remoteNumber + 1;
  if (!isNext && number !== other.remoteNumber) {
    return `one side holds commitment ${number}, the other knows of ${other.remoteNumber}`;
  }
  const held = words(localState(owner), false);
  const believed = words(isNext ? remoteNextState(other) : remoteState(other), true);
  return held === believed ? undefined : `commitment ${number} is ${held}, and ${believed}`;
}

/** A state as the owner of the commitment sees it. */
function words(state: State, isMirrored: boolean): string {
  const { toLocalMsat, toRemoteMsat, feeratePerKw } = state;
  const balances = isMirrored ? [toRemoteMsat, toLocalMsat] : [toLocalMsat, toRemoteMsat];
  const htlcs = state.htlcs.map((htlc) => htlcWords(htlc, isMirrored)).sort();
  return [...balances, feeratePerKw, ...htlcs].join(" ");
}

function htlcWords(htlc: Htlc, isMirrored: boolean): string {
  const { offeredByLocal, id, amountMsat, paymentHash, cltvExpiry } = htlc;
  const isOffered = offeredByLocal !== isMirrored;
  return [isOffered ? "out" : "in", id, amountMsat, toHex(paymentHash), cltvExpiry].join(":");
}
