/**
 * Certificates of our own authority (RFC 5280, ECDSA P-256 of RFC 5480): DER is written here, keys and signatures
 * are OpenSSL's. Nothing is parsed here.
 */
import {
  createECDH,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";
import { isIP } from "node:net";
import { concatAll } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";

export interface CertificateOrder {
  /** The common name. */
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly issuer: { readonly name: string; readonly key: KeyObject };
  readonly fromMs: number;
  readonly untilMs: number;
  /** Of a server: DNS names and addresses; without it this is an authority. */
  readonly names?: readonly string[];
}

const OID = {
  commonName: "2.5.4.3",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
} as const;
const TAG = {
  boolean: 1,
  integer: 2,
  bitString: 3,
  octetString: 4,
  oid: 6,
  utf8String: 12,
  utcTime: 23,
  generalizedTime: 24,
  sequence: 48,
  set: 49,
} as const;
/** An element of its own number in its place, with or without elements inside (X.690, 8.1.2). */
const OWN = 0x80;
const OWN_CONSTRUCTED = 0xa0;
const CURVE = "prime256v1";

/** PEM. */
export function makeCertificate(order: CertificateOrder): string {
  const { issuer, publicKey } = order;
  const algorithm = sequence(oid(OID.ecdsaWithSha256));
  const body = sequence(
    der(OWN_CONSTRUCTED, integer(Uint8Array.of(2))),
    integer(serialNumber()),
    algorithm,
    distinguishedName(issuer.name),
    sequence(time(order.fromMs), time(order.untilMs)),
    distinguishedName(order.subject),
    new Uint8Array(publicKey.export({ type: "spki", format: "der" })),
    der(OWN_CONSTRUCTED | 3, sequence(...extensions(order))),
  );
  const signature = new Uint8Array(sign("sha256", body, issuer.key));
  return pem(sequence(body, algorithm, bitString(signature)));
}

export function newServerKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: CURVE }).privateKey;
}

/** The same key for the same 32 secret bytes, so that it is kept nowhere. */
export function keyFromSecret(secret: Uint8Array): KeyObject {
  // Not every 32 bytes are a key; the next try is due once in four billion secrets.
  for (let attempt = 0; ; attempt++) {
    const d = createHash("sha256").update(secret).update(Uint8Array.of(attempt)).digest();
    const pair = createECDH(CURVE);
    try {
      pair.setPrivateKey(d);
    } catch {
      continue;
    }
    const point = pair.getPublicKey();
    const part = (from: number) => point.subarray(from, from + 32).toString("base64url");
    const jwk = { kty: "EC", crv: "P-256", d: d.toString("base64url"), x: part(1), y: part(33) };
    return createPrivateKey({ key: jwk, format: "jwk" });
  }
}

function extensions({ publicKey, issuer, names }: CertificateOrder): readonly Uint8Array[] {
  const shared = [
    extension(OID.subjectKeyIdentifier, der(TAG.octetString, keyIdentifier(publicKey))),
    extension(
      OID.authorityKeyIdentifier,
      sequence(der(OWN, keyIdentifier(createPublicKey(issuer.key)))),
    ),
  ];
  if (!names) {
    return [
      // An authority for servers, not for further authorities.
      critical(
        OID.basicConstraints,
        sequence(der(TAG.boolean, Uint8Array.of(0xff)), integer(Uint8Array.of(0))),
      ),
      critical(OID.keyUsage, keyUsage([5, 6])),
      ...shared,
    ];
  }
  return [
    critical(OID.basicConstraints, sequence()),
    critical(OID.keyUsage, keyUsage([0])),
    extension(OID.extendedKeyUsage, sequence(oid(OID.serverAuth))),
    extension(OID.subjectAltName, sequence(...names.map(generalName))),
    ...shared,
  ];
}

function extension(id: string, value: Uint8Array): Uint8Array {
  return sequence(oid(id), der(TAG.octetString, value));
}

function critical(id: string, value: Uint8Array): Uint8Array {
  return sequence(oid(id), der(TAG.boolean, Uint8Array.of(0xff)), der(TAG.octetString, value));
}

/** Bits by their numbers in RFC 5280, 4.2.1.3; all below 8. */
function keyUsage(bits: readonly number[]): Uint8Array {
  const byte = bits.reduce((sum, bit) => sum | (0x80 >> bit), 0);
  return der(TAG.bitString, Uint8Array.of(7 - Math.max(...bits), byte));
}

function generalName(name: string): Uint8Array {
  if (isIP(name) !== 0) return der(OWN | 7, addressBytes(name));
  return der(OWN | 2, Buffer.from(name, "ascii"));
}

function addressBytes(address: string): Uint8Array {
  if (isIP(address) === 4) return Uint8Array.from(address.split("."), Number);
  const plain = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [left = "", right] = plain.split("::");
  const words = (text: string) =>
    text ? text.split(":").map((word) => Number.parseInt(word, 16)) : [];
  const [head, tail] = [words(left), words(right ?? "")];
  const all = [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

function keyIdentifier(key: KeyObject): Uint8Array {
  const spki = key.export({ type: "spki", format: "der" });
  return new Uint8Array(createHash("sha256").update(spki).digest()).slice(0, 20);
}

function distinguishedName(commonName: string): Uint8Array {
  const value = der(TAG.utf8String, Buffer.from(commonName));
  return sequence(der(TAG.set, sequence(oid(OID.commonName), value)));
}

/** Positive and not zero, 16 bytes. */
function serialNumber(): Uint8Array {
  const bytes = new Uint8Array(randomBytes(16));
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40;
  return bytes;
}

/** RFC 5280, 4.1.2.5: two digits of the year until 2049. */
function time(timeMs: number): Uint8Array {
  const digits = `${new Date(timeMs).toISOString().slice(0, 19).replace(/\D/g, "")}Z`;
  const isShort = Number(digits.slice(0, 4)) < 2050;
  return isShort
    ? der(TAG.utcTime, Buffer.from(digits.slice(2)))
    : der(TAG.generalizedTime, Buffer.from(digits));
}

function bitString(bytes: Uint8Array): Uint8Array {
  return der(TAG.bitString, Uint8Array.of(0), bytes);
}

/** Of big-endian bytes whose first bit is 0. */
function integer(bytes: Uint8Array): Uint8Array {
  return der(TAG.integer, bytes);
}

function oid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return der(TAG.oid, Uint8Array.from([40 * first + second, ...rest].flatMap(base128)));
}

function base128(value: number): readonly number[] {
  const digits = [value & 0x7f];
  for (let rest = value >> 7; rest > 0; rest >>= 7) digits.unshift((rest & 0x7f) | 0x80);
  return digits;
}

function sequence(...items: readonly Uint8Array[]): Uint8Array {
  return der(TAG.sequence, ...items);
}

function der(tag: number, ...items: readonly Uint8Array[]): Uint8Array {
  const content = concatAll(items);
  const { length } = content;
  assert(length < 0x10000, "too long");
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return concatAll([Uint8Array.of(tag, ...size), content]);
}

function pem(bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}
