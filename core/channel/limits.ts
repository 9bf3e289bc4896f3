/** What a side may propose: reserves, fees, HTLC limits, dust exposure (BOLT 2 "Adding an HTLC", "Updating Fees"). */
import { HOST_MAX_MESSAGE_BYTES } from "../messages/codec.ts";
import { MAX_HTLCS } from "../messages/update.ts";
import { type MilliSatoshi, milliSatoshi } from "../primitives/brands.ts";
import type { ChannelTerms, Side } from "../transactions/channel-terms.ts";
import { anchorsCost, commitmentFee, isTrimmed } from "../transactions/weights.ts";
import type { ChannelPolicy } from "./context.ts";
import type { Htlc, State, Update } from "./record.ts";

/** Updates of one side that may be under way at once. */
export const MAX_PENDING_UPDATES = 1024;
/** All updates of one side on their way: what is proposed is bounded, each HTLC may be resolved beside. */
export const MAX_UPDATES_UNDER_WAY = MAX_PENDING_UPDATES + MAX_HTLCS;
/** Payments of pushes under way to a node hold at most so many times its largest message … */
const PENDING_PUSH_MESSAGES = 2;
/** … and to one that takes the largest there is: two signatures each way are then shared by twenty thousand payments. */
const PENDING_PUSH_MESSAGES_OF_HOSTS = 8;
/** What commitment_signed has beside its HTLC signatures, and each of those, in bytes (docs/PROTOCOL.md). */
const COMMITMENT_SIGNED_BYTES = 128;
const HTLC_SIGNATURE_BYTES = 66;
/** The opener keeps room for the feerate to double and for one more HTLC where commitments pay fees (BOLT 2 "fee spike buffer"). */
const FEE_SPIKE = { feerateFactor: 2, extraHtlcs: 1 };
const NO_SPIKE = { feerateFactor: 1, extraHtlcs: 0 };

/** HTLCs of both directions whose signatures fit into a message of so many bytes. */
export function signableHtlcs(maxMessageBytes: number): number {
  return Math.floor((maxMessageBytes - COMMITMENT_SIGNED_BYTES) / HTLC_SIGNATURE_BYTES);
}

/**
 * Bytes of payments that may be under way from one side: both store them until they are settled. Who proposes minds what
 * both take now; who receives goes by its own alone, for what was signed once is told again whatever the sender takes since.
 */
export function pushRoom(maxMessageBytes: number): number {
  const isHosts = maxMessageBytes >= HOST_MAX_MESSAGE_BYTES;
  return maxMessageBytes * (isHosts ? PENDING_PUSH_MESSAGES_OF_HOSTS : PENDING_PUSH_MESSAGES);
}

export function other(side: Side): Side {
  return side === "local" ? "remote" : "local";
}

export function openerOf(terms: ChannelTerms): Side {
  return terms.localIsOpener ? "local" : "remote";
}

function balance(state: State, side: Side): MilliSatoshi {
  return side === "local" ? state.toLocalMsat : state.toRemoteMsat;
}

/** What the opener pays on one side's commitment: base fee and anchors, in millisatoshi. */
function openerCostMsat(
  terms: ChannelTerms,
  broadcaster: Side,
  state: State,
  spike: typeof FEE_SPIKE,
): MilliSatoshi {
  const feeratePerKw = state.feeratePerKw * spike.feerateFactor;
  const kept = untrimmedHtlcs(terms, broadcaster, state).length + spike.extraHtlcs;
  const fee = commitmentFee(terms.channelType, feeratePerKw, kept);
  return milliSatoshi((fee + anchorsCost(terms.channelType)) * 1000);
}

function trimRule(terms: ChannelTerms, broadcaster: Side, state: State) {
  return {
    channelType: terms.channelType,
    feeratePerKw: state.feeratePerKw,
    dustLimitSatoshis: terms[broadcaster].dustLimitSatoshis,
  };
}

function untrimmedHtlcs(terms: ChannelTerms, broadcaster: Side, state: State) {
  const rule = trimRule(terms, broadcaster, state);
  return state.htlcs.filter((htlc) => !isTrimmed(rule, asBroadcast(htlc, broadcaster)));
}

function asBroadcast({ amountMsat, offeredByLocal }: Htlc, broadcaster: Side) {
  return { amountMsat, offered: offeredByLocal === (broadcaster === "local") };
}

