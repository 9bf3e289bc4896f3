/** Balances and HTLCs after a list of updates (BOLT 2 "Normal Operation"), and what each commitment transaction shows. */
import { type MilliSatoshi, milliSatoshi } from "../primitives/brands.ts";
import { assert, unreachable } from "../primitives/errors.ts";
import type { Side } from "../transactions/channel-terms.ts";
import type { CommitmentSpec } from "../transactions/terms.ts";
import type { ChannelRecord, Htlc, State, Update } from "./record.ts";

/** An update with the side that proposed it. */
export interface SidedUpdate {
  readonly by: Side;
  readonly update: Update;
}

export function sided(by: Side, updates: readonly Update[]): SidedUpdate[] {
  return updates.map((update) => ({ by, update }));
}

interface Balances {
  local: number;
  remote: number;
  feeratePerKw: number;
  htlcs: readonly Htlc[];
}

/** The state after `updates`, which were checked before: no balance falls below zero. */
export function reduce(state: State, updates: readonly SidedUpdate[]): State {
  if (updates.length === 0) return state;
  const after = reduceUnchecked(state, updates);
  assert(after.local >= 0 && after.remote >= 0, "a balance fell below zero");
  return toState(after);
}

/** As `reduce`, but undefined where a balance would fall below zero. */
export function tryReduce(state: State, updates: readonly SidedUpdate[]): State | undefined {
  const after = reduceUnchecked(state, updates);
  return after.local < 0 || after.remote < 0 ? undefined : toState(after);
}

function toState(after: Balances): State {
  return {
    toLocalMsat: milliSatoshi(after.local),
    toRemoteMsat: milliSatoshi(after.remote),
    feeratePerKw: after.feeratePerKw,
    htlcs: after.htlcs,
  };
}

function reduceUnchecked(state: State, updates: readonly SidedUpdate[]): Balances {
  const balances: Balances = {
    local: state.toLocalMsat,
    remote: state.toRemoteMsat,
    feeratePerKw: state.feeratePerKw,
    htlcs: state.htlcs,
  };
  for (const { by, update } of updates) apply(balances, by, update);
  return balances;
}

function apply(balances: Balances, by: Side, update: Update): void {
  const other: Side = by === "local" ? "remote" : "local";
  switch (update.type) {
    case "push":
      balances[by] -= update.amountMsat;
      balances[other] += update.amountMsat;
      return;
    case "add":
      balances[by] -= update.htlc.amountMsat;
      balances.htlcs = [...balances.htlcs, update.htlc];
      return;
    case "fulfill":
      balances[by] += takeHtlc(balances, by, update.htlcId).amountMsat;
      return;
    case "fail":
    case "failMalformed":
      balances[other] += takeHtlc(balances, by, update.htlcId).amountMsat;
      return;
    case "fee":
      balances.feeratePerKw = update.feeratePerKw;
      return;
    default:
      unreachable(update);
  }
}

/** Removes the HTLC that `receiver` resolves: it was offered by the other side. */
function takeHtlc(balances: Balances, receiver: Side, id: number): Htlc {
  const offeredByLocal = receiver === "remote";
  const htlc = balances.htlcs.find((h) => h.id === id && h.offeredByLocal === offeredByLocal);
  assert(htlc, `no HTLC ${id} to resolve`);
  balances.htlcs = balances.htlcs.filter((h) => h !== htlc);
  return htlc;
}

/** What our newest commitment shows. */
export function localState(record: ChannelRecord): State {
  const { remoteAcked, remoteSigned } = record.pending;
  return reduce(record.base, [...sided("remote", remoteSigned), ...sided("remote", remoteAcked)]);
}

/** What the peer's newest unrevoked commitment shows. */
export function remoteState(record: ChannelRecord): State {
  return reduce(record.base, sided("local", record.pending.localAcked));
}

/** What the peer's next commitment shows, which we signed and whose revocation is outstanding. */
export function remoteNextState(record: ChannelRecord): State {
  const { localAcked, localSigned, remoteSigned } = record.pending;
  return reduce(record.base, [
    ...sided("local", localAcked),
    ...sided("local", localSigned),
    ...sided("remote", remoteSigned),
  ]);
}

/** All updates that will stand in the peer's commitment once everything known is signed. */
export function allForRemote(record: ChannelRecord, proposed: readonly Update[]): SidedUpdate[] {
  const { localAcked, localSigned, remoteAcked, remoteSigned } = record.pending;
  return [
    ...sided("remote", remoteSigned),
    ...sided("remote", remoteAcked),
    ...sided("local", localAcked),
    ...sided("local", localSigned),
    ...sided("local", proposed),
  ];
}

/** All updates that will stand in our commitment after the peer's next signature. */
export function allForLocal(record: ChannelRecord, proposed: readonly Update[]): SidedUpdate[] {
  const { localAcked, remoteAcked, remoteSigned } = record.pending;
  return [
    ...sided("local", localAcked),
    ...sided("remote", remoteSigned),
    ...sided("remote", remoteAcked),
    ...sided("remote", proposed),
  ];
}

/** HTLCs that we offered in any commitment that was signed, until they are irrevocably resolved. */
export function offeredHtlcs({ base, pending }: ChannelRecord): readonly Htlc[] {
  const added = [...pending.localSigned, ...pending.localAcked].flatMap((update) =>
    update.type === "add" ? [update.htlc] : [],
  );
  return [...base.htlcs.filter(({ offeredByLocal }) => offeredByLocal), ...added];
}

/** A state as one side's commitment transaction shows it. */
export function commitmentSpec(
  state: State,
  broadcaster: Side,
  number: CommitmentSpec["number"],
): CommitmentSpec {
  const local = broadcaster === "local";
  return {
    number,
    toBroadcasterMsat: local ? state.toLocalMsat : state.toRemoteMsat,
    toCountersignatoryMsat: local ? state.toRemoteMsat : state.toLocalMsat,
    feeratePerKw: state.feeratePerKw,
    htlcs: state.htlcs.map(({ offeredByLocal, id, amountMsat, paymentHash, cltvExpiry }) => ({
      offered: offeredByLocal === local,
      id,
      amountMsat,
      paymentHash,
      cltvExpiry,
    })),
  };
}

/** Sum of both balances and all HTLCs: the channel's capacity, whatever happens. */
export function totalMsat(state: State): MilliSatoshi {
  const htlcs = state.htlcs.reduce((sum, htlc) => sum + htlc.amountMsat, 0);
  return milliSatoshi(state.toLocalMsat + state.toRemoteMsat + htlcs);
}
