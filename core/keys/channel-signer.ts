/**
 * The signer of one channel: BOLT 3 keys behind rules that it checks against what is stored (DESIGN
 * §3).
 */
import type { Crypto } from "../ports/crypto.ts";
import type { ChannelSigner, ClaimKey, StoredProgress } from "../ports/signer.ts";
import type {
  CommitmentNumber,
  PerCommitmentPoint,
  PublicKey,
  SecretKey,
  Signature,
} from "../primitives/brands.ts";
import { equal } from "../primitives/bytes.ts";
import { unreachable } from "../primitives/errors.ts";
import type { Basepoints } from "../transactions/terms.ts";
import { announcementHash } from "./announcement.ts";
import {
  derivePublicKey,
  deriveRevocationPublicKey,
  deriveRevocationSecretKey,
  deriveSecretKey,
} from "./derivation.ts";
import { type RefusalTag, SignerRefusalError } from "./refusal.ts";
import { SecretGenerator } from "./shachain.ts";

export interface ChannelSecrets {
  readonly funding: SecretKey;
  readonly revocation: SecretKey;
  readonly htlc: SecretKey;
  readonly perCommitmentSeed: Uint8Array;
  /** Secrets, or for a cold payout the owner's public keys. */
  readonly payout:
    | { readonly payment: SecretKey; readonly delayedPayment: SecretKey }
    | Pick<Basepoints, "paymentBasepoint" | "delayedPaymentBasepoint">;
}

const NOTHING_STORED = -1;
const REMEMBERED_POINTS = 3;

/**
 * Made anew whenever a record is loaded, it knows nothing until it is told what is `stored`. A
 * sighash does not show what it is of, so the rules bind `signRemoteCommitment` and
 * `signLocalCommitment`; the callers of `signClosing` and `signClaim` (of role "funding", for
 * anchors) must pass nothing but closings and claims.
 */
export class SeedChannelSigner implements ChannelSigner {
  readonly basepoints: Basepoints;
  readonly coldPayout: boolean;
  readonly #crypto: Crypto;
  readonly #secrets: ChannelSecrets;
  readonly #generator: SecretGenerator;
  #localNumber = NOTHING_STORED;
  #remoteNumber = NOTHING_STORED;
  #outdated = false;
  /** The newest remote commitment that was signed since this signer was made. */
  #signedRemote: { readonly number: number; readonly sighash: Uint8Array } | undefined;
  /** The newest first: a point is told to the peer long before its commitment is verified. */
  #points: readonly { readonly number: number; readonly point: PerCommitmentPoint }[] = [];
  /** HTLC signatures of one commitment come in a row: the last derived key serves them all. */
  #htlcKey: { readonly point: PerCommitmentPoint; readonly secret: SecretKey } | undefined;

  constructor(crypto: Crypto, secrets: ChannelSecrets) {
    this.#crypto = crypto;
    this.#secrets = secrets;
    this.#generator = new SecretGenerator(crypto, secrets.perCommitmentSeed);
    this.coldPayout = !("payment" in secrets.payout);
    this.basepoints = basepointsOf(crypto, secrets);
  }

  perCommitmentPoint(number: CommitmentNumber): PerCommitmentPoint {
    const known = this.#points.find((one) => one.number === number);
    if (known !== undefined) return known.point;
    const point = this.#crypto.publicKeyOf(this.#generator.secret(number));
    this.#points = [{ number, point }, ...this.#points.slice(0, REMEMBERED_POINTS - 1)];
    return point;
  }

  stored(progress: StoredProgress): void {
    this.#localNumber = Math.max(this.#localNumber, progress.localNumber);
    this.#remoteNumber = Math.max(this.#remoteNumber, progress.remoteNumber);
    this.#outdated ||= progress.outdated;
  }

  revokeLocal(number: CommitmentNumber): SecretKey {
    allow(
      number < this.#localNumber,
      "secret-after-successor-stored",
      `the secret of commitment ${number} stays here until a later commitment is stored`,
    );
    return this.#generator.secret(number);
  }

