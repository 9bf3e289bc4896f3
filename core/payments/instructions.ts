/** What the `onion` bytes of an HTLC say: for a gateway, where it goes on; for the destination, sealed, what it pays (docs/PROTOCOL.md). */
import { type CborLimits, decodeCbor, encodeCbor } from "../messages/cbor.ts";
import type { CborValue } from "../messages/schema.ts";
import type { Crypto, Entropy } from "../ports/crypto.ts";
import type { NodeSigner } from "../ports/signer.ts";
import {
  type BlockHeight,
  blockHeight,
  type MilliSatoshi,
  milliSatoshi,
  type PaymentHash,
  type PublicKey,
  publicKey,
  secretKey,
} from "../primitives/brands.ts";
import { ascii, concatAll, equal, wipe } from "../primitives/bytes.ts";
import { assert, demand } from "../primitives/errors.ts";

export const INSTRUCTIONS_VERSION = 1;
export const MAX_GATEWAY_HINTS = 3;
/** Below BOLT 4's 1366, whose first byte is a version 0: the two are told apart by either. */
export const MAX_INSTRUCTIONS_BYTES = 250;
export const PAYMENT_SECRET_BYTES = 32;
/** Ephemeral key, payment secret, u64 amount, tag. */
export const SEALED_BYTES = 33 + PAYMENT_SECRET_BYTES + 8 + 16;
/** Instructions for the destination alone: list, version, head of the sealed part. */
export const MAX_FINAL_BYTES = SEALED_BYTES + 4;
/** CBOR: a list of two, the version, a byte string of SEALED_BYTES. */
const FINAL_HEAD = [0x82, INSTRUCTIONS_VERSION, 0x58, SEALED_BYTES] as const;
const MAX_EXPIRY = 500_000_000;

/** The HTLC ends here: at the channel peer. */
export interface FinalInstructions {
  readonly type: "final";
  /** SEALED_BYTES that the destination alone can open; empty where the payment hash says it all. */
  readonly sealed: Uint8Array;
}

/** The HTLC goes on to another node. */
export interface ForwardInstructions {
  readonly type: "forward";
  readonly destination: PublicKey;
  /** What the destination gets; the rest is the fee. */
  readonly amountMsat: MilliSatoshi;
  /** Expiry of the HTLC that the destination gets. */
  readonly cltvExpiry: BlockHeight;
  readonly sealed: Uint8Array;
  /** Gateways that the destination has channels with, where the invoice names any. */
  readonly gateways: readonly PublicKey[];
}

/** A BOLT 4 onion: nothing here can peel it yet. */
export interface OnionInstructions {
  readonly type: "onion";
}

export type Instructions = FinalInstructions | ForwardInstructions | OnionInstructions;

/** What the payer tells the destination alone. */
export interface SealedPayment {
  readonly paymentSecret: Uint8Array;
  /** Of the whole payment, whatever parts it comes in. */
  readonly totalMsat: MilliSatoshi;
}

const LIMITS: CborLimits = { maxBytes: MAX_INSTRUCTIONS_BYTES, maxDepth: 2, maxItems: 12 };
const BOLT4_VERSION = 0;

/** @throws ProtocolViolation (`instructions`, `cbor-…`): the HTLC is to be failed, the peer broke no rule of the channel. */
export function decodeInstructions(crypto: Crypto, onion: Uint8Array): Instructions {
  if (onion.length === 0) return { type: "final", sealed: onion };
  if (onion[0] === BOLT4_VERSION) return { type: "onion" };
  const fields = decodeCbor(onion, LIMITS);
  demand(Array.isArray(fields), "instructions", "are not a list");
  const [version, sealed, ...rest] = fields as readonly CborValue[];
  demand(version === INSTRUCTIONS_VERSION, "instructions", "are of an unknown version");
  demand(isSealed(sealed), "instructions", "hold a sealed part of another size");
  if (rest.length === 0) return { type: "final", sealed };
  const [destination, amountMsat, cltvExpiry, gateways] = rest;
  const hints = gateways as CborValue;
  demand(rest.length === 4 && Array.isArray(hints), "instructions", "lack a field");
  demand(hints.length <= MAX_GATEWAY_HINTS, "instructions", "name too many gateways");
  demand(isUint(amountMsat, 1, Number.MAX_SAFE_INTEGER), "instructions", "hold no amount");
  demand(isUint(cltvExpiry, 1, MAX_EXPIRY - 1), "instructions", "hold no block height");
  return {
    type: "forward",
    destination: nodeId(crypto, destination),
    amountMsat: milliSatoshi(amountMsat),
    cltvExpiry: blockHeight(cltvExpiry),
    sealed,
    gateways: hints.map((hint) => nodeId(crypto, hint)),
  };
}

