/** The victim's half: the kit for a remote commitment that was just revoked, from its state and its secret (BOLT 3, 5). */
import { commitmentKeys } from "../keys/derivation.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { ChannelSigner } from "../ports/signer.ts";
import type { SecretKey, Signature, Txid } from "../primitives/brands.ts";
import { satoshi } from "../primitives/brands.ts";
import { type ChannelTerms, commitmentTerms } from "../transactions/channel-terms.ts";
import { type Claim, revokedDelayedClaim, revokedHtlcClaim } from "../transactions/claims.ts";
import { buildCommitment, type CommitmentOutput } from "../transactions/commitment.ts";
import type { CommitmentKeys, CommitmentSpec } from "../transactions/terms.ts";
import { transactionId } from "../transactions/transaction.ts";
import { type JusticeKit, type KitHtlc, maxKitHtlcs } from "./justice-kit.ts";
import { type PenaltyTerms, penaltyOf } from "./penalty.ts";

export interface KitSource {
  readonly crypto: Crypto;
  readonly signer: ChannelSigner;
  readonly terms: ChannelTerms;
  readonly payoutScript: Uint8Array;
  readonly feeratePerKw: number;
}

export interface MadeKit {
  /** Of the revoked commitment. */
  readonly txid: Txid;
  readonly kit: JusticeKit;
}

interface Work {
  readonly source: KitSource;
  readonly keys: CommitmentKeys;
  readonly secret: SecretKey;
  readonly toSelfDelay: number;
}

/** Undefined where the commitment has nothing that a tower could take: the cheater would lose by publishing it anyway. */
export function makeKit(
  source: KitSource,
  spec: CommitmentSpec,
  secret: SecretKey,
): MadeKit | undefined {
  const { crypto } = source;
  const { channelType } = source.terms;
  const terms = commitmentTerms(source.terms, "remote");
  const { toSelfDelay } = terms;
  const keys = commitmentKeys(crypto, { ...terms, perCommitmentPoint: crypto.publicKeyOf(secret) });
  const commitment = buildCommitment(crypto, terms, keys, spec);
  const txid = transactionId(crypto, commitment.transaction);
  const work: Work = { source, keys, secret, toSelfDelay };
  const outputs = commitment.outputs;
  const toLocal = outputs.find(({ kind }) => kind === "toBroadcaster");
  const toLocalSignature = toLocal && signDelayed(work, { txid, vout: toLocal.vout }, toLocal);
  const htlcs = largestHtlcs(outputs, maxKitHtlcs(channelType)).flatMap((output): KitHtlc[] => {
    const made = htlcOf(work, txid, output);
    if (made === undefined || channelType !== "static_remotekey") return made ? [made] : [];
    const stage = commitment.htlcs.find(({ vout }) => vout === output.vout)?.transaction;
    const paid = stage?.outputs[0];
    if (stage === undefined || paid === undefined) return [];
    const outpoint = { txid: transactionId(crypto, stage), vout: 0 };
    const secondStage = signDelayed(work, outpoint, paid);
    return [{ ...made, secondStage }];
  });
  if (toLocalSignature === undefined && htlcs.length === 0) return undefined;
  const kit: JusticeKit = {
    channelType,
    toSelfDelay,
    revocationPubkey: keys.revocationPubkey,
    broadcasterDelayedPubkey: keys.broadcasterDelayedPubkey,
    payoutScript: source.payoutScript,
    feeratePerKw: source.feeratePerKw,
    ...(toLocal && toLocalSignature
      ? { toLocal: { vout: toLocal.vout, signature: toLocalSignature } }
      : {}),
    ...(htlcs.length > 0
      ? {
          htlcKeys: {
            broadcasterHtlcPubkey: keys.broadcasterHtlcPubkey,
            countersignatoryHtlcPubkey: keys.countersignatoryHtlcPubkey,
            commitmentFeeratePerKw: spec.feeratePerKw,
          },
        }
      : {}),
    htlcs,
  };
  return { txid, kit };
}

function htlcOf(work: Work, txid: Txid, output: CommitmentOutput): KitHtlc | undefined {
  const { source, keys, secret } = work;
  const { crypto, terms } = source;
  const { htlc, vout, amount } = output;
  if (htlc === undefined) return undefined;
  const { offered, cltvExpiry } = htlc;
  const paymentHash160 = crypto.ripemd160(htlc.paymentHash);
  const named = { offered, paymentHash160, cltvExpiry };
  const outpoint = { txid, vout };
  const { channelType } = terms;
  const claim = revokedHtlcClaim(crypto, { outpoint, amount }, channelType, keys, named, secret);
  const signature = sign(work, claim);
  return signature && { vout, ...named, signature };
}

function signDelayed(
  work: Work,
  outpoint: Claim["outpoint"],
  { amount }: { readonly amount: number },
): Signature | undefined {
  const { keys, secret, toSelfDelay } = work;
  const output = { outpoint, amount: satoshi(amount) };
  return sign(work, revokedDelayedClaim(output, keys, toSelfDelay, secret));
}

function sign({ source }: Work, claim: Claim): Signature | undefined {
  const penalty = penaltyOf(source.crypto, claim, penaltyTerms(source));
  return penalty && claim.key && source.signer.signClaim(claim.key, penalty.sighash);
}

function penaltyTerms({ terms, payoutScript, feeratePerKw }: KitSource): PenaltyTerms {
  return { channelType: terms.channelType, payoutScript, feeratePerKw };
}

function largestHtlcs(outputs: readonly CommitmentOutput[], most: number): CommitmentOutput[] {
  const htlcs = outputs.filter(({ kind }) => kind === "htlc");
  return htlcs.sort((a, b) => b.amount - a.amount).slice(0, most);
}
