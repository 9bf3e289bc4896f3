/**
 * Builds commitment transactions and the HTLC transactions that spend them (BOLT 3 "Commitment
 * Transaction Construction").
 */
import type { TxOutput } from "../ports/chain.ts";
import type { Crypto } from "../ports/crypto.ts";
import {
  commitmentNumber,
  type Satoshi,
  type Signature,
  satoshi,
  satoshiFloor,
} from "../primitives/brands.ts";
import { compare } from "../primitives/bytes.ts";
import { assert, demand } from "../primitives/errors.ts";
import { assembleFundingWitness } from "./funding.ts";
import { buildHtlcTransaction, type HtlcTransaction, htlcScripts } from "./htlc.ts";
import { commitmentLocks, obscuringFactor } from "./number.ts";
import {
  delayedScript,
  fundingScript,
  keyedAnchorScript,
  p2aScript,
  p2wpkh,
  p2wsh,
  toRemoteScript,
} from "./script.ts";
import { hashOutputs, hashPrevouts, hashSequences, SIGHASH_ALL, segwitSighash } from "./sighash.ts";
import type { CommitmentHtlc, CommitmentKeys, CommitmentSpec, CommitmentTerms } from "./terms.ts";
import { type Transaction, transactionId, unsignedInput, withWitness } from "./transaction.ts";
import {
  anchorsCost,
  commitmentFee,
  isTrimmed,
  KEYED_ANCHOR_SATOSHIS,
  MAX_SHARED_ANCHOR_SATOSHIS,
  transactionVersion,
} from "./weights.ts";

export type CommitmentOutputKind =
  | "toBroadcaster"
  | "toCountersignatory"
  | "htlc"
  | "broadcasterAnchor"
  | "countersignatoryAnchor"
  | "sharedAnchor";

export interface CommitmentOutput {
  readonly kind: CommitmentOutputKind;
  readonly vout: number;
  readonly amount: Satoshi;
  readonly script: Uint8Array;
  /** Absent where the output is P2WPKH or P2A. */
  readonly witnessScript?: Uint8Array;
  /** Present where `kind` is "htlc". */
  readonly htlc?: CommitmentHtlc;
}

export interface Commitment {
  /** Unsigned. */
  readonly transaction: Transaction;
  /** What both funding keys sign (SIGHASH_ALL). */
  readonly sighash: Uint8Array;
  readonly fundingScript: Uint8Array;
  /** In the transaction's order; `outputs[vout]`. */
  readonly outputs: readonly CommitmentOutput[];
  /** In the order of BOLT 3, which is that of `htlc_signatures`. */
  readonly htlcs: readonly HtlcTransaction[];
  /** What miners get: the base fee and whatever was trimmed or rounded away and is in no anchor. */
  readonly feeSatoshis: Satoshi;
  /** HTLCs without an output. */
  readonly trimmedHtlcs: readonly CommitmentHtlc[];
}

/**
 * Everything about a broadcaster's commitments that is the same in each; worth keeping beside the
 * terms.
 */
export interface CommitmentConstants {
  readonly obscuringFactor: ReturnType<typeof obscuringFactor>;
  readonly fundingScript: Uint8Array;
  readonly toCountersignatory: UnplacedOutput;
  readonly anchors: readonly UnplacedOutput[];
  /** Parts of the sighash; the sequence changes only every 2^24 commitments. */
  readonly prevouts: Uint8Array;
  readonly sequence: number;
  readonly sequences: Uint8Array;
}

type UnplacedOutput = Omit<CommitmentOutput, "vout" | "amount">;
type PlacedOutput = UnplacedOutput & { readonly amount: Satoshi };

export function commitmentConstants(crypto: Crypto, terms: CommitmentTerms): CommitmentConstants {
  const { channelType, broadcaster, countersignatory } = terms;
  const anchors =
    channelType === "anchors"
      ? [
          p2wshOutput(crypto, "broadcasterAnchor", keyedAnchorScript(broadcaster.fundingPubkey)),
          p2wshOutput(
            crypto,
            "countersignatoryAnchor",
            keyedAnchorScript(countersignatory.fundingPubkey),
          ),
        ]
      : [];
  const factor = obscuringFactor(crypto, terms);
  const { sequence } = commitmentLocks(factor, commitmentNumber(0));
  return {
    obscuringFactor: factor,
    prevouts: hashPrevouts(crypto, [{ outpoint: terms.fundingOutpoint }]),
    sequence,
    sequences: hashSequences(crypto, [{ sequence }]),
    fundingScript: fundingScript(broadcaster.fundingPubkey, countersignatory.fundingPubkey),
    toCountersignatory: toCountersignatoryOutput(crypto, terms),
    anchors,
  };
}

/**
 * Throws ProtocolViolation("opener-cannot-pay") where not even the anchors of option_anchors can be
 * paid for.
 */
