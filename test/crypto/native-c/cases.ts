/** Calls of the Crypto port with what has gone wrong elsewhere and with seeded random inputs, and what noble answers. */
import { secp256k1 } from "@noble/curves/secp256k1.js";
import type { PublicKey, SecretKey, Signature } from "../../../core/primitives/brands.ts";
import { concat, fromHex, toHex } from "../../../core/primitives/bytes.ts";
import { callCrypto } from "../../../host-sim/xs/crypto-calls.ts";
import { noble } from "../../support/crypto-providers.ts";

export interface Case {
  readonly method: string;
  readonly parameters: readonly Uint8Array[];
  /** As `outcomeOf` writes it. */
  readonly expected: string;
}

/** Bytes in hex, "true" as "01", "undefined", or "throws". */
export function outcomeOf(call: () => readonly Uint8Array[]): string {
  try {
    const [bytes] = call();
    return bytes === undefined ? "undefined" : toHex(bytes);
  } catch (error) {
    return `throws ${(error as Error).name}`;
  }
}

const N = secp256k1.Point.CURVE().n;
const P = secp256k1.Point.CURVE().p;
const CORNERS: readonly Uint8Array[] = [
  ...[0n, 1n, 2n, (N - 1n) / 2n, (N + 1n) / 2n, N - 2n, N - 1n, N, N + 1n],
  ...[P - N - 1n, P - N, P - 1n, P, 2n ** 128n, 2n ** 255n, 2n ** 256n - 1n],
].map(bytes32);
const LENGTHS = [...Array(200).keys(), 255, 256, 257, 511, 512, 513, 4095, 4096, 4097, 65_535];

/** `rounds` sets of random inputs on top of the corners. */
export function cryptoCases(seed: number, rounds: number): readonly Case[] {
  const cases: Case[] = [];
  const random = randomBytes(seed);
  const add = (method: string, ...parameters: readonly Uint8Array[]) => {
    const expected = outcomeOf(() => callCrypto(noble, method, parameters));
    cases.push({ method, parameters, expected });
  };
  addHashes(add, random);
  addCiphers(add, random);
  addCorners(add, random(32) as SecretKey);
  addSignatures(add, random);
  for (let i = 0; i < rounds; i++) addRandom(add, random);
  return cases;
}

type Add = (method: string, ...parameters: readonly Uint8Array[]) => void;
type Random = (length: number) => Uint8Array;

function addHashes(add: Add, random: Random): void {
  for (const length of LENGTHS) {
    const data = random(length);
    for (const method of ["sha256", "ripemd160"]) add(method, data);
    for (const method of ["hmacSha256", "hmacSha512"]) {
      add(method, random(32), data);
      if (length < 600) add(method, data, random(40));
    }
  }
}

function addCiphers(add: Add, random: Random): void {
  for (const length of LENGTHS) {
    const parts = [random(32), random(12), random(length % 37)] as const;
    const text = random(length);
    add("encrypt", ...parts, text);
    const sealed = noble.encrypt(...parts, text);
    add("decrypt", ...parts, sealed);
    add("decrypt", ...parts, changed(sealed, length));
    add("decrypt", ...parts, sealed.subarray(1));
    add("decrypt", parts[0], parts[1], random(3), sealed);
  }
  // Poly1305 where its sum is next to the prime or its key extreme: all limbs full.
  const full = new Uint8Array(4096).fill(0xff);
  for (const fill of [0, 0xff]) {
    const key = new Uint8Array(32).fill(fill);
    for (const length of [16, 17, 48, 4096]) {
      add("encrypt", key, full.subarray(0, 12), full.subarray(0, 33), full.subarray(0, length));
    }
  }
  add("decrypt", random(32), random(12), random(0), random(15));
  add("decrypt", random(32), random(12), random(0), random(0));
}

