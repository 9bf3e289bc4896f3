/** The authenticated handshake Noise_XK_secp256k1_ChaChaPoly_SHA256 as pure steps (BOLT 8 "Handshake Exchange"). */
import type { Crypto } from "../ports/crypto.ts";
import type { NodeSigner } from "../ports/signer.ts";
import { type PublicKey, publicKey, type SecretKey } from "../primitives/brands.ts";
import { ascii, concat } from "../primitives/bytes.ts";
import { demand } from "../primitives/errors.ts";
import { type DirectionKeys, TAG_BYTES } from "./cipher.ts";
import { hkdf } from "./hkdf.ts";

export const ACT_ONE_BYTES = 50;
export const ACT_TWO_BYTES = 50;
export const ACT_THREE_BYTES = 66;

/** The node's own static key, and the operations that the handshake needs. */
export interface HandshakeContext {
  readonly crypto: Crypto;
  readonly identity: Pick<NodeSigner, "nodeId" | "ecdh">;
  /** What both sides must agree on; BOLT 8's own where it is left away. */
  readonly prologue?: string;
}

export interface TransportKeys {
  readonly sending: DirectionKeys;
  readonly receiving: DirectionKeys;
}

/** What both sides carry from act to act; never changed in place. */
interface Transcript {
  readonly hash: Uint8Array;
  readonly chainingKey: Uint8Array;
}

export interface InitiatorState {
  readonly transcript: Transcript;
  readonly ephemeral: SecretKey;
}

export interface ResponderState {
  readonly transcript: Transcript;
  readonly ephemeral: SecretKey;
  /** `temp_k2` of BOLT 8. */
  readonly key: Uint8Array;
}

const PROTOCOL = "Noise_XK_secp256k1_ChaChaPoly_SHA256";
const BOLT8_PROLOGUE = "lightning";
const NONE = new Uint8Array(0);
const VERSION = Uint8Array.of(0);
const KEY_BYTES = 33;

/** `ephemeral` is fresh for each handshake. */
export function startHandshake(
  context: HandshakeContext,
  remoteNodeId: PublicKey,
  ephemeral: SecretKey,
): { readonly state: InitiatorState; readonly actOne: Uint8Array } {
  const { crypto } = context;
  const start = begin(context, remoteNodeId);
  const shared = crypto.ecdh(ephemeral, remoteNodeId);
  const { transcript, act } = sendKey(crypto, start, ephemeral, shared);
  return { state: { transcript, ephemeral }, actOne: act };
}

/** @throws ProtocolViolation `act1-…` */
export function answerHandshake(
  context: HandshakeContext,
  actOne: Uint8Array,
  ephemeral: SecretKey,
): { readonly state: ResponderState; readonly actTwo: Uint8Array } {
  const { crypto, identity } = context;
  const start = begin(context, identity.nodeId);
  const received = receiveKey(crypto, start, actOne, "act1", (key) => identity.ecdh(key));
  const shared = crypto.ecdh(ephemeral, received.remoteEphemeral);
  const { transcript, key, act } = sendKey(crypto, received.transcript, ephemeral, shared);
  return { state: { transcript, ephemeral, key }, actTwo: act };
}

/** Act two proves that the responder holds the key that was asked for. @throws ProtocolViolation `act2-…` */
export function finishHandshake(
  context: HandshakeContext,
  state: InitiatorState,
  actTwo: Uint8Array,
): { readonly keys: TransportKeys; readonly actThree: Uint8Array } {
  const { crypto, identity } = context;
  const received = receiveKey(crypto, state.transcript, actTwo, "act2", (key) =>
    crypto.ecdh(state.ephemeral, key),
  );
  const { hash } = received.transcript;
  const sealed = crypto.encrypt(received.key, nonce(1), hash, identity.nodeId);
  const afterKey = mix(crypto, hash, sealed);
  const shared = identity.ecdh(received.remoteEphemeral);
  const [chainingKey, key] = hkdf(crypto, received.transcript.chainingKey, shared);
  const tag = crypto.encrypt(key, nonce(0), afterKey, NONE);
  const [sending, receiving] = split(crypto, chainingKey);
  return { keys: { sending, receiving }, actThree: concat(VERSION, sealed, tag) };
}