export function buildCommitment(
  crypto: Crypto,
  terms: CommitmentTerms,
  keys: CommitmentKeys,
  spec: CommitmentSpec,
  constants: CommitmentConstants = commitmentConstants(crypto, terms),
): Commitment {
  assertConserved(terms, spec);
  const trim = {
    channelType: terms.channelType,
    feeratePerKw: spec.feeratePerKw,
    dustLimitSatoshis: terms.dustLimitSatoshis,
  };
  const trimmedHtlcs = spec.htlcs.filter((htlc) => isTrimmed(trim, htlc));
  const keptHtlcs = spec.htlcs.filter((htlc) => !isTrimmed(trim, htlc));
  const scriptOf = htlcScripts(crypto, terms.channelType, keys);
  const outputs = placed(
    [
      ...keptHtlcs.map((htlc) => htlcOutput(crypto, scriptOf, htlc)),
      ...balanceOutputs(crypto, terms, keys, spec, keptHtlcs, constants),
    ],
    terms,
  );
  const total = sum(outputs);
  demand(total <= terms.fundingSatoshis, "opener-cannot-pay", "the opener cannot pay for anchors");

  const transaction = unsignedCommitment(terms, spec, outputs, constants);
  const sighash = commitmentSighash(crypto, terms, transaction, constants);
  return {
    transaction,
    sighash,
    fundingScript: constants.fundingScript,
    outputs,
    htlcs: htlcTransactions(crypto, terms, keys, spec, transaction, outputs),
    feeSatoshis: satoshi(terms.fundingSatoshis - total),
    trimmedHtlcs,
  };
}

/** The commitment with both signatures, ready for broadcast. */
export function finalizeCommitment(
  { transaction }: Pick<Commitment, "transaction">,
  { broadcaster, countersignatory }: CommitmentTerms,
  signatures: { readonly broadcaster: Signature; readonly countersignatory: Signature },
): Transaction {
  const witness = assembleFundingWitness(
    { fundingPubkey: broadcaster.fundingPubkey, signature: signatures.broadcaster },
    { fundingPubkey: countersignatory.fundingPubkey, signature: signatures.countersignatory },
  );
  return withWitness(transaction, 0, witness);
}

function unsignedCommitment(
  terms: CommitmentTerms,
  spec: CommitmentSpec,
  outputs: readonly TxOutput[],
  constants: CommitmentConstants,
): Transaction {
  const { locktime, sequence } = commitmentLocks(constants.obscuringFactor, spec.number);
  return {
    version: transactionVersion(terms.channelType),
    inputs: [unsignedInput(terms.fundingOutpoint, sequence)],
    outputs: outputs.map(({ amount, script }) => ({ amount, script })),
    locktime,
  };
}

function commitmentSighash(
  crypto: Crypto,
  terms: CommitmentTerms,
  transaction: Transaction,
  constants: CommitmentConstants,
): Uint8Array {
  const { prevouts, sequence, sequences } = constants;
  const { inputs, outputs } = transaction;
  const sameSequence = inputs[0]?.sequence === sequence;
  const spent = { amount: terms.fundingSatoshis, scriptCode: constants.fundingScript };
  return segwitSighash(crypto, transaction, 0, spent, SIGHASH_ALL, {
    prevouts,
    sequences: sameSequence ? sequences : hashSequences(crypto, inputs),
    outputs: hashOutputs(crypto, outputs),
  });
}

function htlcOutput(
  crypto: Crypto,
  scriptOf: ReturnType<typeof htlcScripts>,
  htlc: CommitmentHtlc,
): PlacedOutput {
  const paymentHash160 = crypto.ripemd160(htlc.paymentHash);
  const script = scriptOf({ ...htlc, paymentHash160 });
  return { ...p2wshOutput(crypto, "htlc", script), amount: satoshiFloor(htlc.amountMsat), htlc };
}

/** to_local, to_remote and anchors, as far as they materialise. */
function balanceOutputs(
  crypto: Crypto,
  terms: CommitmentTerms,
  keys: CommitmentKeys,
  spec: CommitmentSpec,
  keptHtlcs: readonly CommitmentHtlc[],
  constants: CommitmentConstants,
): readonly PlacedOutput[] {
  const { toBroadcaster, toCountersignatory } = balancesAfterFees(terms, spec, keptHtlcs.length);
  const hasBroadcaster = toBroadcaster >= terms.dustLimitSatoshis && toBroadcaster > 0;
  const hasCountersignatory =
    toCountersignatory >= terms.dustLimitSatoshis && toCountersignatory > 0;
  const outputs: PlacedOutput[] = [];
  if (hasBroadcaster) {
    const script = delayedScript(keys, terms.toSelfDelay);
    outputs.push({ ...p2wshOutput(crypto, "toBroadcaster", script), amount: toBroadcaster });
  }
  if (hasCountersignatory) {
    outputs.push({ ...constants.toCountersignatory, amount: toCountersignatory });
  }
  for (const anchor of constants.anchors) {
    const owned = anchor.kind === "broadcasterAnchor" ? hasBroadcaster : hasCountersignatory;
    if (owned || keptHtlcs.length > 0) {
      outputs.push({ ...anchor, amount: satoshi(KEYED_ANCHOR_SATOSHIS) });
    }
  }
  return outputs;
}

