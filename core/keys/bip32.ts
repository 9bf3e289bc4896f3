/** Hierarchical deterministic keys and their text form (BIP 32). */
import type { Crypto } from "../ports/crypto.ts";
import { type PublicKey, publicKey, type SecretKey, secretKey } from "../primitives/brands.ts";
import { ascii, concat, isZero, wipe } from "../primitives/bytes.ts";
import { assert, demand } from "../primitives/errors.ts";
import { decodeBase58Check, encodeBase58Check } from "./base58.ts";

/** Added to an index, it makes the child hardened. */
export const HARDENED = 0x80000000;

export type KeyNetwork = "mainnet" | "testnet";

/** Place of an extended key in its tree, as its text form carries it. */
export interface KeyOrigin {
  readonly depth: number;
  /** 4 bytes; zeros for the master key. */
  readonly parentFingerprint: Uint8Array;
  readonly childNumber: number;
}

export interface ExtendedPublicKey extends KeyOrigin {
  readonly publicKey: PublicKey;
  readonly chainCode: Uint8Array;
}

/** Shows neither secret nor chain code in JSON or logs. */
export class ExtendedSecretKey implements KeyOrigin {
  readonly #secretKey: SecretKey;
  readonly #chainCode: Uint8Array;
  readonly depth: number;
  readonly parentFingerprint: Uint8Array;
  readonly childNumber: number;

  constructor(origin: KeyOrigin, secret: SecretKey, chainCode: Uint8Array) {
    this.depth = origin.depth;
    this.parentFingerprint = origin.parentFingerprint;
    this.childNumber = origin.childNumber;
    this.#secretKey = secret;
    this.#chainCode = chainCode;
  }

  get secretKey(): SecretKey {
    return this.#secretKey;
  }

  get chainCode(): Uint8Array {
    return this.#chainCode;
  }
}

const MASTER: KeyOrigin = { depth: 0, parentFingerprint: new Uint8Array(4), childNumber: 0 };
const MAX_DEPTH = 255;
const TAG = "extended-key";
const VERSIONS = {
  mainnet: { public: 0x0488b21e, secret: 0x0488ade4 },
  testnet: { public: 0x043587cf, secret: 0x04358394 },
} as const;

/** From a seed of 16 to 64 bytes. */
export function masterKey(crypto: Crypto, seed: Uint8Array): ExtendedSecretKey {
  assert(seed.length >= 16 && seed.length <= 64, "a BIP 32 seed has 16 to 64 bytes");
  const { left, right } = halves(crypto.hmacSha512(ascii("Bitcoin seed"), seed));
  assert(crypto.isSecretKey(left), "this seed gives no master key");
  return new ExtendedSecretKey(MASTER, secretKey(left), right);
}

/** Child of a secret key, hardened where `index` >= HARDENED. */
export function deriveChild(
  crypto: Crypto,
  parent: ExtendedSecretKey,
  index: number,
): ExtendedSecretKey {
  checkStep(parent, index);
  const parentKey = crypto.publicKeyOf(parent.secretKey);
  const secret = childSecret(crypto, parent, index, () => parentKey);
  const origin = childOrigin(crypto, parent, parentKey, index);
  return new ExtendedSecretKey(origin, secret.secretKey, secret.chainCode);
}

/** Child of a public key; `index` is not hardened. */
export function derivePublicChild(
  crypto: Crypto,
  parent: ExtendedPublicKey,
  index: number,
): ExtendedPublicKey {
  checkStep(parent, index);
  assert(index < HARDENED, "a public key has no hardened children");
  const data = concat(parent.publicKey, bigEndian(index));
  const { left, right } = halves(crypto.hmacSha512(parent.chainCode, data));
  return {
    publicKey: crypto.publicKeyTweakAdd(parent.publicKey, left),
    chainCode: right,
    ...childOrigin(crypto, parent, parent.publicKey, index),
  };
}

export function toExtendedPublicKey(crypto: Crypto, key: ExtendedSecretKey): ExtendedPublicKey {
  const { depth, parentFingerprint, childNumber, chainCode } = key;
  const point = crypto.publicKeyOf(key.secretKey);
  return { publicKey: point, chainCode, depth, parentFingerprint, childNumber };
}