/** Whether the HTLC gets no output in the commitment of `broadcaster` that shows `state`. */
export function trims(terms: ChannelTerms, broadcaster: Side, state: State, htlc: Htlc): boolean {
  return isTrimmed(trimRule(terms, broadcaster, state), asBroadcast(htlc, broadcaster));
}

/** What lies in HTLCs without an output: lost to fees if this commitment is published. */
export function dustExposureMsat(
  terms: ChannelTerms,
  broadcaster: Side,
  state: State,
): MilliSatoshi {
  const kept = new Set(untrimmedHtlcs(terms, broadcaster, state));
  const dust = state.htlcs.filter((htlc) => !kept.has(htlc));
  return milliSatoshi(dust.reduce((sum, { amountMsat }) => sum + amountMsat, 0));
}

/** Whether more lies in HTLCs without an output, in either side's commitment, than the policy takes. */
export function dustExposed(terms: ChannelTerms, policy: ChannelPolicy, state: State): boolean {
  const { maxDustExposureMsat: most } = policy;
  return (["local", "remote"] as const).some((side) => dustExposureMsat(terms, side, state) > most);
}

/**
 * What `side` has above its reserve, in millisatoshi, where `state` stands in the commitment of `broadcaster`; negative
 * where it is below. The opener's fee and anchors count first. The reserve is what the other side asked for.
 */
export function availableMsat(
  terms: ChannelTerms,
  request: {
    readonly state: State;
    readonly side: Side;
    readonly broadcaster: Side;
    readonly spike?: boolean;
  },
): number {
  const { state, side, broadcaster, spike } = request;
  const reserve = terms[other(side)].channelReserveSatoshis * 1000;
  const cost =
    openerOf(terms) === side
      ? openerCostMsat(terms, broadcaster, state, spike ? FEE_SPIKE : NO_SPIKE)
      : 0;
  return balance(state, side) - cost - reserve;
}

/** Why `proposer` may not have made this state the next one of `broadcaster`'s commitment; undefined where it may. */
export function refusal(
  terms: ChannelTerms,
  request: {
    readonly proposer: Side;
    readonly broadcaster: Side;
    readonly state: State | undefined;
    readonly update: Update;
    /** We propose: leave room for fee spikes, and do not leave the opener unable to pay. */
    readonly careful: boolean;
  },
): string | undefined {
  const { proposer, broadcaster, state, update, careful } = request;
  if (!state) return "the balance does not suffice";
  const spike = careful && update.type !== "fee" && terms.channelType !== "zero_fee_commitments";
  const available = availableMsat(terms, { state, side: proposer, broadcaster, spike });
  if (available < 0) {
    const reserve = terms[other(proposer)].channelReserveSatoshis;
    return `the balance would fall ${-available} msat below the reserve of ${reserve} sat and fees`;
  }
  if (update.type !== "add") return undefined;
  const opener = openerOf(terms);
  if (careful && opener !== proposer) {
    const cost = openerCostMsat(terms, broadcaster, state, NO_SPIKE);
    if (balance(state, opener) < cost) return "the opener could not pay the commitment's fee";
  }
  return htlcRefusal(terms, { proposer, state, update });
}

function htlcRefusal(
  terms: ChannelTerms,
  request: {
    readonly proposer: Side;
    readonly state: State;
    readonly update: Extract<Update, { type: "add" }>;
  },
): string | undefined {
  const { proposer, state, update } = request;
  const { amountMsat } = update.htlc;
  const limits = terms[other(proposer)];
  if (amountMsat < Math.max(1, limits.htlcMinimumMsat)) {
    return `an HTLC must have at least ${Math.max(1, limits.htlcMinimumMsat)} msat`;
  }
  const offered = state.htlcs.filter((h) => h.offeredByLocal === (proposer === "local"));
  if (offered.length > limits.maxAcceptedHtlcs) {
    return `no more than ${limits.maxAcceptedHtlcs} HTLCs may be in flight`;
  }
  const inFlight = offered.reduce((sum, htlc) => sum + htlc.amountMsat, 0);
  if (inFlight > limits.maxHtlcValueInFlightMsat) {
    return `no more than ${limits.maxHtlcValueInFlightMsat} msat may be in flight`;
  }
  return undefined;
}