/**
 * Balances in whole satoshis after the opener paid fee and anchors; an opener that cannot pay them
 * all pays what it has.
 */
function balancesAfterFees(
  terms: CommitmentTerms,
  spec: CommitmentSpec,
  htlcOutputs: number,
): { readonly toBroadcaster: Satoshi; readonly toCountersignatory: Satoshi } {
  const { channelType, broadcasterIsOpener } = terms;
  const cost =
    commitmentFee(channelType, spec.feeratePerKw, htlcOutputs) + anchorsCost(channelType);
  const toBroadcaster = satoshiFloor(spec.toBroadcasterMsat);
  const toCountersignatory = satoshiFloor(spec.toCountersignatoryMsat);
  const less = (balance: Satoshi) => satoshi(Math.max(0, balance - cost));
  return broadcasterIsOpener
    ? { toBroadcaster: less(toBroadcaster), toCountersignatory }
    : { toBroadcaster, toCountersignatory: less(toCountersignatory) };
}

/** Balances and HTLCs that exceed the channel are our own bug, whatever the peer sent. */
function assertConserved(terms: CommitmentTerms, spec: CommitmentSpec): void {
  let total: number = spec.toBroadcasterMsat + spec.toCountersignatoryMsat;
  for (const { amountMsat } of spec.htlcs) total += amountMsat;
  assert(
    total <= terms.fundingSatoshis * 1000,
    "a commitment would pay more than the channel holds",
  );
}

/** Adds the shared anchor, where the type has one, and sorts (BIP 69, then cltv_expiry). */
function placed(
  outputs: readonly PlacedOutput[],
  { channelType, fundingSatoshis }: CommitmentTerms,
): readonly CommitmentOutput[] {
  const all = [...outputs];
  if (channelType === "zero_fee_commitments") {
    const left = fundingSatoshis - sum(outputs);
    const amount = satoshi(Math.min(MAX_SHARED_ANCHOR_SATOSHIS, left));
    all.push({ kind: "sharedAnchor", script: p2aScript(), amount });
  }
  all.sort(
    (a, b) =>
      a.amount - b.amount ||
      compare(a.script, b.script) ||
      (a.htlc?.cltvExpiry ?? 0) - (b.htlc?.cltvExpiry ?? 0) ||
      (a.htlc?.id ?? 0) - (b.htlc?.id ?? 0),
  );
  return all.map((output, vout) => ({ ...output, vout }));
}

function htlcTransactions(
  crypto: Crypto,
  terms: CommitmentTerms,
  keys: CommitmentKeys,
  spec: CommitmentSpec,
  transaction: Transaction,
  outputs: readonly CommitmentOutput[],
): readonly HtlcTransaction[] {
  if (!outputs.some((output) => output.htlc !== undefined)) return [];
  const commitmentTxid = transactionId(crypto, transaction);
  const outputWitnessScript = delayedScript(keys, terms.toSelfDelay);
  const outputScript = p2wsh(crypto, outputWitnessScript);
  const result: HtlcTransaction[] = [];
  for (const { htlc, vout, witnessScript } of outputs) {
    if (htlc === undefined || witnessScript === undefined) continue;
    result.push(
      buildHtlcTransaction(crypto, {
        channelType: terms.channelType,
        feeratePerKw: spec.feeratePerKw,
        outputWitnessScript,
        outputScript,
        htlc,
        outpoint: { txid: commitmentTxid, vout },
        witnessScript,
      }),
    );
  }
  return result;
}

function toCountersignatoryOutput(crypto: Crypto, terms: CommitmentTerms): UnplacedOutput {
  const key = terms.countersignatory.paymentBasepoint;
  return terms.channelType === "anchors"
    ? p2wshOutput(crypto, "toCountersignatory", toRemoteScript(key))
    : { kind: "toCountersignatory", script: p2wpkh(crypto, key) };
}

function p2wshOutput(
  crypto: Crypto,
  kind: CommitmentOutputKind,
  witnessScript: Uint8Array,
): UnplacedOutput & { readonly witnessScript: Uint8Array } {
  return { kind, script: p2wsh(crypto, witnessScript), witnessScript };
}

function sum(outputs: readonly { readonly amount: Satoshi }[]): number {
  return outputs.reduce((total, { amount }) => total + amount, 0);
}