function addCorners(add: Add, secret: SecretKey): void {
  const point = noble.publicKeyOf(secret);
  for (const scalar of CORNERS) {
    add("isSecretKey", scalar);
    add("publicKeyOf", scalar);
    add("sign", scalar, secret);
    add("sign", secret, scalar);
    add("ecdh", scalar, point);
    add("isPublicKey", concat(Uint8Array.of(2), scalar));
    add("publicKeyTweakAdd", point, scalar);
    add("publicKeyTweakMultiply", point, scalar);
    for (const other of CORNERS) {
      add("secretKeyTweakAdd", scalar, other);
      add("secretKeyTweakMultiply", scalar, other);
      add("verify", concat(scalar, other), secret, point);
    }
  }
  const negative = negated(point);
  for (const bad of [...malformed(point), point, negative]) {
    add("isPublicKey", bad);
    add("publicKeyAdd", point, bad);
    add("publicKeyAdd", bad, point);
    add("publicKeyTweakAdd", bad, secret);
    add("publicKeyTweakMultiply", bad, secret);
    add("ecdh", secret, bad);
    add("verify", noble.sign(secret, secret), secret, bad);
  }
  // Sums at infinity.
  const minus = bytes32(N - BigInt(`0x${toHex(secret)}`));
  add("publicKeyTweakAdd", point, minus);
  add("secretKeyTweakAdd", secret, minus);
}

/** Good signatures, their twins, and every single bit changed in one of them. */
function addSignatures(add: Add, random: Random): void {
  const secret = random(32) as SecretKey;
  const key = noble.publicKeyOf(secret);
  const hash = random(32);
  const good = noble.sign(hash, secret);
  const s = BigInt(`0x${toHex(good.subarray(32))}`);
  add("verify", good, hash, key);
  add("verify", good, hash, negated(key));
  add("verify", concat(good.subarray(0, 32), bytes32(N - s)) as Signature, hash, key);
  add("verify", concat(good.subarray(32), good.subarray(0, 32)), hash, key);
  for (let bit = 0; bit < 512; bit += 3) add("verify", changed(good, bit), hash, key);
  for (let bit = 0; bit < 256; bit += 16) add("verify", good, changed(hash, bit), key);
  for (let bit = 0; bit < 264; bit += 16) add("verify", good, hash, changed(key, bit));
}

function addRandom(add: Add, random: Random): void {
  const [secret, hash, tweak] = [random(32) as SecretKey, random(32), random(32)];
  const point = noble.publicKeyOf(random(32) as SecretKey);
  const other = noble.publicKeyOf(secret);
  add("publicKeyOf", secret);
  add("publicKeyTweakAdd", point, tweak);
  add("publicKeyTweakMultiply", point, tweak);
  add("publicKeyAdd", point, other);
  add("secretKeyTweakAdd", secret, tweak);
  add("secretKeyTweakMultiply", secret, tweak);
  add("ecdh", secret, point);
  add("isPublicKey", concat(Uint8Array.of(3), tweak));
  add("sign", hash, secret);
  add("verify", noble.sign(hash, secret), hash, other);
}

function malformed(point: PublicKey): readonly Uint8Array[] {
  const prefixes = [0, 1, 4, 5, 6, 7, 0x82, 0xff];
  return [
    ...prefixes.map((prefix) => concat(Uint8Array.of(prefix), point.subarray(1))),
    ...[0n, 5n, P, P + 1n].map((x) => concat(Uint8Array.of(2), bytes32(x))),
    point.subarray(0, 32),
    concat(point, Uint8Array.of(0)),
    new Uint8Array(33),
  ];
}

function negated(point: PublicKey): PublicKey {
  return concat(Uint8Array.of((point[0] as number) ^ 1), point.subarray(1)) as PublicKey;
}

function changed(bytes: Uint8Array, bit: number): Uint8Array {
  const out = bytes.slice();
  const at = (bit >> 3) % out.length;
  out[at] = (out[at] as number) ^ (1 << (bit & 7));
  return out;
}

function bytes32(value: bigint): Uint8Array {
  return fromHex(value.toString(16).padStart(64, "0"));
}

/** The stream of SHA-256 over a seed and a counter. */
function randomBytes(seed: number): Random {
  let counter = 0;
  return (length) => {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += 32) {
      const block = noble.sha256(fromHex(`${hex32(seed)}${hex32(counter++)}`));
      out.set(block.subarray(0, Math.min(32, length - at)), at);
    }
    return out;
  };
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, "0");
}