/** "m/0'/1" or "0h/1" as indices; throws ProtocolViolation("extended-key") for anything else. */
export function parsePath(path: string): readonly number[] {
  const steps = path.split("/");
  if (steps[0] === "m") steps.shift();
  demand(steps.length <= MAX_DEPTH, TAG, "the path is too deep");
  return steps.map((step) => {
    const [, digits, mark] = /^(0|[1-9][0-9]{0,9})(['hH]?)$/.exec(step) ?? [];
    const index = Number(digits);
    demand(index < HARDENED, TAG, "the path has a step that is no index below 2^31");
    return mark === "" ? index : index + HARDENED;
  });
}

export function derivePath(
  crypto: Crypto,
  key: ExtendedSecretKey,
  path: readonly number[],
): ExtendedSecretKey {
  return path.reduce((parent, index) => deriveChild(crypto, parent, index), key);
}

/** Only the secret at the end of a path: no point operations on hardened steps. */
export function deriveSecretAt(
  crypto: Crypto,
  key: ExtendedSecretKey,
  path: readonly number[],
): SecretKey {
  let node: SecretNode = key;
  for (const index of path) {
    const { secretKey: secret } = node;
    node = childSecret(crypto, node, index, () => crypto.publicKeyOf(secret));
  }
  return node.secretKey;
}

/** xpub…, tpub… */
export function formatPublicKey(
  crypto: Crypto,
  key: ExtendedPublicKey,
  network: KeyNetwork = "mainnet",
): string {
  return format(crypto, VERSIONS[network].public, key, key.chainCode, key.publicKey);
}

/** xprv…, tprv… */
export function formatSecretKey(
  crypto: Crypto,
  key: ExtendedSecretKey,
  network: KeyNetwork = "mainnet",
): string {
  const data = concat(Uint8Array.of(0), key.secretKey);
  return format(crypto, VERSIONS[network].secret, key, key.chainCode, data);
}

/** Throws ProtocolViolation("extended-key") where the text is no xpub or tpub. */
export function parsePublicKey(
  crypto: Crypto,
  text: string,
): { readonly key: ExtendedPublicKey; readonly network: KeyNetwork } {
  const { version, origin, chainCode, data } = parse(crypto, text);
  const network = networkOf(version, "public");
  demand(crypto.isPublicKey(data), TAG, "the public key is not on the curve");
  return { key: { publicKey: publicKey(data), chainCode, ...origin }, network };
}

/** Throws ProtocolViolation("extended-key") where the text is no xprv or tprv. */
export function parseSecretKey(
  crypto: Crypto,
  text: string,
): { readonly key: ExtendedSecretKey; readonly network: KeyNetwork } {
  const { version, origin, chainCode, data } = parse(crypto, text);
  const network = networkOf(version, "secret");
  const secret = data.slice(1);
  demand(data[0] === 0 && crypto.isSecretKey(secret), TAG, "the secret key is out of range");
  return { key: new ExtendedSecretKey(origin, secretKey(secret), chainCode), network };
}

interface SecretNode {
  readonly secretKey: SecretKey;
  readonly chainCode: Uint8Array;
}

function childSecret(
  crypto: Crypto,
  parent: SecretNode,
  index: number,
  parentKey: () => PublicKey,
): SecretNode {
  const data =
    index >= HARDENED
      ? concat(Uint8Array.of(0), parent.secretKey, bigEndian(index))
      : concat(parentKey(), bigEndian(index));
  const { left, right } = halves(crypto.hmacSha512(parent.chainCode, data));
  const child = crypto.secretKeyTweakAdd(parent.secretKey, left);
  wipe(data);
  wipe(left);
  return { secretKey: child, chainCode: right };
}

function childOrigin(
  crypto: Crypto,
  parent: KeyOrigin,
  parentKey: PublicKey,
  index: number,
): KeyOrigin {
  return {
    depth: parent.depth + 1,
    parentFingerprint: crypto.ripemd160(crypto.sha256(parentKey)).slice(0, 4),
    childNumber: index,
  };
}

function checkStep(parent: KeyOrigin, index: number): void {
  assert(Number.isInteger(index) && index >= 0 && index < 2 ** 32, "child index out of range");
  assert(parent.depth < MAX_DEPTH, "the key tree is too deep");
}

function halves(bytes: Uint8Array): { readonly left: Uint8Array; readonly right: Uint8Array } {
  const parts = { left: bytes.slice(0, 32), right: bytes.slice(32) };
  wipe(bytes);
  return parts;
}

function format(
  crypto: Crypto,
  version: number,
  { depth, parentFingerprint, childNumber }: KeyOrigin,
  chainCode: Uint8Array,
  data: Uint8Array,
): string {
  const place = concat(Uint8Array.of(depth), parentFingerprint, bigEndian(childNumber));
  const payload = concat(bigEndian(version), place, chainCode, data);
  return encodeBase58Check(crypto, payload);
}

function parse(crypto: Crypto, text: string) {
  const bytes = decodeBase58Check(crypto, text);
  demand(bytes !== undefined, TAG, "it is not Base58Check: look for a typing mistake");
  demand(bytes.length === 78, TAG, "it has the wrong length for an extended key");
  const origin: KeyOrigin = {
    depth: bytes[4] as number,
    parentFingerprint: bytes.slice(5, 9),
    childNumber: readBigEndian(bytes, 9),
  };
  const atRoot = isZero(origin.parentFingerprint) && origin.childNumber === 0;
  demand(origin.depth > 0 || atRoot, TAG, "a master key cannot have a parent");
  return {
    version: readBigEndian(bytes, 0),
    origin,
    chainCode: bytes.slice(13, 45),
    data: bytes.slice(45),
  };
}

function networkOf(version: number, kind: "public" | "secret"): KeyNetwork {
  if (version === VERSIONS.mainnet[kind]) return "mainnet";
  demand(version === VERSIONS.testnet[kind], TAG, `it is not an extended ${kind} key`);
  return "testnet";
}

function bigEndian(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

function readBigEndian(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let i = 0; i < 4; i++) value = value * 256 + (bytes[at + i] as number);
  return value;
}
