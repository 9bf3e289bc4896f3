/**
 * Expected weights, fees and trimming of commitment and HTLC transactions (BOLT 3 "Fees", "Trimmed
 * Outputs").
 */
import { type MilliSatoshi, type Satoshi, satoshi, satoshiFloor } from "../primitives/brands.ts";
import type { ChannelType } from "./terms.ts";

const COMMITMENT_WEIGHT = 724;
const COMMITMENT_WEIGHT_ANCHORS = 1124;
/** One more output, of 13 bytes: the shared anchor. */
const COMMITMENT_WEIGHT_ZERO_FEE = COMMITMENT_WEIGHT + 4 * 13;
const HTLC_OUTPUT_WEIGHT = 172;
const HTLC_TIMEOUT_WEIGHT = 663;
const HTLC_SUCCESS_WEIGHT = 703;
const ONE_CSV_DROP_WEIGHT = 3;

/** Value of each keyed anchor of option_anchors. */
export const KEYED_ANCHOR_SATOSHIS = 330;
/** The shared anchor is worth at most this. */
export const MAX_SHARED_ANCHOR_SATOSHIS = 240;
/** Weight of a TRUC transaction, at most (BIP 431). */
export const MAX_TRUC_WEIGHT = 40_000;
/** Weight of a child of an unconfirmed TRUC transaction, at most (BIP 431). */
export const MAX_TRUC_CHILD_WEIGHT = 4_000;

/**
 * Whether signatures on HTLC transactions are SINGLE|ANYONECANPAY and the transactions pay no fee
 * of their own.
 */
export function hasZeroFeeHtlcs(channelType: ChannelType): boolean {
  return channelType !== "static_remotekey";
}

/** Version of the commitment and HTLC transactions. */
export function transactionVersion(channelType: ChannelType): 2 | 3 {
  return channelType === "zero_fee_commitments" ? 3 : 2;
}

/** BOLT 3's expected weight of a commitment transaction with so many HTLC outputs. */
export function commitmentWeight(channelType: ChannelType, htlcOutputs: number): number {
  const base = {
    zero_fee_commitments: COMMITMENT_WEIGHT_ZERO_FEE,
    anchors: COMMITMENT_WEIGHT_ANCHORS,
    static_remotekey: COMMITMENT_WEIGHT,
  }[channelType];
  return base + HTLC_OUTPUT_WEIGHT * htlcOutputs;
}

/** The base fee, which the opener pays. */
export function commitmentFee(
  channelType: ChannelType,
  feeratePerKw: number,
  htlcOutputs: number,
): Satoshi {
  if (channelType === "zero_fee_commitments") return satoshi(0);
  return satoshi(Math.floor((feeratePerKw * commitmentWeight(channelType, htlcOutputs)) / 1000));
}

/**
 * What the opener pays for anchors beside the fee. The shared anchor is made of what was trimmed or
 * rounded away.
 */
export function anchorsCost(channelType: ChannelType): Satoshi {
  return satoshi(channelType === "anchors" ? 2 * KEYED_ANCHOR_SATOSHIS : 0);
}

/**
 * BOLT 3's expected weight of an HTLC-timeout (`offered` by its broadcaster) or HTLC-success
 * transaction.
 */
export function htlcTransactionWeight(channelType: ChannelType, offered: boolean): number {
  const base = offered ? HTLC_TIMEOUT_WEIGHT : HTLC_SUCCESS_WEIGHT;
  return channelType === "anchors" ? base + ONE_CSV_DROP_WEIGHT : base;
}

export function htlcTransactionFee(
  channelType: ChannelType,
  offered: boolean,
  feeratePerKw: number,
): Satoshi {
  if (hasZeroFeeHtlcs(channelType)) return satoshi(0);
  return satoshi(Math.floor((feeratePerKw * htlcTransactionWeight(channelType, offered)) / 1000));
}

export interface TrimRule {
  readonly channelType: ChannelType;
  readonly feeratePerKw: number;
  /** Of the commitment's broadcaster. */
  readonly dustLimitSatoshis: Satoshi;
}

/**
 * Whether an HTLC gets no output in the commitment transaction; `offered` by the commitment's
 * broadcaster.
 */
export function isTrimmed(
  { channelType, feeratePerKw, dustLimitSatoshis }: TrimRule,
  htlc: { readonly offered: boolean; readonly amountMsat: MilliSatoshi },
): boolean {
  const fee = htlcTransactionFee(channelType, htlc.offered, feeratePerKw);
  return satoshiFloor(htlc.amountMsat) < dustLimitSatoshis + fee;
}
