/**
 * One transaction that spends many claims into one output (BOLT 5 "Penalty Transaction Weight
 * Calculation" batches the same way).
 */
import type { Crypto } from "../ports/crypto.ts";
import { type Satoshi, type Signature, satoshi } from "../primitives/brands.ts";
import { assert } from "../primitives/errors.ts";
import type { Claim } from "./claims.ts";
import { toDer } from "./der.ts";
import { dustThreshold } from "./script.ts";
import { SIGHASH_ALL, segwitSighash, sharedHashes } from "./sighash.ts";
import { type Transaction, transactionWeight, unsignedInput } from "./transaction.ts";

export interface SweepOptions {
  /** 3 where an input is an unconfirmed output of a TRUC transaction (BIP 431). */
  readonly version?: 2 | 3;
  /** A later locktime than the claims need, if any. */
  readonly locktime?: number;
}

export type Sweep =
  | {
      readonly type: "sweep";
      readonly claims: readonly Claim[];
      /** Unsigned; input i spends claim i. */
      readonly transaction: Transaction;
      /** What is to be signed for each claim that has a `key`. */
      readonly sighashes: readonly (Uint8Array | undefined)[];
      readonly feeSatoshis: Satoshi;
    }
  | {
      /** After the fee, nothing worth an output is left. */
      readonly type: "dust";
      readonly claims: readonly Claim[];
      /** What the fee would have been. */
      readonly feeSatoshis: Satoshi;
    };

const SEGWIT_MARKER_WEIGHT = 2;

/** Claims with relative locks go in only when these have passed: the sweep is not final before. */
export function buildSweep(
  crypto: Crypto,
  claims: readonly Claim[],
  outputScript: Uint8Array,
  feeratePerKw: number,
  { version = 2, locktime = 0 }: SweepOptions = {},
): Sweep {
  assert(claims.length > 0, "a sweep without claims");
  const total = claims.reduce((sum, claim) => sum + claim.amount, 0);
  const feeSatoshis = satoshi(Math.ceil((sweepWeight(claims, outputScript) * feeratePerKw) / 1000));
  if (total - feeSatoshis < Math.max(1, dustThreshold(outputScript))) {
    return { type: "dust", claims, feeSatoshis };
  }
  const transaction: Transaction = {
    version,
    inputs: claims.map((claim) => unsignedInput(claim.outpoint, claim.sequence)),
    outputs: [{ script: outputScript, amount: satoshi(total - feeSatoshis) }],
    locktime: claims.reduce((latest, claim) => Math.max(latest, claim.locktime), locktime),
  };
  const shared = sharedHashes(crypto, transaction);
  const sighashes = claims.map((claim, index) =>
    claim.key === undefined
      ? undefined
      : segwitSighash(crypto, transaction, index, claim, SIGHASH_ALL, shared),
  );
  return { type: "sweep", claims, transaction, sighashes, feeSatoshis };
}

/**
 * The sweep with its signatures, one for each claim in order, undefined where the claim has no
 * `key`.
 */
export function finalizeSweep(
  { transaction, claims }: Extract<Sweep, { type: "sweep" }>,
  signatures: readonly (Signature | undefined)[],
): Transaction {
  return {
    ...transaction,
    inputs: transaction.inputs.map((input, index) => ({
      ...input,
      witness: claimWitness(claims[index] as Claim, signatures[index]),
    })),
  };
}

export function claimWitness(claim: Claim, signature: Signature | undefined): Uint8Array[] {
  assert((claim.key !== undefined) === (signature !== undefined), "signature where a key is named");
  if (signature === undefined) return [...claim.witnessAfterSignature];
  return [toDer(signature, SIGHASH_ALL), ...claim.witnessAfterSignature];
}

/** Weight of the signed sweep, signatures at their longest. */
export function sweepWeight(claims: readonly Claim[], outputScript: Uint8Array): number {
  const stripped = transactionWeight({
    version: 2,
    inputs: claims.map((claim) => unsignedInput(claim.outpoint, claim.sequence)),
    outputs: [{ script: outputScript, amount: satoshi(0) }],
    locktime: 0,
  });
  const witnesses = claims.reduce((sum, claim) => sum + claim.witnessWeight, 0);
  return stripped + SEGWIT_MARKER_WEIGHT + witnesses;
}