  signRemoteCommitment(number: CommitmentNumber, sighash: Uint8Array): Signature {
    const newest = Math.max(this.#remoteNumber, this.#signedRemote?.number ?? NOTHING_STORED);
    const same =
      this.#signedRemote?.number !== number || equal(this.#signedRemote.sighash, sighash);
    allow(
      number >= newest && same,
      "no-conflicting-signature",
      `another remote commitment was signed under number ${number} or later`,
    );
    this.#signedRemote = { number, sighash: sighash.slice() };
    return this.#crypto.sign(sighash, this.#secrets.funding);
  }

  signRemoteHtlc(perCommitmentPoint: PerCommitmentPoint, sighash: Uint8Array): Signature {
    return this.#crypto.sign(sighash, this.#htlcSecret(perCommitmentPoint));
  }

  signLocalCommitment(number: CommitmentNumber, sighash: Uint8Array): Signature {
    allow(
      !this.#outdated,
      "never-broadcast-revoked",
      "the record is outdated: only the peer may broadcast",
    );
    allow(
      this.#localNumber !== NOTHING_STORED && number >= this.#localNumber,
      "never-broadcast-revoked",
      `commitment ${number} is not the newest that is stored`,
    );
    return this.#crypto.sign(sighash, this.#secrets.funding);
  }

  signClosing(sighash: Uint8Array): Signature {
    return this.#crypto.sign(sighash, this.#secrets.funding);
  }

  signAnnouncement(statement: Uint8Array): Signature {
    return this.#crypto.sign(announcementHash(this.#crypto, statement), this.#secrets.funding);
  }

  signClaim(key: ClaimKey, sighash: Uint8Array): Signature {
    return this.#crypto.sign(sighash, this.#claimSecret(key));
  }

  claimPublicKey(key: ClaimKey): PublicKey {
    const { basepoints } = this;
    switch (key.role) {
      case "funding":
        return basepoints.fundingPubkey;
      case "payment":
        return basepoints.paymentBasepoint;
      case "delayed":
        return this.#derive(basepoints.delayedPaymentBasepoint, key.perCommitmentPoint);
      case "htlc":
        return this.#derive(basepoints.htlcBasepoint, key.perCommitmentPoint);
      case "revocation":
        return deriveRevocationPublicKey(
          this.#crypto,
          basepoints.revocationBasepoint,
          this.#crypto.publicKeyOf(key.perCommitmentSecret),
        );
      default:
        return unreachable(key);
    }
  }

  #claimSecret(key: ClaimKey): SecretKey {
    switch (key.role) {
      case "funding":
        return this.#secrets.funding;
      case "htlc":
        return this.#htlcSecret(key.perCommitmentPoint);
      case "revocation":
        return deriveRevocationSecretKey(
          this.#crypto,
          this.#secrets.revocation,
          key.perCommitmentSecret,
        );
      case "payment":
        return this.#payout(key.role).payment;
      case "delayed":
        return deriveSecretKey(
          this.#crypto,
          this.#payout(key.role).delayedPayment,
          this.basepoints.delayedPaymentBasepoint,
          key.perCommitmentPoint,
        );
      default:
        return unreachable(key);
    }
  }

  #payout(role: string) {
    const { payout } = this.#secrets;
    if ("payment" in payout) return payout;
    throw new SignerRefusalError("cold-payout", `the ${role} key is in the owner's wallet`);
  }

  #htlcSecret(point: PerCommitmentPoint): SecretKey {
    if (this.#htlcKey === undefined || !equal(this.#htlcKey.point, point)) {
      const { htlcBasepoint } = this.basepoints;
      const secret = deriveSecretKey(this.#crypto, this.#secrets.htlc, htlcBasepoint, point);
      this.#htlcKey = { point: point.slice() as PerCommitmentPoint, secret };
    }
    return this.#htlcKey.secret;
  }

  #derive(basepoint: PublicKey, perCommitmentPoint: PerCommitmentPoint): PublicKey {
    return derivePublicKey(this.#crypto, basepoint, perCommitmentPoint);
  }
}

function basepointsOf(crypto: Crypto, secrets: ChannelSecrets): Basepoints {
  const { payout } = secrets;
  const cold = !("payment" in payout);
  return {
    fundingPubkey: crypto.publicKeyOf(secrets.funding),
    revocationBasepoint: crypto.publicKeyOf(secrets.revocation),
    paymentBasepoint: cold ? payout.paymentBasepoint : crypto.publicKeyOf(payout.payment),
    delayedPaymentBasepoint: cold
      ? payout.delayedPaymentBasepoint
      : crypto.publicKeyOf(payout.delayedPayment),
    htlcBasepoint: crypto.publicKeyOf(secrets.htlc),
  };
}

function allow(condition: boolean, tag: RefusalTag, message: string): void {
  if (!condition) throw new SignerRefusalError(tag, message);
}
