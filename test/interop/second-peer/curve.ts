/** secp256k1 as the BOLTs use it: keys, ECDH, signatures of 64 bytes with a low s. */
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { type Bytes, bigEndian, sha256, toNumber } from "./bytes.ts";

const { Point } = secp256k1;
const ORDER = Point.Fn.ORDER;

export function pointOf(secret: Bytes): Bytes {
  return secp256k1.getPublicKey(secret, true);
}

/** SHA256 of the compressed point (BOLT 8 "Handshake State"). */
export function ecdh(secret: Bytes, point: Bytes): Bytes {
  return sha256(secp256k1.getSharedSecret(secret, point, true));
}

export function sign(hash: Bytes, secret: Bytes): Bytes {
  return secp256k1.sign(hash, secret, { prehash: false, lowS: true });
}

export function verify(signature: Bytes, hash: Bytes, point: Bytes): boolean {
  return secp256k1.verify(signature, hash, point, { prehash: false, lowS: true });
}

export function addPoints(a: Bytes, b: Bytes): Bytes {
  return Point.fromBytes(a).add(Point.fromBytes(b)).toBytes(true);
}

export function multiplyPoint(point: Bytes, factor: Bytes): Bytes {
  return Point.fromBytes(point)
    .multiplyUnsafe(toNumber(factor) % ORDER)
    .toBytes(true);
}

export function addSecrets(a: Bytes, b: Bytes): Bytes {
  return bigEndian((toNumber(a) + toNumber(b)) % ORDER, 32);
}

export function multiplySecret(secret: Bytes, factor: Bytes): Bytes {
  return bigEndian((toNumber(secret) * toNumber(factor)) % ORDER, 32);
}
