/**
 * HTLC outputs and the second-stage transactions that spend one's own (BOLT 3 "HTLC-Timeout and
 * HTLC-Success Transactions").
 */
import type { Outpoint } from "../ports/chain.ts";
import type { Crypto } from "../ports/crypto.ts";
import {
  type Preimage,
  type Satoshi,
  type Signature,
  satoshi,
  satoshiFloor,
} from "../primitives/brands.ts";
import { assert } from "../primitives/errors.ts";
import { toDer } from "./der.ts";
import { hash160, offeredHtlcScript, receivedHtlcScript } from "./script.ts";
import {
  SIGHASH_ALL,
  SIGHASH_SINGLE_ANYONECANPAY,
  type SighashType,
  segwitSighash,
} from "./sighash.ts";
import type { ChannelType, CommitmentHtlc, CommitmentKeys } from "./terms.ts";
import { type Transaction, unsignedInput, withWitness } from "./transaction.ts";
import { hasZeroFeeHtlcs, htlcTransactionFee, transactionVersion } from "./weights.ts";

/**
 * An untrimmed HTLC with the transaction by which the broadcaster claims it: HTLC-timeout where it
 * offered it, else HTLC-success.
 */
export interface HtlcTransaction {
  readonly htlc: CommitmentHtlc;
  /** Of the HTLC output in the commitment transaction. */
  readonly vout: number;
  /** Of the HTLC output, in whole satoshis. */
  readonly amount: Satoshi;
  readonly witnessScript: Uint8Array;
  /** Unsigned; one input, one output. */
  readonly transaction: Transaction;
  /** What both parties sign. */
  readonly sighash: Uint8Array;
  /** SINGLE|ANYONECANPAY where a fee is to be added later, else ALL. */
  readonly sighashType: SighashType;
  /** Witness script of the transaction's own output. */
  readonly outputWitnessScript: Uint8Array;
}

/** What identifies an HTLC output beside the keys; the payment hash itself need not be known. */
export interface HtlcScriptSource {
  /** By the commitment's broadcaster. */
  readonly offered: boolean;
  /** RIPEMD-160 of the payment hash. */
  readonly paymentHash160: Uint8Array;
  readonly cltvExpiry: number;
}

/** The keys in an HTLC output's script. */
export type HtlcKeys = Pick<
  CommitmentKeys,
  "revocationPubkey" | "broadcasterHtlcPubkey" | "countersignatoryHtlcPubkey"
>;

export function htlcScript(
  crypto: Crypto,
  channelType: ChannelType,
  keys: HtlcKeys,
  source: HtlcScriptSource,
): Uint8Array {
  return htlcScripts(crypto, channelType, keys)(source);
}

/**
 * `htlcScript` for many HTLCs of one commitment: what they share is computed once, with the first.
 */
export function htlcScripts(
  crypto: Crypto,
  channelType: ChannelType,
  keys: HtlcKeys,
): (source: HtlcScriptSource) => Uint8Array {
  let revocationHash160: Uint8Array | undefined;
  return ({ offered, paymentHash160, cltvExpiry }) => {
    revocationHash160 ??= hash160(crypto, keys.revocationPubkey);
    const terms = {
      revocationHash160,
      broadcasterHtlcPubkey: keys.broadcasterHtlcPubkey,
      countersignatoryHtlcPubkey: keys.countersignatoryHtlcPubkey,
      paymentHash160,
      anchors: channelType === "anchors",
    };
    return offered ? offeredHtlcScript(terms) : receivedHtlcScript(terms, cltvExpiry);
  };
}

export interface HtlcTransactionSource {
  readonly channelType: ChannelType;
  readonly feeratePerKw: number;
  /** `delayedScript` of the commitment, and its P2WSH: the same for all its HTLC transactions. */
  readonly outputWitnessScript: Uint8Array;
  readonly outputScript: Uint8Array;
  readonly htlc: CommitmentHtlc;
  readonly outpoint: Outpoint;
  readonly witnessScript: Uint8Array;
}

export function buildHtlcTransaction(
  crypto: Crypto,
  source: HtlcTransactionSource,
): HtlcTransaction {
  const { channelType, feeratePerKw, htlc, outpoint, outputWitnessScript, witnessScript } = source;
  const amount = satoshiFloor(htlc.amountMsat);
  const fee = htlcTransactionFee(channelType, htlc.offered, feeratePerKw);
  const transaction: Transaction = {
    version: transactionVersion(channelType),
    inputs: [unsignedInput(outpoint, channelType === "anchors" ? 1 : 0)],
    outputs: [{ script: source.outputScript, amount: satoshi(amount - fee) }],
    locktime: htlc.offered ? htlc.cltvExpiry : 0,
  };
  const sighashType = hasZeroFeeHtlcs(channelType) ? SIGHASH_SINGLE_ANYONECANPAY : SIGHASH_ALL;
  const spentOutput = { amount, scriptCode: witnessScript };
  return {
    htlc,
    vout: outpoint.vout,
    amount,
    witnessScript,
    transaction,
    sighash: segwitSighash(crypto, transaction, 0, spentOutput, sighashType),
    sighashType,
    outputWitnessScript,
  };
}

export interface HtlcSignatures {
  readonly broadcaster: Signature;
  readonly countersignatory: Signature;
  /** Needed by, and only by, HTLC-success. */
  readonly preimage?: Preimage;
  /** Of the broadcaster's own signature, where it is not as the countersignatory's. */
  readonly broadcasterSighashType?: SighashType;
}

/**
 * The signed HTLC transaction; with zero-fee HTLCs, inputs and outputs may still be appended to pay
 * the fee.
 */
export function finalizeHtlcTransaction(
  unsigned: HtlcTransaction,
  signatures: HtlcSignatures,
): Transaction {
  const { htlc, sighashType, transaction, witnessScript } = unsigned;
  assert(htlc.offered === (signatures.preimage === undefined), "preimage for HTLC-success alone");
  const { broadcasterSighashType = sighashType } = signatures;
  return withWitness(transaction, 0, [
    new Uint8Array(0),
    toDer(signatures.countersignatory, sighashType),
    toDer(signatures.broadcaster, broadcasterSighashType),
    signatures.preimage ?? new Uint8Array(0),
    witnessScript,
  ]);
}
