/**
 * Commitment and HTLC transactions are those of BOLT 3, appendices C and F, byte for byte,
 * signatures included.
 */
import { expect, it } from "vitest";
import { toHex } from "../../core/primitives/bytes.ts";
import { buildCommitment, finalizeCommitment } from "../../core/transactions/commitment.ts";
import { toDer } from "../../core/transactions/der.ts";
import { finalizeHtlcTransaction, type HtlcTransaction } from "../../core/transactions/htlc.ts";
import { findCommitmentNumber, obscuringFactor } from "../../core/transactions/number.ts";
import { SIGHASH_ALL, segwitSighash } from "../../core/transactions/sighash.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { parseTransaction, serializeTransaction } from "../../core/transactions/transaction.ts";
import {
  type Bolt3Case,
  type Bolt3Channel,
  type Bolt3Common,
  bolt3Channel,
  bolt3Spec,
} from "../support/bolt3.ts";
import { noble } from "../support/crypto-providers.ts";
import { describeVectors } from "../support/vectors.ts";

interface Appendix {
  readonly common: Bolt3Common;
  readonly cases: readonly Bolt3Case[];
}

const appendices: readonly [string, ChannelType, string, number][] = [
  ["appendix C", "static_remotekey", "bolt3-appendix-c-commitment-static-remotekey.json", 33],
  ["appendix F", "anchors", "bolt3-appendix-f-commitment-anchors.json", 15],
];

for (const [name, channelType, file, htlcCount] of appendices) {
  describeVectors<Appendix>(`BOLT 3 ${name}`, file, ({ common, cases }) => {
    const channel = bolt3Channel(common, channelType);

    it("derives the keys that the appendix gives", () => {
      const { keys } = channel;
      expect(toHex(keys.revocationPubkey)).toBe(common.keys.local_revocation_pubkey);
      expect(toHex(keys.broadcasterDelayedPubkey)).toBe(common.keys.local_delayedpubkey);
      expect(toHex(keys.broadcasterHtlcPubkey)).toBe(common.keys.local_htlcpubkey);
      expect(toHex(keys.countersignatoryHtlcPubkey)).toBe(common.keys.remote_htlcpubkey);
    });

    it("hides the commitment number, and finds it again", () => {
      const { upper, lower } = obscuringFactor(noble, channel.terms);
      const factor = upper.toString(16).padStart(6, "0") + lower.toString(16).padStart(6, "0");
      expect(factor).toBe(common.obscuring_factor);
      const found = cases.map((state) =>
        findCommitmentNumber(noble, channel.terms, parseTransaction(bytes(state.commit_tx))),
      );
      expect(new Set(found)).toEqual(new Set([common.commitment_number]));
    });

    it("covers every HTLC transaction of the appendix", () => {
      expect(cases.reduce((sum, state) => sum + state.htlc_txs.length, 0)).toBe(htlcCount);
    });

    it.each(cases.map((state) => [state.name, state] as const))("%s", (_, state) => {
      const dustLimitSatoshis = Number(
        state.local_dust_limit_satoshi ?? common.local_dust_limit_satoshi,
      );
      const terms = { ...channel.terms, dustLimitSatoshis } as typeof channel.terms;
      const spec = bolt3Spec(channel, common.commitment_number, state);
      const commitment = buildCommitment(noble, terms, channel.keys, spec);

      const { secrets } = channel;
      const signatures = {
        broadcaster: noble.sign(commitment.sighash, secrets.localFunding),
        countersignatory: noble.sign(commitment.sighash, secrets.remoteFunding),
      };
      expect(derOf(signatures.countersignatory)).toBe(state.remote_signature_der);
      if (state.local_signature_der !== undefined) {
        expect(derOf(signatures.broadcaster)).toBe(state.local_signature_der);
      }
      const signed = serializeTransaction(finalizeCommitment(commitment, terms, signatures));
      expect(toHex(signed)).toBe(state.commit_tx);
      if (state.actual_fee_satoshi) {
        expect(commitment.feeSatoshis).toBe(Number(state.actual_fee_satoshi));
      }
      const trimmed = state.htlcs.length - state.htlc_txs.length;
      expect(commitment.trimmedHtlcs).toHaveLength(trimmed);
      expect(commitment.htlcs.map((htlc) => signedHtlc(channel, htlc))).toEqual(
        state.htlc_txs.map(({ tx, remote_signature_der }) => ({ tx, remote_signature_der })),
      );
    });
  });
}

/** The appendices sign their own side with SIGHASH_ALL in every type. */
function signedHtlc({ secrets, preimages }: Bolt3Channel, htlc: HtlcTransaction) {
  const countersignatory = noble.sign(htlc.sighash, secrets.remoteHtlc);
  const spent = { amount: htlc.amount, scriptCode: htlc.witnessScript };
  const ownSighash = segwitSighash(noble, htlc.transaction, 0, spent, SIGHASH_ALL);
  const preimage = htlc.htlc.offered ? undefined : preimages[htlc.htlc.id];
  const signed = finalizeHtlcTransaction(htlc, {
    broadcaster: noble.sign(ownSighash, secrets.localHtlc),
    broadcasterSighashType: SIGHASH_ALL,
    countersignatory,
    ...(preimage && { preimage }),
  });
  return {
    tx: toHex(serializeTransaction(signed)),
    remote_signature_der: derOf(countersignatory),
  };
}

function derOf(signature: ReturnType<typeof noble.sign>): string {
  return toHex(toDer(signature, SIGHASH_ALL).slice(0, -1));
}

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}
