/**
 * The channel of BOLT 3's appendices C and F: its terms, keys and HTLCs, from the vectors' common
 * part.
 */
import { commitmentKeys } from "../../core/keys/derivation.ts";
import {
  blockHeight,
  commitmentNumber,
  milliSatoshi,
  paymentHash,
  preimage,
  publicKey,
  satoshi,
  secretKey,
  txid,
} from "../../core/primitives/brands.ts";
import { fromHex, reversed } from "../../core/primitives/bytes.ts";
import type {
  ChannelType,
  CommitmentHtlc,
  CommitmentSpec,
  CommitmentTerms,
} from "../../core/transactions/terms.ts";
import { noble } from "./crypto-providers.ts";

export interface Bolt3Common {
  readonly funding_tx_id: string;
  readonly funding_output_index: number;
  readonly funding_amount_satoshi: string;
  readonly commitment_number: number;
  readonly local_delay: number;
  readonly local_dust_limit_satoshi: string;
  readonly obscuring_factor: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly internal: Readonly<Record<string, string>>;
  readonly htlcs: readonly {
    readonly id: number;
    readonly direction: string;
    readonly amount_msat: string;
    readonly cltv_expiry: number;
    readonly payment_preimage: string;
  }[];
}

export interface Bolt3Case {
  readonly name: string;
  readonly to_local_msat: string;
  readonly to_remote_msat: string;
  readonly local_dust_limit_satoshi?: string;
  readonly feerate_per_kw: number;
  readonly htlcs: readonly number[];
  readonly actual_fee_satoshi?: string | null;
  readonly remote_signature_der: string;
  readonly local_signature_der?: string;
  readonly commit_tx: string;
  readonly htlc_txs: readonly {
    readonly remote_signature_der: string;
    readonly local_signature_der?: string;
    readonly tx: string;
  }[];
}

/** "local" of the appendix is the broadcaster and the opener. */
export function bolt3Channel(common: Bolt3Common, channelType: ChannelType) {
  const point = (name: string) =>
    publicKey(fromHex((common.keys[name] ?? common.internal[name]) as string));
  const secret = (name: string) =>
    secretKey(fromHex((common.keys[name] ?? common.internal[name]) as string));
  const terms: CommitmentTerms = {
    channelType,
    fundingOutpoint: {
      txid: txid(reversed(fromHex(common.funding_tx_id))),
      vout: common.funding_output_index,
    },
    fundingSatoshis: satoshi(Number(common.funding_amount_satoshi)),
    broadcasterIsOpener: true,
    broadcaster: {
      fundingPubkey: point("local_funding_pubkey"),
      // The broadcaster's revocation basepoint is in none of its own commitments.
      revocationBasepoint: point("local_funding_pubkey"),
      paymentBasepoint: point("local_payment_basepoint"),
      delayedPaymentBasepoint: point("local_delayed_payment_basepoint"),
      htlcBasepoint: point("local_htlc_basepoint"),
    },
    countersignatory: {
      fundingPubkey: point("remote_funding_pubkey"),
      revocationBasepoint: point("remote_revocation_basepoint"),
      paymentBasepoint: point("remote_payment_basepoint"),
      delayedPaymentBasepoint: point("remote_payment_basepoint"),
      htlcBasepoint: point("remote_htlc_basepoint"),
    },
    dustLimitSatoshis: satoshi(Number(common.local_dust_limit_satoshi)),
    toSelfDelay: common.local_delay,
  };
  const preimages = common.htlcs.map((htlc) => preimage(fromHex(htlc.payment_preimage)));
  const htlcs: readonly CommitmentHtlc[] = common.htlcs.map((htlc, i) => ({
    offered: htlc.direction === "local->remote",
    id: htlc.id,
    amountMsat: milliSatoshi(Number(htlc.amount_msat)),
    paymentHash: paymentHash(noble.sha256(preimages[i] as Uint8Array)),
    cltvExpiry: blockHeight(htlc.cltv_expiry),
  }));
  return {
    terms,
    keys: commitmentKeys(noble, {
      ...terms,
      perCommitmentPoint: point("local_per_commitment_point"),
    }),
    htlcs,
    preimages,
    secrets: {
      localFunding: secret("local_funding_privkey"),
      remoteFunding: secret("remote_funding_privkey"),
      localHtlc: secret("local_privkey"),
      remoteHtlc: secret("remote_privkey"),
      localDelayed: secret("local_delayed_privkey"),
      perCommitment: secret("local_per_commitment_secret"),
      remoteRevocation: secret("remote_revocation_basepoint_secret"),
      remotePayment: secret("remote_payment_basepoint_secret"),
    },
  };
}

export type Bolt3Channel = ReturnType<typeof bolt3Channel>;

export function bolt3Spec(
  { htlcs }: Pick<Bolt3Channel, "htlcs">,
  number: number,
  state: Bolt3Case,
): CommitmentSpec {
  return {
    number: commitmentNumber(number),
    toBroadcasterMsat: milliSatoshi(Number(state.to_local_msat)),
    toCountersignatoryMsat: milliSatoshi(Number(state.to_remote_msat)),
    feeratePerKw: state.feerate_per_kw,
    htlcs: state.htlcs.map((id) => htlcs[id] as CommitmentHtlc),
  };
}
