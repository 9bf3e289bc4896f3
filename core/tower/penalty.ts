/**
 * One penalty: a transaction that spends one output of a revoked commitment and pays its victim, signed
 * SINGLE|ANYONECANPAY so that a tower can add coins for a higher fee, and nothing else can be changed (BOLT 5, BIP 143).
 */
import type { Crypto } from "../ports/crypto.ts";
import { type Satoshi, type Signature, satoshi } from "../primitives/brands.ts";
import type { Claim } from "../transactions/claims.ts";
import { toDer } from "../transactions/der.ts";
import { dustThreshold } from "../transactions/script.ts";
import { SIGHASH_SINGLE_ANYONECANPAY, segwitSighash } from "../transactions/sighash.ts";
import { sweepWeight } from "../transactions/sweep.ts";
import type { ChannelType } from "../transactions/terms.ts";
import { type Transaction, unsignedInput, withWitness } from "../transactions/transaction.ts";
import { transactionVersion } from "../transactions/weights.ts";

/** 10 satoshi per virtual byte: penalties confirm by themselves on most days, also where a tower has no coins. */
export const PENALTY_FEERATE_PER_KW = 2_500;
/** However high that is, the victim keeps this share of what is taken from the cheater. */
const VICTIM_SHARE = 3 / 4;

export interface PenaltyTerms {
  readonly channelType: ChannelType;
  readonly payoutScript: Uint8Array;
  readonly feeratePerKw: number;
}

export interface Penalty {
  readonly claim: Claim;
  /** Unsigned. */
  readonly transaction: Transaction;
  readonly sighash: Uint8Array;
  readonly feeSatoshis: Satoshi;
}

/** Undefined where nothing worth an output would be left. */
export function penaltyOf(
  crypto: Crypto,
  claim: Claim,
  { channelType, payoutScript, feeratePerKw }: PenaltyTerms,
): Penalty | undefined {
  const wanted = Math.ceil((sweepWeight([claim], payoutScript) * feeratePerKw) / 1000);
  const fee = Math.min(wanted, Math.floor(claim.amount * (1 - VICTIM_SHARE)));
  const amount = claim.amount - fee;
  if (amount < Math.max(1, dustThreshold(payoutScript))) return undefined;
  const transaction: Transaction = {
    // Version 3 where its commitment has it: there a cheater cannot pin what it takes from us to a large transaction (BIP 431).
    version: transactionVersion(channelType),
    inputs: [unsignedInput(claim.outpoint, claim.sequence)],
    outputs: [{ script: payoutScript, amount: satoshi(amount) }],
    locktime: 0,
  };
  const sighash = segwitSighash(crypto, transaction, 0, claim, SIGHASH_SINGLE_ANYONECANPAY);
  return { claim, transaction, sighash, feeSatoshis: satoshi(fee) };
}

export function signedPenalty({ claim, transaction }: Penalty, signature: Signature): Transaction {
  const witness = [toDer(signature, SIGHASH_SINGLE_ANYONECANPAY), ...claim.witnessAfterSignature];
  return withWitness(transaction, 0, witness);
}
