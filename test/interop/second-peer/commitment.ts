/**
 * Commitment and HTLC transactions (BOLT 3; `zero_fee_commitments` by docs/PROTOCOL.md "Channel
 * types"), each built anew from balances and HTLCs.
 */
import { Transaction } from "bitcoinjs-lib";
import type { Bytes } from "./bytes.ts";
import { type Basepoints, derivePoint, obscuringFactor, revocationPoint } from "./keys.ts";
import * as scripts from "./scripts.ts";

export type ChannelType = "zero_fee_commitments" | "anchors" | "static_remotekey";
export type Role = "opener" | "acceptor";

/** What one side told of itself in open_channel or accept_channel. */
export interface SideTerms {
  readonly points: Basepoints;
  readonly dustLimitSatoshis: number;
  /** What the other side waits. */
  readonly toSelfDelay: number;
  /** What the other side must keep. */
  readonly channelReserveSatoshis: number;
  readonly htlcMinimumMsat: number;
  readonly maxAcceptedHtlcs: number;
  readonly maxHtlcValueInFlightMsat: number;
}

export interface ChannelTerms {
  readonly type: ChannelType;
  readonly fundingTxid: Bytes;
  readonly fundingVout: number;
  readonly fundingSatoshis: number;
  readonly opener: SideTerms;
  readonly acceptor: SideTerms;
}

export interface Htlc {
  readonly id: number;
  readonly offeredBy: Role;
  readonly amountMsat: number;
  readonly paymentHash: Bytes;
  readonly cltvExpiry: number;
}

export interface Balances {
  readonly openerMsat: number;
  readonly acceptorMsat: number;
  readonly htlcs: readonly Htlc[];
  readonly feeratePerKw: number;
}

export interface HtlcTransaction {
  readonly htlc: Htlc;
  readonly transaction: Transaction;
  /** Of the commitment's output that it spends. */
  readonly script: Bytes;
  readonly amountSatoshis: number;
  /** What the countersignatory signs. */
  readonly sighash: Bytes;
}

export interface Commitment {
  readonly transaction: Transaction;
  readonly fundingScript: Bytes;
  readonly sighash: Bytes;
  readonly htlcs: readonly HtlcTransaction[];
}

interface Output {
  readonly script: Bytes;
  readonly amountSatoshis: number;
  readonly htlc?: Htlc;
  readonly witnessScript?: Bytes;
}

const { SIGHASH_ALL, SIGHASH_SINGLE, SIGHASH_ANYONECANPAY } = Transaction;
const ANCHOR_SATOSHIS = 330;
const SHARED_ANCHOR_MOST_SATOSHIS = 240;

export function other(role: Role): Role {
  return role === "opener" ? "acceptor" : "opener";
}

/** The commitment transaction that `broadcaster` may publish. */
export function buildCommitment(
  terms: ChannelTerms,
  broadcaster: Role,
  number: number,
  point: Bytes,
  balances: Balances,
): Commitment {
  const keys = commitmentKeys(terms, broadcaster, point);
  const outputs = commitmentOutputs(terms, broadcaster, balances, keys);
  const transaction = new Transaction();
  const obscured =
    BigInt(number) ^ obscuringFactor(terms.opener.points.payment, terms.acceptor.points.payment);
  transaction.version = versionOf(terms.type);
  transaction.locktime = 0x20000000 + Number(obscured & 0xffffffn);
  const sequence = 0x80000000 + Number(obscured >> 24n);
  transaction.addInput(terms.fundingTxid, terms.fundingVout, sequence);
  for (const { script, amountSatoshis } of outputs) {
    transaction.addOutput(script, BigInt(amountSatoshis));
  }
  const fundingScript = scripts.fundingScript(
    terms.opener.points.funding,
    terms.acceptor.points.funding,
  );
  const amount = BigInt(terms.fundingSatoshis);
  const sighash = transaction.hashForWitnessV0(0, fundingScript, amount, SIGHASH_ALL);
  const htlcs = outputs.flatMap((output, vout) =>
    output.htlc
      ? [secondStage(terms, broadcaster, keys, { transaction, vout, output }, balances)]
      : [],
  );
  return { transaction, fundingScript, sighash, htlcs };
}

export function sighashTypeOfHtlc(type: ChannelType): number {
  return type === "static_remotekey" ? SIGHASH_ALL : SIGHASH_SINGLE | SIGHASH_ANYONECANPAY;
}

/** What the opener pays besides its balance: the fee, and both keyed anchors. */
export function openersCostSatoshis(type: ChannelType, feerate: number, htlcs: number): number {
  if (type === "zero_fee_commitments") return 0;
  const weight = (type === "anchors" ? 1124 : 724) + 172 * htlcs;
  const anchors = type === "anchors" ? 2 * ANCHOR_SATOSHIS : 0;
  return Math.floor((feerate * weight) / 1000) + anchors;
}

export function isTrimmed(
  { type, ...sides }: ChannelTerms,
  broadcaster: Role,
  htlc: Htlc,
  feeratePerKw: number,
): boolean {
  const left =
    satoshis(htlc.amountMsat) - htlcFee(type, htlc.offeredBy === broadcaster, feeratePerKw);
  return left < sides[broadcaster].dustLimitSatoshis;
}

export interface CommitmentKeys extends scripts.HtlcKeys {
  readonly delayed: Bytes;
  readonly toSelfDelay: number;
}

