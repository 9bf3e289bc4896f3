/**
 * The revoked states of one channel that no tower has acknowledged, as small as they can be kept: amounts and HTLCs; secret,
 * keys and signatures are made anew from the record when they are sent (rule `revoked-state-counted`).
 */
import {
  blockHeight,
  commitmentNumber,
  MAX_COMMITMENT_NUMBER,
  type MilliSatoshi,
  milliSatoshi,
  paymentHash,
  type Satoshi,
} from "../primitives/brands.ts";
import { demand } from "../primitives/errors.ts";
import { ByteReader, ByteWriter } from "../transactions/codec.ts";
import type { CommitmentHtlc, CommitmentSpec } from "../transactions/terms.ts";

export interface Backlog {
  /** Rises where the tower's count and ours part: everything is sent anew under another tag. */
  readonly epoch: number;
  /** Slots that the tower has acknowledged, and their digest. */
  readonly acknowledged: number;
  readonly digest: Uint8Array;
  /** Number of the first state that is neither acknowledged, nor waiting, nor counted below: the peer has not revoked it. */
  readonly next: number;
  /** States that were revoked while no tower was to be told: nothing protects them. */
  readonly unseenStates: number;
  /** States that found no room: nothing protects them any more. */
  readonly lostStates: number;
  /** The most that a cheater would own by publishing one of those. */
  readonly lostStakeMsat: MilliSatoshi;
  /** Oldest first. */
  readonly waiting: readonly CommitmentSpec[];
}

const VERSION = 1;
const TAG = "tower-backlog";
/** Above, a locktime is a time (BIP 65). */
const MAX_HEIGHT = 499_999_999;
const MIN_STATE_BYTES = 1 + 8 + 1 + 1;
const MIN_HTLC_BYTES = 1 + 8 + 8 + 32 + 4;

/** `next`: of a channel that lives already, the number of its peer's newest commitment. */
export function emptyBacklog(next: number): Backlog {
  return {
    next,
    unseenStates: next,
    epoch: 0,
    acknowledged: 0,
    digest: new Uint8Array(32),
    lostStates: 0,
    lostStakeMsat: milliSatoshi(0),
    waiting: [],
  };
}

/** What its broadcaster could end up with at most: its balance and every HTLC. */
export function stakeOf({ toBroadcasterMsat, htlcs }: CommitmentSpec): MilliSatoshi {
  const inHtlcs = htlcs.reduce((sum, { amountMsat }) => sum + amountMsat, 0);
  return milliSatoshi(toBroadcasterMsat + inHtlcs);
}

/** One more; where there is no room the state from which a cheater would gain least is given up, and counted. */
export function withRevoked(before: Backlog, spec: CommitmentSpec, most: number): Backlog {
  const backlog = caughtUp(before, spec.number);
  const next = spec.number + 1;
  const waiting = [...backlog.waiting, spec];
  if (waiting.length <= most) return { ...backlog, next, waiting };
  let least = spec;
  for (const one of waiting) if (stakeOf(one) < stakeOf(least)) least = one;
  return {
    ...backlog,
    next,
    waiting: waiting.filter((one) => one !== least),
    lostStates: backlog.lostStates + 1,
    lostStakeMsat: milliSatoshi(Math.max(backlog.lostStakeMsat, stakeOf(least))),
  };
}

/** Compared with the record: whatever was revoked and is not known here is counted, never passed over. */
export function caughtUp(backlog: Backlog, remoteNumber: number): Backlog {
  const missed = remoteNumber - backlog.next;
  if (missed <= 0) return backlog;
  return { ...backlog, next: remoteNumber, unseenStates: backlog.unseenStates + missed };
}

/** What the peer would gain by the best revoked state that no tower knows, over what it owns now. */
export function exposureMsat(backlog: Backlog, peerOwnsMsat: MilliSatoshi): MilliSatoshi {
  let most: number = backlog.lostStakeMsat;
  for (const spec of backlog.waiting) most = Math.max(most, stakeOf(spec));
  return milliSatoshi(Math.max(0, most - peerOwnsMsat));
}

export function encodeBacklog(backlog: Backlog): Uint8Array {
  const writer = new ByteWriter(96);
  writer.u8(VERSION);
  writer.varint(backlog.epoch);
  writer.u64(backlog.acknowledged);
  writer.raw(backlog.digest);
  writer.u64(backlog.next);
  writer.varint(backlog.unseenStates);
  writer.varint(backlog.lostStates);
  writer.u64(backlog.lostStakeMsat);
  writer.varint(backlog.waiting.length);
  for (const spec of backlog.waiting) {
    writer.varint(backlog.next - spec.number);
    writer.u64(spec.toBroadcasterMsat);
    writer.varint(spec.feeratePerKw);
    writer.varint(spec.htlcs.length);
    for (const htlc of spec.htlcs) writeHtlc(writer, htlc);
  }
  return writer.bytes();
}

/** Throws ProtocolViolation("transaction" or "tower-backlog") where the bytes are not what was written. */
export function decodeBacklog(bytes: Uint8Array, fundingSatoshis: Satoshi): Backlog {
  const reader = new ByteReader(bytes);
  demand(reader.u8() === VERSION, TAG, "was written by a newer version");
  const epoch = reader.varint();
  const acknowledged = reader.u64();
  const digest = reader.raw(32);
  const next = reader.u64();
  const unseenStates = reader.varint();
  const lostStates = reader.varint();
  const lostStakeMsat = milliSatoshi(reader.u64());
  const waiting: CommitmentSpec[] = [];
  for (let left = reader.count(MIN_STATE_BYTES); left > 0; left--) {
    waiting.push(readState(reader, next - reader.varint(), fundingSatoshis));
  }
  const counts = { epoch, acknowledged, digest, next, unseenStates };
  return { ...counts, lostStates, lostStakeMsat, waiting };
}

function readState(reader: ByteReader, number: number, fundingSatoshis: Satoshi): CommitmentSpec {
  demand(number >= 0 && number <= MAX_COMMITMENT_NUMBER, TAG, "has a state of no number");
  const toBroadcasterMsat = milliSatoshi(reader.u64());
  const feeratePerKw = reader.varint();
  const htlcs: CommitmentHtlc[] = [];
  let others: number = toBroadcasterMsat;
  for (let left = reader.count(MIN_HTLC_BYTES); left > 0; left--) {
    const htlc = readHtlc(reader);
    others += htlc.amountMsat;
    htlcs.push(htlc);
  }
  // Balances and HTLCs add up to the channel in every state (rule `value-conserved`).
  const rest = fundingSatoshis * 1000 - others;
  demand(rest >= 0, TAG, "has a state of more than the channel");
  const toCountersignatoryMsat = milliSatoshi(rest);
  const at = commitmentNumber(number);
  return { number: at, toBroadcasterMsat, toCountersignatoryMsat, feeratePerKw, htlcs };
}

function writeHtlc(writer: ByteWriter, htlc: CommitmentHtlc): void {
  writer.u8(htlc.offered ? 1 : 0);
  writer.u64(htlc.id);
  writer.u64(htlc.amountMsat);
  writer.raw(htlc.paymentHash);
  writer.u32(htlc.cltvExpiry);
}

function readHtlc(reader: ByteReader): CommitmentHtlc {
  const htlc = {
    offered: reader.u8() === 1,
    id: reader.u64(),
    amountMsat: milliSatoshi(reader.u64()),
    paymentHash: paymentHash(reader.raw(32)),
  };
  const height = reader.u32();
  demand(height <= MAX_HEIGHT, TAG, "has an HTLC that expires at no block");
  return { ...htlc, cltvExpiry: blockHeight(height) };
}