/** Act three proves who the initiator is. @throws ProtocolViolation `act3-…` */
export function acceptHandshake(
  context: HandshakeContext,
  state: ResponderState,
  actThree: Uint8Array,
): { readonly keys: TransportKeys; readonly remoteNodeId: PublicKey } {
  const { crypto } = context;
  demand(actThree.length === ACT_THREE_BYTES, "act3-read-failed", "must have 66 bytes");
  demand(actThree[0] === 0, "act3-bad-version", `version ${actThree[0]} is not known`);
  const { hash } = state.transcript;
  const sealed = actThree.subarray(1, 1 + KEY_BYTES + TAG_BYTES);
  const remote = crypto.decrypt(state.key, nonce(1), hash, sealed);
  demand(remote !== undefined, "act3-bad-ciphertext", "the sealed node id is not authentic");
  demand(crypto.isPublicKey(remote), "act3-bad-pubkey", "the node id is no point on the curve");
  const remoteNodeId = publicKey(remote);
  const afterKey = mix(crypto, hash, sealed);
  const shared = crypto.ecdh(state.ephemeral, remoteNodeId);
  const [chainingKey, key] = hkdf(crypto, state.transcript.chainingKey, shared);
  const tag = actThree.subarray(1 + KEY_BYTES + TAG_BYTES);
  const authentic = crypto.decrypt(key, nonce(0), afterKey, tag) !== undefined;
  demand(authentic, "act3-bad-tag", "the initiator does not hold the key of its node id");
  const [receiving, sending] = split(crypto, chainingKey);
  return { keys: { sending, receiving }, remoteNodeId };
}

function begin({ crypto, prologue }: HandshakeContext, responder: PublicKey): Transcript {
  const chainingKey = crypto.sha256(ascii(PROTOCOL));
  const hash = mix(crypto, mix(crypto, chainingKey, ascii(prologue ?? BOLT8_PROLOGUE)), responder);
  return { hash, chainingKey };
}

/** The half that acts one and two share: an ephemeral key, a shared secret, a tag over all so far. */
function sendKey(
  crypto: Crypto,
  before: Transcript,
  ephemeral: SecretKey,
  shared: Uint8Array,
): { readonly transcript: Transcript; readonly key: Uint8Array; readonly act: Uint8Array } {
  const point = crypto.publicKeyOf(ephemeral);
  const hash = mix(crypto, before.hash, point);
  const [chainingKey, key] = hkdf(crypto, before.chainingKey, shared);
  const tag = crypto.encrypt(key, nonce(0), hash, NONE);
  const transcript = { hash: mix(crypto, hash, tag), chainingKey };
  return { transcript, key, act: concat(VERSION, point, tag) };
}

function receiveKey(
  crypto: Crypto,
  before: Transcript,
  act: Uint8Array,
  name: "act1" | "act2",
  ecdh: (key: PublicKey) => Uint8Array,
): {
  readonly transcript: Transcript;
  readonly key: Uint8Array;
  readonly remoteEphemeral: PublicKey;
} {
  demand(act.length === ACT_ONE_BYTES, `${name}-read-failed`, "must have 50 bytes");
  demand(act[0] === 0, `${name}-bad-version`, `version ${act[0]} is not known`);
  const point = act.slice(1, 1 + KEY_BYTES);
  demand(crypto.isPublicKey(point), `${name}-bad-pubkey`, "the key is no point on the curve");
  const remoteEphemeral = publicKey(point);
  const hash = mix(crypto, before.hash, point);
  const [chainingKey, key] = hkdf(crypto, before.chainingKey, ecdh(remoteEphemeral));
  const tag = act.subarray(1 + KEY_BYTES);
  const authentic = crypto.decrypt(key, nonce(0), hash, tag) !== undefined;
  demand(authentic, `${name}-bad-tag`, "made for another key, or changed on its way");
  return { transcript: { hash: mix(crypto, hash, tag), chainingKey }, key, remoteEphemeral };
}

/** First the initiator's sending key, then the responder's. */
function split(crypto: Crypto, chainingKey: Uint8Array): readonly [DirectionKeys, DirectionKeys] {
  const [first, second] = hkdf(crypto, chainingKey, NONE);
  return [
    { key: first, chainingKey },
    { key: second, chainingKey },
  ];
}

function mix(crypto: Crypto, hash: Uint8Array, data: Uint8Array): Uint8Array {
  return crypto.sha256(concat(hash, data));
}

function nonce(number: 0 | 1): Uint8Array {
  const out = new Uint8Array(12);
  out[4] = number;
  return out;
}
