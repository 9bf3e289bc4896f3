/**
 * Keys of one commitment transaction from basepoints and a per-commitment point (BOLT 3 "Key
 * Derivation").
 */
import type { Crypto } from "../ports/crypto.ts";
import type { PerCommitmentPoint, PublicKey, SecretKey } from "../primitives/brands.ts";
import { concat } from "../primitives/bytes.ts";
import type { Basepoints, CommitmentKeys } from "../transactions/terms.ts";

/** basepoint + SHA256(per_commitment_point || basepoint)·G. */
export function derivePublicKey(
  crypto: Crypto,
  basepoint: PublicKey,
  perCommitmentPoint: PerCommitmentPoint,
): PublicKey {
  return crypto.publicKeyTweakAdd(basepoint, crypto.sha256(concat(perCommitmentPoint, basepoint)));
}

/** The secret of `derivePublicKey`. */
export function deriveSecretKey(
  crypto: Crypto,
  basepointSecret: SecretKey,
  basepoint: PublicKey,
  perCommitmentPoint: PerCommitmentPoint,
): SecretKey {
  const tweak = crypto.sha256(concat(perCommitmentPoint, basepoint));
  return crypto.secretKeyTweakAdd(basepointSecret, tweak);
}

/**
 * The key that the owner of `revocationBasepoint` can use once the per-commitment secret is
 * revealed.
 */
export function deriveRevocationPublicKey(
  crypto: Crypto,
  revocationBasepoint: PublicKey,
  perCommitmentPoint: PerCommitmentPoint,
): PublicKey {
  const tweaks = revocationTweaks(crypto, revocationBasepoint, perCommitmentPoint);
  return crypto.publicKeyAdd(
    crypto.publicKeyTweakMultiply(revocationBasepoint, tweaks.basepoint),
    crypto.publicKeyTweakMultiply(perCommitmentPoint, tweaks.perCommitment),
  );
}

/** The secret of `deriveRevocationPublicKey`. */
export function deriveRevocationSecretKey(
  crypto: Crypto,
  revocationBasepointSecret: SecretKey,
  perCommitmentSecret: SecretKey,
): SecretKey {
  const tweaks = revocationTweaks(
    crypto,
    crypto.publicKeyOf(revocationBasepointSecret),
    crypto.publicKeyOf(perCommitmentSecret),
  );
  return crypto.secretKeyTweakAdd(
    crypto.secretKeyTweakMultiply(revocationBasepointSecret, tweaks.basepoint),
    crypto.secretKeyTweakMultiply(perCommitmentSecret, tweaks.perCommitment),
  );
}

export interface CommitmentKeySource {
  readonly broadcaster: Pick<Basepoints, "delayedPaymentBasepoint" | "htlcBasepoint">;
  readonly countersignatory: Pick<
    Basepoints,
    "revocationBasepoint" | "paymentBasepoint" | "htlcBasepoint"
  >;
  /** The broadcaster's. */
  readonly perCommitmentPoint: PerCommitmentPoint;
}

/** Keys that can be computed before anybody reads them. */
export interface EarlyCommitmentKeys extends CommitmentKeys {
  /** Computes one that every commitment needs; false: all of these are there. */
  deriveOne(): boolean;
}

/** Each key is computed when it is first read: a commitment without HTLCs costs no HTLC keys. */
export function commitmentKeys(crypto: Crypto, source: CommitmentKeySource): EarlyCommitmentKeys {
  return new DerivedCommitmentKeys(crypto, source);
}

class DerivedCommitmentKeys implements EarlyCommitmentKeys {
  readonly #crypto: Crypto;
  readonly #source: CommitmentKeySource;
  #revocation: PublicKey | undefined;
  #delayed: PublicKey | undefined;
  #broadcasterHtlc: PublicKey | undefined;
  #countersignatoryHtlc: PublicKey | undefined;

  constructor(crypto: Crypto, source: CommitmentKeySource) {
    this.#crypto = crypto;
    this.#source = source;
  }

  get perCommitmentPoint(): PerCommitmentPoint {
    return this.#source.perCommitmentPoint;
  }

  get revocationPubkey(): PublicKey {
    this.#revocation ??= deriveRevocationPublicKey(
      this.#crypto,
      this.#source.countersignatory.revocationBasepoint,
      this.perCommitmentPoint,
    );
    return this.#revocation;
  }

  get broadcasterDelayedPubkey(): PublicKey {
    this.#delayed ??= this.#derive(this.#source.broadcaster.delayedPaymentBasepoint);
    return this.#delayed;
  }

  get broadcasterHtlcPubkey(): PublicKey {
    this.#broadcasterHtlc ??= this.#derive(this.#source.broadcaster.htlcBasepoint);
    return this.#broadcasterHtlc;
  }

  get countersignatoryHtlcPubkey(): PublicKey {
    this.#countersignatoryHtlc ??= this.#derive(this.#source.countersignatory.htlcBasepoint);
    return this.#countersignatoryHtlc;
  }

  get countersignatoryPaymentPubkey(): PublicKey {
    return this.#source.countersignatory.paymentBasepoint;
  }

  deriveOne(): boolean {
    if (this.#revocation === undefined) void this.revocationPubkey;
    else if (this.#delayed === undefined) void this.broadcasterDelayedPubkey;
    else return false;
    return true;
  }

  #derive(basepoint: PublicKey): PublicKey {
    return derivePublicKey(this.#crypto, basepoint, this.perCommitmentPoint);
  }
}

function revocationTweaks(
  crypto: Crypto,
  revocationBasepoint: PublicKey,
  perCommitmentPoint: PerCommitmentPoint,
): { readonly basepoint: Uint8Array; readonly perCommitment: Uint8Array } {
  return {
    basepoint: crypto.sha256(concat(revocationBasepoint, perCommitmentPoint)),
    perCommitment: crypto.sha256(concat(perCommitmentPoint, revocationBasepoint)),
  };
}
