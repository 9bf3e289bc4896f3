/**
 * Keys of a commitment are those of BOLT 3, appendix E, and cost no more point operations than are
 * used.
 */
import { describe, expect, it } from "vitest";
import {
  commitmentKeys,
  derivePublicKey,
  deriveRevocationPublicKey,
  deriveRevocationSecretKey,
  deriveSecretKey,
} from "../../core/keys/derivation.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { publicKey, type SecretKey, secretKey } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { noble } from "../support/crypto-providers.ts";
import { describeVectors } from "../support/vectors.ts";

describeVectors<Record<string, string>>(
  "BOLT 3 appendix E",
  "bolt3-appendix-e-key-derivation.json",
  (vectors) => {
    const baseSecret = secretKey(fromHex(vectors.base_secret as string));
    const perCommitmentSecret = secretKey(fromHex(vectors.per_commitment_secret as string));
    const basepoint = publicKey(fromHex(vectors.base_point as string));
    const point = publicKey(fromHex(vectors.per_commitment_point as string));

    it("derives the public and the secret key", () => {
      expect(toHex(derivePublicKey(noble, basepoint, point))).toBe(vectors.localpubkey);
      const secret = deriveSecretKey(noble, baseSecret, basepoint, point);
      expect(toHex(secret)).toBe(vectors.localprivkey);
    });

    it("derives the public and the secret revocation key", () => {
      const key = deriveRevocationPublicKey(noble, basepoint, point);
      expect(toHex(key)).toBe(vectors.revocationpubkey);
      const secret = deriveRevocationSecretKey(noble, baseSecret, perCommitmentSecret);
      expect(toHex(secret)).toBe(vectors.revocationprivkey);
    });
  },
);

describe("the keys of one commitment", () => {
  const point = (byte: number) =>
    noble.publicKeyOf(secretKey(new Uint8Array(32).fill(byte)) as SecretKey);
  const source = {
    broadcaster: { delayedPaymentBasepoint: point(1), htlcBasepoint: point(2) },
    countersignatory: {
      revocationBasepoint: point(3),
      paymentBasepoint: point(4),
      htlcBasepoint: point(5),
    },
    perCommitmentPoint: point(6),
  };

  it("cost no tweak for HTLC keys that nobody reads, and one for each that is read twice", () => {
    let tweaks = 0;
    const counting: Crypto = {
      ...noble,
      publicKeyTweakAdd: (key, tweak) => {
        tweaks++;
        return noble.publicKeyTweakAdd(key, tweak);
      },
    };
    const keys = commitmentKeys(counting, source);

    expect(keys.broadcasterDelayedPubkey).toHaveLength(33);
    expect(tweaks).toBe(1);
    expect(keys.broadcasterHtlcPubkey).toEqual(keys.broadcasterHtlcPubkey);
    expect(keys.countersignatoryHtlcPubkey).toEqual(keys.countersignatoryHtlcPubkey);
    expect(tweaks).toBe(3);
  });

  it("pay the countersignatory at its payment basepoint, untweaked", () => {
    expect(commitmentKeys(noble, source).countersignatoryPaymentPubkey).toEqual(point(4));
  });
});
