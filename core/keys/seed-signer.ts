/**
 * The node's identity key and its channels' signers from one 32-byte seed (BIP 32; BOLT 3
 * basepoints).
 */
import type { Crypto } from "../ports/crypto.ts";
import type { NodeSigner } from "../ports/signer.ts";
import type { PublicKey, SecretKey, Signature } from "../primitives/brands.ts";
import { assert } from "../primitives/errors.ts";
import {
  derivePublicChild,
  deriveSecretAt,
  type ExtendedPublicKey,
  type ExtendedSecretKey,
  HARDENED,
  masterKey,
  parsePublicKey,
} from "./bip32.ts";
import { SeedChannelSigner } from "./channel-signer.ts";

export interface SeedSignerOptions {
  /** The owner's extended public key (xpub…, tpub…): payouts then go to keys that are not here. */
  readonly payoutKey?: string;
}

const SEED_BYTES = 32;
const PURPOSE = 9735 + HARDENED;
/** m/9735'/0' is the node's key, m/9735'/1'/keyIndex'/role' are the channels'. */
const NODE = 0 + HARDENED;
const CHANNELS = 1 + HARDENED;
/** The last step of a channel's paths. */
const ROLES = {
  funding: 0 + HARDENED,
  revocation: 1 + HARDENED,
  payment: 2 + HARDENED,
  delayedPayment: 3 + HARDENED,
  htlc: 4 + HARDENED,
  perCommitmentSeed: 5 + HARDENED,
} as const;
/** The owner's keys: …/0/keyIndex is payment_basepoint, …/1/keyIndex delayed_payment_basepoint. */
const PAYOUT_PAYMENT = 0;
const PAYOUT_DELAYED_PAYMENT = 1;

export class SeedSigner implements NodeSigner {
  readonly nodeId: PublicKey;
  readonly #crypto: Crypto;
  readonly #master: ExtendedSecretKey;
  readonly #nodeKey: SecretKey;
  readonly #payoutKey: ExtendedPublicKey | undefined;

  constructor(crypto: Crypto, seed: Uint8Array, { payoutKey }: SeedSignerOptions = {}) {
    assert(seed.length === SEED_BYTES, "the node's seed has 32 bytes");
    this.#crypto = crypto;
    this.#master = masterKey(crypto, seed);
    this.#nodeKey = deriveSecretAt(crypto, this.#master, [PURPOSE, NODE]);
    this.#payoutKey = payoutKey === undefined ? undefined : parsePublicKey(crypto, payoutKey).key;
    this.nodeId = crypto.publicKeyOf(this.#nodeKey);
  }

  ecdh(point: PublicKey): Uint8Array {
    return this.#crypto.ecdh(this.#nodeKey, point);
  }

  sign(hash: Uint8Array): Signature {
    return this.#crypto.sign(hash, this.#nodeKey);
  }

  /**
   * A signer that remembers nothing yet: tell it what is `stored` right after the record is loaded.
   */
  channel(keyIndex: number): SeedChannelSigner {
    const inRange = Number.isInteger(keyIndex) && keyIndex >= 0 && keyIndex < HARDENED;
    assert(inRange, "channel key index out of range");
    const secret = (role: keyof typeof ROLES) =>
      deriveSecretAt(this.#crypto, this.#master, [
        PURPOSE,
        CHANNELS,
        keyIndex + HARDENED,
        ROLES[role],
      ]);
    return new SeedChannelSigner(this.#crypto, {
      funding: secret("funding"),
      revocation: secret("revocation"),
      htlc: secret("htlc"),
      perCommitmentSeed: secret("perCommitmentSeed"),
      payout:
        this.#payoutKey === undefined
          ? { payment: secret("payment"), delayedPayment: secret("delayedPayment") }
          : this.#coldPayout(this.#payoutKey, keyIndex),
    });
  }

  #coldPayout(owner: ExtendedPublicKey, keyIndex: number) {
    const child = (branch: number) =>
      derivePublicChild(this.#crypto, derivePublicChild(this.#crypto, owner, branch), keyIndex);
    return {
      paymentBasepoint: child(PAYOUT_PAYMENT).publicKey,
      delayedPaymentBasepoint: child(PAYOUT_DELAYED_PAYMENT).publicKey,
    };
  }
}
