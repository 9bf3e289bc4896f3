/** The second peer builds the commitments of BOLT 3's appendices C and F byte for byte: an oracle has to be right itself. */
import { script } from "bitcoinjs-lib";
import { expect, test } from "vitest";
import { describeVectors } from "../support/vectors.ts";
import { type Bytes, fromHex, sha256 } from "./second-peer/bytes.ts";
import {
  buildCommitment,
  type ChannelTerms,
  type ChannelType,
  type SideTerms,
} from "./second-peer/commitment.ts";
import { pointOf } from "./second-peer/curve.ts";
import type { Basepoints } from "./second-peer/keys.ts";
import { completeCommitment, completeHtlc, faultOfSignatures } from "./second-peer/signing.ts";

interface Vectors {
  readonly common: {
    readonly funding_tx_id: string;
    readonly funding_output_index: number;
    readonly funding_amount_satoshi: string;
    readonly commitment_number: number;
    readonly local_delay: number;
    readonly local_dust_limit_satoshi: string;
    readonly htlcs: readonly {
      readonly id: number;
      readonly direction: string;
      readonly amount_msat: string;
      readonly cltv_expiry: number;
      readonly payment_preimage: string;
    }[];
    readonly keys: Readonly<Record<string, string>>;
    readonly internal: Readonly<Record<string, string>>;
  };
  readonly cases: readonly VectorCase[];
}

interface VectorCase {
  readonly name: string;
  readonly to_local_msat: string;
  readonly to_remote_msat: string;
  readonly local_dust_limit_satoshi?: string;
  readonly feerate_per_kw: number;
  readonly htlcs: readonly number[];
  readonly remote_signature_der: string;
  readonly commit_tx: string;
  readonly htlc_txs: readonly { readonly remote_signature_der: string; readonly tx: string }[];
}

const files: readonly (readonly [ChannelType, string])[] = [
  ["static_remotekey", "bolt3-appendix-c-commitment-static-remotekey.json"],
  ["anchors", "bolt3-appendix-f-commitment-anchors.json"],
];

for (const [type, file] of files) {
  describeVectors<Vectors>(`commitments of ${type}`, file, ({ common, cases }) => {
    test.each(cases.map((one) => [one.name, one] as const))("%s", (_, one) => {
      expect(publishable(type, common, one)).toEqual([
        one.commit_tx,
        ...one.htlc_txs.map(({ tx }) => tx),
      ]);
    });
  });
}

function publishable(type: ChannelType, common: Vectors["common"], one: VectorCase): string[] {
  const secret = (name: string) => fromHex(common.internal[name] ?? common.keys[name] ?? "");
  const point = pointOf(secret("local_per_commitment_secret"));
  const dust = one.local_dust_limit_satoshi ?? common.local_dust_limit_satoshi;
  const terms: ChannelTerms = {
    type,
    fundingTxid: fromHex(common.funding_tx_id).reverse(),
    fundingVout: common.funding_output_index,
    fundingSatoshis: Number(common.funding_amount_satoshi),
    opener: side(Number(dust), {
      funding: fromHex(common.keys.local_funding_pubkey ?? ""),
      revocation: pointOf(secret("local_delayed_payment_basepoint_secret")),
      payment: pointOf(secret("local_payment_basepoint_secret")),
      delayedPayment: pointOf(secret("local_delayed_payment_basepoint_secret")),
      htlc: pointOf(secret("local_payment_basepoint_secret")),
    }),
    acceptor: {
      ...side(Number(dust), {
        funding: fromHex(common.keys.remote_funding_pubkey ?? ""),
        revocation: pointOf(secret("remote_revocation_basepoint_secret")),
        payment: pointOf(secret("remote_payment_basepoint_secret")),
        delayedPayment: pointOf(secret("remote_payment_basepoint_secret")),
        htlc: pointOf(secret("remote_payment_basepoint_secret")),
      }),
      toSelfDelay: common.local_delay,
    },
  };
  const known = common.htlcs.filter(({ id }) => one.htlcs.includes(id));
  const preimages = new Map(known.map((htlc) => [htlc.id, fromHex(htlc.payment_preimage)]));
  const commitment = buildCommitment(terms, "opener", common.commitment_number, point, {
    openerMsat: Number(one.to_local_msat),
    acceptorMsat: Number(one.to_remote_msat),
    feeratePerKw: one.feerate_per_kw,
    htlcs: known.map((htlc) => ({
      id: htlc.id,
      offeredBy: htlc.direction === "local->remote" ? "opener" : "acceptor",
      amountMsat: Number(htlc.amount_msat),
      cltvExpiry: htlc.cltv_expiry,
      paymentHash: sha256(fromHex(htlc.payment_preimage)),
    })),
  });
  const signatures = {
    signature: fromDer(one.remote_signature_der),
    htlcSignatures: one.htlc_txs.map((htlc) => fromDer(htlc.remote_signature_der)),
  };
  expect(faultOfSignatures(commitment, terms.acceptor.points, point, signatures)).toBeUndefined();
  const secrets = {
    funding: secret("local_funding_privkey"),
    htlc: secret("local_payment_basepoint_secret"),
  } as Basepoints;
  const whole = completeCommitment(terms, "opener", commitment, secrets, signatures.signature);
  const htlcs = commitment.htlcs.map((htlc, index) => {
    const theirs = signatures.htlcSignatures[index] as Bytes;
    const preimage = htlc.htlc.offeredBy === "opener" ? undefined : preimages.get(htlc.htlc.id);
    return completeHtlc(terms, htlc, secrets, point, theirs, preimage);
  });
  return [whole, ...htlcs].map((transaction) => transaction.toHex());
}

function side(dustLimitSatoshis: number, points: Basepoints): SideTerms {
  return { points, dustLimitSatoshis, toSelfDelay: 0 } as SideTerms;
}

function fromDer(signature: string): Bytes {
  return script.signature.decode(fromHex(`${signature}01`)).signature;
}
