/** BOLT 11 invoices of a device: none is kept. The payment secret says what was asked for, and the preimage follows from it by a key of the node's. */
import { openFinal } from "../../core/payments/instructions.ts";
import { type InvoiceNetwork, utf8 } from "../../core/payments/invoice/invoice.ts";
import { hopBytes } from "../../core/payments/invoice/route.ts";
import { signInvoice } from "../../core/payments/invoice/sign-invoice.ts";
import { numberGroups, taggedGroups } from "../../core/payments/invoice/tagged-fields.ts";
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import type { NodeSigner } from "../../core/ports/signer.ts";
import { toGroups } from "../../core/primitives/bech32.ts";
import {
  type MilliSatoshi,
  milliSatoshi,
  type PaymentHash,
  type Preimage,
  type PublicKey,
  paymentHash,
  preimage,
} from "../../core/primitives/brands.ts";
import { ascii, concat, concatAll, equal } from "../../core/primitives/bytes.ts";

/** Whose invoices they are, and where they lead. */
export interface InvoicePlace {
  readonly network: InvoiceNetwork;
  readonly signer: Pick<NodeSigner, "nodeId" | "ecdh" | "sign">;
  /** The way to the device that its invoices name. */
  readonly gatewayId: PublicKey;
  /** Time of the newest block, for a device without a clock. */
  chainSeconds(): number;
}

export interface DeviceInvoicesParts extends InvoicePlace {
  readonly crypto: Crypto;
  readonly entropy: Entropy;
  height(): number;
  /** Wall clock; undefined where there is none. */
  nowSeconds(): number | undefined;
}

/** What an invoice asks for. */
export interface InvoiceTerms {
  readonly amountMsat: MilliSatoshi;
  readonly product?: number | undefined;
  readonly description: string;
  readonly descriptionHash?: Uint8Array | undefined;
}

/** What the payment secret of one of our invoices says. */
export interface SoldTerms {
  readonly product: number | undefined;
  readonly amountMsat: MilliSatoshi;
  readonly preimage: Preimage;
  readonly isExpired: boolean;
}

/** An invoice holds so long. */
const EXPIRY_SECONDS = 600;
/**
 * Without a wall clock the device judges by blocks alone: so many, three hours' on average. With one that too, as it may
 * jump. Payers judge by the text.
 */
const EXPIRY_BLOCKS = 18;
/** A clock may be so wrong. */
const GRACE_SECONDS = 120;
/** The newest block may be so old: in the text of a device without a clock. */
const BLOCK_AGE_SECONDS = 2 * 3_600;
/** Blocks for which the payer's money may be bound at the device. */
export const FINAL_CLTV_DELTA = 40;
/** What gateways usually ask for; one that asks for something else says so, and is paid that. */
const USUAL_TERMS = { feeBaseMsat: 1_000, feeProportionalMillionths: 100, cltvExpiryDelta: 80 };
/** BOLT 11's types of them. */
const FIELD = {
  paymentHash: 1,
  route: 3,
  features: 5,
  expiry: 6,
  description: 13,
  paymentSecret: 16,
  descriptionHash: 23,
  finalCltvDelta: 24,
} as const;
/** BOLT 9: var_onion_optin and payment_secret, both required. */
const FEATURE_GROUPS = [16, 8, 0] as const;
const NO_PRODUCT = 0xffff;
const RANDOM_BYTES = 16;
const SECRET_BYTES = 32;

export class DeviceInvoices {
  private key: Uint8Array | undefined;

  constructor(private readonly parts: DeviceInvoicesParts) {}

  /** The text of a new one. */
  make(terms: InvoiceTerms): string {
    const { crypto, network, signer, gatewayId } = this.parts;
    const { amountMsat, description, descriptionHash } = terms;
    const now = this.parts.nowSeconds();
    const secret = this.secretOf(terms, now);
    const hop = { ...USUAL_TERMS, nodeId: gatewayId, shortChannelId: new Uint8Array(8) };
    const expiry = now === undefined ? EXPIRY_SECONDS + BLOCK_AGE_SECONDS : EXPIRY_SECONDS;
    const fields = concatAll([
      taggedGroups(FIELD.paymentSecret, toGroups(secret)),
      taggedGroups(FIELD.paymentHash, toGroups(this.hashOf(this.preimageOf(secret)))),
      descriptionHash
        ? taggedGroups(FIELD.descriptionHash, toGroups(descriptionHash))
        : taggedGroups(FIELD.description, toGroups(utf8(description))),
      taggedGroups(FIELD.expiry, numberGroups(expiry)),
      taggedGroups(FIELD.finalCltvDelta, numberGroups(FINAL_CLTV_DELTA)),
      taggedGroups(FIELD.route, toGroups(hopBytes(hop))),
      taggedGroups(FIELD.features, Uint8Array.from(FEATURE_GROUPS)),
    ]);
    const timestamp = now ?? this.parts.chainSeconds();
    return signInvoice(crypto, signer, { network, amountMsat, timestamp, fields });
  }

  /** The secret in what a payer sealed for us beside this hash; undefined where no invoice of ours has both. */
  open(onion: Uint8Array, hash: PaymentHash) {
    const { crypto, signer } = this.parts;
    const opened = openFinal(crypto, signer, onion, hash);
    if (!opened) return undefined;
    const isOurs = equal(this.hashOf(this.preimageOf(opened.paymentSecret)), hash);
    return isOurs ? opened : undefined;
  }

  /** `secret` is one that `open` gave. */
  terms(secret: Uint8Array): SoldTerms {
    const view = new DataView(secret.buffer, secret.byteOffset, SECRET_BYTES);
    const product = view.getUint16(16);
    const madeAt = view.getUint32(28);
    const now = this.parts.nowSeconds();
    const isLate = madeAt > 0 && now !== undefined && now > madeAt + EXPIRY_SECONDS + GRACE_SECONDS;
    return {
      product: product === NO_PRODUCT ? undefined : product,
      amountMsat: milliSatoshi(view.getUint16(18) * 2 ** 32 + view.getUint32(20)),
      preimage: this.preimageOf(secret),
      isExpired: isLate || this.parts.height() > view.getUint32(24) + EXPIRY_BLOCKS,
    };
  }

  /** 16 random bytes; product u16, amount u48 in millisatoshi, height u32, wall clock u32 (0: none). */
  private secretOf({ product, amountMsat }: InvoiceTerms, now: number | undefined): Uint8Array {
    const secret = concat(this.parts.entropy.random(RANDOM_BYTES), new Uint8Array(16));
    const view = new DataView(secret.buffer);
    view.setUint16(16, product ?? NO_PRODUCT);
    view.setUint16(18, Math.floor(amountMsat / 2 ** 32));
    view.setUint32(20, amountMsat % 2 ** 32);
    view.setUint32(24, this.parts.height());
    view.setUint32(28, now ?? 0);
    return secret;
  }

  private preimageOf(secret: Uint8Array): Preimage {
    const { crypto, signer } = this.parts;
    this.key ??= crypto.hmacSha256(ascii("picobolt invoice"), signer.ecdh(signer.nodeId));
    return preimage(crypto.hmacSha256(this.key, secret));
  }

  private hashOf(secret: Preimage): PaymentHash {
    return paymentHash(this.parts.crypto.sha256(secret));
  }
}
