/**
 * The tower's half: from a kit and the revoked commitment on chain the penalties, each checked before anything is sent
 * (rule `tower-checks-kit`). A kit comes from a stranger: what does not fit is left out and named.
 */
import type { Outpoint, TxOutput } from "../ports/chain.ts";
import type { Crypto } from "../ports/crypto.ts";
import {
  blockHeight,
  MAX_SATOSHI,
  milliSatoshi,
  paymentHash,
  type Satoshi,
  type Signature,
  type Txid,
} from "../primitives/brands.ts";
import { equal } from "../primitives/bytes.ts";
import { type Claim, revokedDelayedClaim, revokedHtlcClaim } from "../transactions/claims.ts";
import { buildHtlcTransaction } from "../transactions/htlc.ts";
import { delayedScript, p2wsh } from "../transactions/script.ts";
import { type Transaction, transactionId } from "../transactions/transaction.ts";
import { htlcTransactionFee } from "../transactions/weights.ts";
import type { JusticeKit, KitHtlc } from "./justice-kit.ts";
import { type Penalty, penaltyOf, signedPenalty } from "./penalty.ts";

/** A penalty that is ready to be sent once what it spends is on chain. */
export interface ReadyPenalty {
  readonly kind: "to-local" | "htlc" | "second-stage";
  readonly outpoint: Outpoint;
  /** What it spends. */
  readonly spent: TxOutput;
  /** Signed; inputs and outputs may be appended. */
  readonly transaction: Transaction;
  readonly feeSatoshis: Satoshi;
  /** Of "second-stage": the commitment's output whose spend creates it. */
  readonly after?: Outpoint;
}

export interface Punishment {
  readonly penalties: readonly ReadyPenalty[];
  /** Blocks in which the cheater cannot take to_local and second-stage outputs. */
  readonly toSelfDelay: number;
  /** What in the kit fits nothing. */
  readonly faults: readonly string[];
}

interface DelayedOutput {
  readonly kind: "to-local" | "second-stage";
  readonly outpoint: Outpoint;
  readonly output: TxOutput | undefined;
  readonly signature: Signature;
}

export function punish(
  crypto: Crypto,
  kit: JusticeKit,
  commitment: Transaction,
  txid: Txid,
): Punishment {
  const { toSelfDelay, toLocal, htlcs } = kit;
  const known = [kit.revocationPubkey, kit.broadcasterDelayedPubkey];
  if (!known.every((key) => crypto.isPublicKey(key))) {
    return { penalties: [], toSelfDelay, faults: ["its keys are no points on the curve"] };
  }
  const faults: string[] = [];
  const penalties: ReadyPenalty[] = [];
  const add = (ready: ReadyPenalty | string) => {
    if (typeof ready === "string") faults.push(ready);
    else penalties.push(ready);
  };
  const outputOf = (vout: number) => commitment.outputs[vout];
  if (toLocal) {
    const outpoint = { txid, vout: toLocal.vout };
    const output = outputOf(toLocal.vout);
    add(delayed(crypto, kit, { kind: "to-local", outpoint, output, signature: toLocal.signature }));
  }
  for (const htlc of htlcs) {
    const output = outputOf(htlc.vout);
    const outpoint = { txid, vout: htlc.vout };
    add(ofHtlc(crypto, kit, htlc, outpoint, output));
    if (htlc.secondStage && output) {
      const made = secondStageOf(crypto, kit, htlc, outpoint, output);
      if (!made) continue;
      const stage = { kind: "second-stage", ...made, signature: htlc.secondStage } as const;
      const found = delayed(crypto, kit, stage);
      add(typeof found === "string" ? found : { ...found, after: outpoint });
    }
  }
  return { penalties, toSelfDelay, faults };
}

function delayed(
  crypto: Crypto,
  kit: JusticeKit,
  { kind, outpoint, output, signature }: DelayedOutput,
): ReadyPenalty | string {
  if (output === undefined) return `${kind}: there is no such output`;
  const claim = revokedDelayedClaim({ outpoint, amount: output.amount }, kit, kit.toSelfDelay);
  return ready(crypto, kit, { kind, claim, output, signature });
}

function ofHtlc(
  crypto: Crypto,
  kit: JusticeKit,
  htlc: KitHtlc,
  outpoint: Outpoint,
  output: TxOutput | undefined,
): ReadyPenalty | string {
  const { htlcKeys, revocationPubkey, channelType } = kit;
  if (output === undefined || htlcKeys === undefined) return "htlc: there is no such output";
  const keys = { ...htlcKeys, revocationPubkey };
  const { amount } = output;
  const claim = revokedHtlcClaim(crypto, { outpoint, amount }, channelType, keys, htlc);
  return ready(crypto, kit, { kind: "htlc", claim, output, signature: htlc.signature });
}

/** Rule `tower-checks-kit`: the script is this output's, and the signature pays the victim. */
function ready(
  crypto: Crypto,
  kit: JusticeKit,
  made: {
    readonly kind: ReadyPenalty["kind"];
    readonly claim: Claim;
    readonly output: TxOutput;
    readonly signature: Signature;
  },
): ReadyPenalty | string {
  const { kind, claim, output, signature } = made;
  if (!equal(p2wsh(crypto, claim.scriptCode), output.script)) return `${kind}: another script`;
  const penalty: Penalty | undefined = penaltyOf(crypto, claim, kit);
  if (penalty === undefined) return `${kind}: not worth a transaction`;
  if (!crypto.verify(signature, penalty.sighash, kit.revocationPubkey)) {
    return `${kind}: the signature does not fit`;
  }
  return {
    kind,
    outpoint: claim.outpoint,
    spent: { amount: output.amount, script: output.script },
    transaction: signedPenalty(penalty, signature),
    feeSatoshis: penalty.feeSatoshis,
  };
}

/** In static_remotekey both sides signed the whole HTLC transaction: its txid is known before it exists. */
function secondStageOf(
  crypto: Crypto,
  kit: JusticeKit,
  htlc: KitHtlc,
  outpoint: Outpoint,
  output: TxOutput,
): { readonly outpoint: Outpoint; readonly output: TxOutput } | undefined {
  const { channelType, htlcKeys } = kit;
  if (htlcKeys === undefined || output.amount > MAX_SATOSHI) return undefined;
  const feeratePerKw = htlcKeys.commitmentFeeratePerKw;
  if (htlcTransactionFee(channelType, htlc.offered, feeratePerKw) >= output.amount)
    return undefined;
  const outputWitnessScript = delayedScript(kit, kit.toSelfDelay);
  const { transaction } = buildHtlcTransaction(crypto, {
    channelType,
    feeratePerKw,
    outputWitnessScript,
    outputScript: p2wsh(crypto, outputWitnessScript),
    htlc: {
      offered: htlc.offered,
      id: 0,
      amountMsat: milliSatoshi(output.amount * 1000),
      paymentHash: paymentHash(new Uint8Array(32)), // not part of the transaction
      cltvExpiry: blockHeight(htlc.cltvExpiry),
    },
    outpoint,
    witnessScript: output.script,
  });
  const [paid] = transaction.outputs;
  return paid && { outpoint: { txid: transactionId(crypto, transaction), vout: 0 }, output: paid };
}