export function encodeInstructions(
  instructions: FinalInstructions | ForwardInstructions,
): Uint8Array {
  const { sealed } = instructions;
  assert(isSealed(sealed), "the sealed part has one size");
  if (instructions.type === "final") {
    return sealed.length === 0 ? sealed : encodeCbor([INSTRUCTIONS_VERSION, sealed]);
  }
  const { destination, amountMsat, cltvExpiry, gateways } = instructions;
  assert(gateways.length <= MAX_GATEWAY_HINTS, "at most three gateways");
  const fields = [INSTRUCTIONS_VERSION, sealed, destination, amountMsat, cltvExpiry, gateways];
  return encodeCbor(fields);
}

/** Only `destination` opens it, and only beside this payment hash. */
export function sealPayment(
  crypto: Crypto,
  entropy: Entropy,
  request: SealedPayment & { readonly destination: PublicKey; readonly paymentHash: PaymentHash },
): Uint8Array {
  const { destination, paymentHash, paymentSecret, totalMsat } = request;
  assert(paymentSecret.length === PAYMENT_SECRET_BYTES, "a payment secret has 32 bytes");
  const ephemeral = secretKey(entropy.random(32));
  const point = crypto.publicKeyOf(ephemeral);
  const plaintext = new Uint8Array(PAYMENT_SECRET_BYTES + 8);
  plaintext.set(paymentSecret);
  const view = new DataView(plaintext.buffer);
  view.setUint32(PAYMENT_SECRET_BYTES, Math.floor(totalMsat / 2 ** 32));
  view.setUint32(PAYMENT_SECRET_BYTES + 4, totalMsat % 2 ** 32);
  const key = sealingKey(crypto, crypto.ecdh(ephemeral, destination), point);
  // Each key serves once: the nonce may be the same.
  const box = crypto.encrypt(key, new Uint8Array(12), paymentHash, plaintext);
  for (const secret of [ephemeral, key, plaintext]) wipe(secret);
  return concatAll([point, box]);
}

/** What `openPayment` says, of the instructions of an HTLC that ends here: all that a device understands of them. */
export function openFinal(
  crypto: Crypto,
  signer: Pick<NodeSigner, "ecdh">,
  onion: Uint8Array,
  paymentHash: PaymentHash,
): SealedPayment | undefined {
  const isFinal =
    onion.length === MAX_FINAL_BYTES && equal(onion.subarray(0, 4), Uint8Array.from(FINAL_HEAD));
  return isFinal ? openPayment(crypto, signer, onion.slice(4), paymentHash) : undefined;
}

/** Undefined where it was not sealed for us, or not beside this payment hash. */
export function openPayment(
  crypto: Crypto,
  signer: Pick<NodeSigner, "ecdh">,
  sealed: Uint8Array,
  paymentHash: PaymentHash,
): SealedPayment | undefined {
  const point = sealed.slice(0, 33);
  if (sealed.length !== SEALED_BYTES || !crypto.isPublicKey(point)) return undefined;
  const key = sealingKey(crypto, signer.ecdh(publicKey(point)), point);
  const plain = crypto.decrypt(key, new Uint8Array(12), paymentHash, sealed.subarray(33));
  wipe(key);
  if (!plain) return undefined;
  const view = new DataView(plain.buffer, plain.byteOffset, plain.byteLength);
  const high = view.getUint32(PAYMENT_SECRET_BYTES);
  const totalMsat = high * 2 ** 32 + view.getUint32(PAYMENT_SECRET_BYTES + 4);
  if (!Number.isSafeInteger(totalMsat)) return undefined;
  const paymentSecret = plain.slice(0, PAYMENT_SECRET_BYTES);
  return { paymentSecret, totalMsat: milliSatoshi(totalMsat) };
}

function sealingKey(crypto: Crypto, shared: Uint8Array, point: Uint8Array): Uint8Array {
  return crypto.hmacSha256(ascii("picobolt sealed payment"), concatAll([shared, point]));
}

function isSealed(value: CborValue | undefined): value is Uint8Array {
  return value instanceof Uint8Array && (value.length === 0 || value.length === SEALED_BYTES);
}

function isUint(value: CborValue | undefined, least: number, most: number): value is number {
  return typeof value === "number" && value >= least && value <= most;
}

function nodeId(crypto: Crypto, value: CborValue | undefined): PublicKey {
  const isPoint = value instanceof Uint8Array && crypto.isPublicKey(value);
  demand(isPoint, "instructions", "name something that is no node");
  return publicKey(value);
}