export function commitmentKeys(
  terms: ChannelTerms,
  broadcaster: Role,
  point: Bytes,
): CommitmentKeys {
  const mine = terms[broadcaster].points;
  const theirs = terms[other(broadcaster)].points;
  return {
    revocation: revocationPoint(theirs.revocation, point),
    local: derivePoint(mine.htlc, point),
    remote: derivePoint(theirs.htlc, point),
    delayed: derivePoint(mine.delayedPayment, point),
    toSelfDelay: terms[other(broadcaster)].toSelfDelay,
  };
}

function commitmentOutputs(
  terms: ChannelTerms,
  broadcaster: Role,
  balances: Balances,
  keys: CommitmentKeys,
): readonly Output[] {
  const { type, fundingSatoshis } = terms;
  const { feeratePerKw } = balances;
  const dust = terms[broadcaster].dustLimitSatoshis;
  const htlcs = balances.htlcs.filter((htlc) => !isTrimmed(terms, broadcaster, htlc, feeratePerKw));
  const cost = openersCostSatoshis(type, feeratePerKw, htlcs.length);
  const amounts = {
    opener: Math.max(0, satoshis(balances.openerMsat) - cost),
    acceptor: satoshis(balances.acceptorMsat),
  };
  const countersignatory = other(broadcaster);
  const outputs: Output[] = htlcs.map((htlc) => htlcOutput(type, broadcaster, keys, htlc));
  const hasLocal = amounts[broadcaster] >= dust;
  const hasRemote = amounts[countersignatory] >= dust;
  if (hasLocal) outputs.push(toLocal(keys, amounts[broadcaster]));
  if (hasRemote) outputs.push(toRemote(terms, countersignatory, amounts[countersignatory]));
  if (type === "anchors") {
    const anchor = (role: Role): Output => ({
      script: scripts.p2wsh(scripts.anchorScript(terms[role].points.funding)),
      amountSatoshis: ANCHOR_SATOSHIS,
    });
    if (hasLocal || htlcs.length > 0) outputs.push(anchor(broadcaster));
    if (hasRemote || htlcs.length > 0) outputs.push(anchor(countersignatory));
  }
  if (type === "zero_fee_commitments") {
    const rest = outputs.reduce(
      (left, { amountSatoshis }) => left - amountSatoshis,
      fundingSatoshis,
    );
    const amountSatoshis = Math.min(SHARED_ANCHOR_MOST_SATOSHIS, rest);
    outputs.push({ script: scripts.P2A, amountSatoshis });
  }
  return outputs.sort(
    (a, b) =>
      a.amountSatoshis - b.amountSatoshis ||
      Buffer.compare(a.script, b.script) ||
      (a.htlc?.cltvExpiry ?? 0) - (b.htlc?.cltvExpiry ?? 0),
  );
}

function toLocal(keys: CommitmentKeys, amountSatoshis: number): Output {
  const script = scripts.delayedScript(keys.revocation, keys.delayed, keys.toSelfDelay);
  return { script: scripts.p2wsh(script), amountSatoshis };
}

function toRemote({ type, ...sides }: ChannelTerms, role: Role, amountSatoshis: number): Output {
  const { payment } = sides[role].points;
  const script =
    type === "anchors"
      ? scripts.p2wsh(scripts.delayedToRemoteScript(payment))
      : scripts.p2wpkh(payment);
  return { script, amountSatoshis };
}

function htlcOutput(
  type: ChannelType,
  broadcaster: Role,
  keys: CommitmentKeys,
  htlc: Htlc,
): Output {
  const witnessScript = scripts.htlcScript({
    ...htlc,
    keys,
    offeredByBroadcaster: htlc.offeredBy === broadcaster,
    waitsOneBlock: type === "anchors",
  });
  const amountSatoshis = satoshis(htlc.amountMsat);
  return { script: scripts.p2wsh(witnessScript), witnessScript, amountSatoshis, htlc };
}

/** HTLC-timeout for what the broadcaster offered, HTLC-success for the rest. */
function secondStage(
  { type }: ChannelTerms,
  broadcaster: Role,
  keys: CommitmentKeys,
  from: { readonly transaction: Transaction; readonly vout: number; readonly output: Output },
  { feeratePerKw }: Balances,
): HtlcTransaction {
  const { output, vout } = from;
  const { htlc, witnessScript, amountSatoshis } = output as Required<Output>;
  const isTimeout = htlc.offeredBy === broadcaster;
  const transaction = new Transaction();
  transaction.version = versionOf(type);
  transaction.locktime = isTimeout ? htlc.cltvExpiry : 0;
  transaction.addInput(from.transaction.getHash(), vout, type === "anchors" ? 1 : 0);
  const script = scripts.delayedScript(keys.revocation, keys.delayed, keys.toSelfDelay);
  const amount = amountSatoshis - htlcFee(type, isTimeout, feeratePerKw);
  transaction.addOutput(scripts.p2wsh(script), BigInt(amount));
  const sighash = transaction.hashForWitnessV0(
    0,
    witnessScript,
    BigInt(amountSatoshis),
    sighashTypeOfHtlc(type),
  );
  return { htlc, transaction, script: witnessScript, amountSatoshis, sighash };
}

function htlcFee(type: ChannelType, isTimeout: boolean, feeratePerKw: number): number {
  if (type !== "static_remotekey") return 0;
  return Math.floor((feeratePerKw * (isTimeout ? 663 : 703)) / 1000);
}

function versionOf(type: ChannelType): number {
  return type === "zero_fee_commitments" ? 3 : 2;
}

function satoshis(msat: number): number {
  return Math.floor(msat / 1000);
}
