/** All Crypto providers come to the same outcome on the same inputs, at the corners above all (DESIGN §3). */
import { secp256k1 } from "@noble/curves/secp256k1.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { PublicKey, SecretKey, Signature } from "../../core/primitives/brands.ts";
import { concat, fromHex, toHex } from "../../core/primitives/bytes.ts";
import { native, noble, outcome } from "../support/crypto-providers.ts";

const N = secp256k1.Point.CURVE().n;
const P = secp256k1.Point.CURVE().p;

function bytes32(value: bigint): Uint8Array {
  return fromHex(value.toString(16).padStart(64, "0"));
}

/** Scalars and field elements where implementations have gone wrong before. */
const CORNERS: readonly Uint8Array[] = [
  0n,
  1n,
  2n,
  3n,
  (N - 1n) / 2n,
  (N + 1n) / 2n,
  N - 2n,
  N - 1n,
  N,
  N + 1n,
  P - N,
  P - N - 1n,
  P - 1n,
  P,
  P + 1n,
  2n ** 128n,
  2n ** 255n,
  2n ** 256n - 1n,
].map(bytes32);

const ONE = bytes32(1n) as SecretKey;
const SECRET = bytes32(0x1234567890abcdefn) as SecretKey;
const POINT = noble.publicKeyOf(SECRET);
const NEGATED = concat(Uint8Array.of(POINT[0] === 2 ? 3 : 2), POINT.subarray(1)) as PublicKey;

/** Points and what only looks like one. */
const POINTS: readonly PublicKey[] = [
  POINT,
  NEGATED,
  noble.publicKeyOf(ONE),
  noble.publicKeyOf(bytes32(N - 1n) as SecretKey),
  ...[0, 1, 4, 5, 6, 7, 0xff].map((prefix) => concat(Uint8Array.of(prefix), POINT.subarray(1))),
  ...[5n, 0n, 7n, P - 1n, P, P + 1n, 2n ** 256n - 1n].map((x) =>
    concat(Uint8Array.of(2), bytes32(x)),
  ),
  new Uint8Array(33),
  new Uint8Array(33).fill(0xff),
] as PublicKey[];

function agree(call: (crypto: Crypto) => unknown): string {
  const expected = outcome(() => call(noble));
  expect(outcome(() => call(native as Crypto))).toBe(expected);
  return expected;
}

const anyScalar = fc.oneof(
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
  fc.constantFrom(...CORNERS),
);
const RUNS = { numRuns: 40 };

describe.skipIf(!native)("libsecp256k1 and noble agree", () => {
  test("on which secret keys are valid, and on their public keys", () => {
    for (const scalar of CORNERS) {
      const valid = agree((c) => c.isSecretKey(scalar));
      const made = agree((c) => c.publicKeyOf(scalar as SecretKey));
      expect(made.startsWith("throws")).toBe(valid === "false");
    }
    expect(agree((c) => c.isSecretKey(bytes32(0n)))).toBe("false");
    expect(agree((c) => c.isSecretKey(bytes32(N)))).toBe("false");
    expect(agree((c) => c.isSecretKey(bytes32(N - 1n)))).toBe("true");
  });

  test("on which points are valid", () => {
    const valid = POINTS.filter((point) => agree((c) => c.isPublicKey(point)) === "true");
    expect(valid).toContain(POINT);
    expect(valid).toContain(NEGATED);
    for (const point of POINTS.slice(4, 11)) expect(valid).not.toContain(point); // wrong prefixes
  });

  test("that every operation refuses what is not a point", () => {
    for (const point of POINTS) {
      const valid = noble.isPublicKey(point);
      for (const made of [
        agree((c) => c.publicKeyTweakAdd(point, ONE)),
        agree((c) => c.publicKeyTweakMultiply(point, ONE)),
        agree((c) => c.publicKeyAdd(point, noble.publicKeyOf(bytes32(99n) as SecretKey))),
        agree((c) => c.publicKeyAdd(noble.publicKeyOf(bytes32(99n) as SecretKey), point)),
        agree((c) => c.ecdh(SECRET, point)),
      ]) {
        if (!valid) expect(made).toBe("throws AssertionError");
      }
    }
  });

  test("on tweaks of zero, of the order and beyond, and on results at infinity or zero", () => {
    for (const tweak of CORNERS) {
      for (const secret of CORNERS as SecretKey[]) {
        agree((c) => c.secretKeyTweakAdd(secret, tweak));
        agree((c) => c.secretKeyTweakMultiply(secret, tweak));
      }
      agree((c) => c.publicKeyTweakAdd(POINT, tweak));
      agree((c) => c.publicKeyTweakMultiply(POINT, tweak));
    }
    const minusOne = bytes32(N - 1n);
    const generator = noble.publicKeyOf(ONE);
    expect(agree((c) => c.publicKeyTweakAdd(POINT, bytes32(0n)))).toBe(toHex(POINT));
    expect(agree((c) => c.publicKeyTweakMultiply(POINT, bytes32(0n)))).toMatch(/^throws/);
    expect(agree((c) => c.publicKeyTweakAdd(generator, minusOne))).toMatch(/^throws/);
    expect(agree((c) => c.publicKeyAdd(POINT, NEGATED))).toMatch(/^throws/);
    expect(agree((c) => c.publicKeyAdd(POINT, POINT))).toMatch(/^0[23]/);
    expect(agree((c) => c.secretKeyTweakAdd(ONE, minusOne))).toMatch(/^throws/);
    expect(agree((c) => c.secretKeyTweakAdd(bytes32(N) as SecretKey, ONE))).toMatch(/^throws/);
  });

  test("byte for byte on signatures, also of hashes beyond the order", () => {
    for (const hash of CORNERS) {
      const made = agree((c) => c.sign(hash, SECRET));
      expect(made).toHaveLength(128);
      expect(agree((c) => c.verify(fromHex(made) as Signature, hash, POINT))).toBe("true");
    }
    for (const secret of CORNERS as SecretKey[]) agree((c) => c.sign(CORNERS[3]!, secret));
  });

  test("that corner values of r and s never verify by accident", () => {
    const hash = bytes32(77n);
    const good = noble.sign(hash, SECRET);
    const candidates = [...CORNERS, good.subarray(0, 32), good.subarray(32)];
    for (const r of candidates) {
      for (const s of candidates) {
        const made = concat(r, s) as Signature;
        const expected = toHex(made) === toHex(good);
        expect(agree((c) => c.verify(made, hash, POINT))).toBe(String(expected));
      }
    }
  });

  test("that the high-S twin of a signature is refused", () => {
    const hash = bytes32(78n);
    const good = noble.sign(hash, SECRET);
    const s = BigInt(`0x${toHex(good.subarray(32))}`);
    const twin = concat(good.subarray(0, 32), bytes32(N - s)) as Signature;
    expect(agree((c) => c.verify(twin, hash, POINT))).toBe("false");
  });

  test("on signatures whose nonce point has an x beyond the order (r below p - n)", () => {
    const hash = bytes32(79n);
    let found = 0;
    for (let r = 1n; found < 4; r++) {
      const made = new secp256k1.Signature(r, 5n, 2);
      let key: PublicKey;
      try {
        key = made.recoverPublicKey(hash).toBytes(true) as Uint8Array as PublicKey;
      } catch {
        continue; // no point has this x
      }
      found++;
      const bytes = concat(bytes32(r), bytes32(5n)) as Signature;
      expect(agree((c) => c.verify(bytes, hash, key))).toBe("true");
      const unreduced = concat(bytes32(r + N), bytes32(5n)) as Signature;
      expect(agree((c) => c.verify(unreduced, hash, key))).toBe("false");
    }
  });

  test("on verifying with what is no key: false, without throwing", () => {
    const hash = bytes32(80n);
    const good = noble.sign(hash, SECRET);
    for (const point of POINTS) {
      const expected = toHex(point) === toHex(POINT);
      expect(agree((c) => c.verify(good, hash, point))).toBe(String(expected));
    }
  });

  test("that every argument one byte too long or too short is refused", () => {
    const hash = bytes32(81n);
    const good = noble.sign(hash, SECRET);
    const key = new Uint8Array(32);
    const nonce = new Uint8Array(12);
    const text = new Uint8Array(40);
    for (const by of [-1, 1]) {
      const off = <T extends Uint8Array>(b: T): T => {
        const out = new Uint8Array(b.length + by);
        out.set(b.subarray(0, out.length));
        return out as Uint8Array as T;
      };
      const refused: readonly ((c: Crypto) => unknown)[] = [
        (c) => c.publicKeyOf(off(SECRET)),
        (c) => c.publicKeyTweakAdd(off(POINT), ONE),
        (c) => c.publicKeyTweakAdd(POINT, off(ONE)),
        (c) => c.publicKeyTweakMultiply(off(POINT), ONE),
        (c) => c.publicKeyTweakMultiply(POINT, off(ONE)),
        (c) => c.publicKeyAdd(off(POINT), POINT),
        (c) => c.publicKeyAdd(POINT, off(POINT)),
        (c) => c.secretKeyTweakAdd(off(SECRET), ONE),
        (c) => c.secretKeyTweakAdd(SECRET, off(ONE)),
        (c) => c.secretKeyTweakMultiply(off(SECRET), ONE),
        (c) => c.secretKeyTweakMultiply(SECRET, off(ONE)),
        (c) => c.sign(off(hash), SECRET),
        (c) => c.sign(hash, off(SECRET)),
        (c) => c.verify(off(good), hash, POINT),
        (c) => c.verify(good, off(hash), POINT),
        (c) => c.verify(good, hash, off(POINT)),
        (c) => c.ecdh(off(SECRET), POINT),
        (c) => c.ecdh(SECRET, off(POINT)),
        (c) => c.encrypt(off(key), nonce, text, text),
        (c) => c.encrypt(key, off(nonce), text, text),
        (c) => c.decrypt(off(key), nonce, text, text),
        (c) => c.decrypt(key, off(nonce), text, text),
      ];
      for (const call of refused) expect(agree(call)).toBe("throws AssertionError");
      expect(agree((c) => c.isSecretKey(off(SECRET)))).toBe("false");
      expect(agree((c) => c.isPublicKey(off(POINT)))).toBe("false");
    }
    const uncompressed = secp256k1.Point.fromBytes(POINT).toBytes(false) as Uint8Array;
    expect(agree((c) => c.isPublicKey(uncompressed))).toBe("false");
    expect(agree((c) => c.ecdh(SECRET, uncompressed as PublicKey))).toBe("throws AssertionError");
  });

  test("on random keys, tweaks and hashes", () => {
    fc.assert(
      fc.property(anyScalar, anyScalar, anyScalar, (a, b, hash) => {
        const secret = a as SecretKey;
        agree((c) => c.publicKeyOf(secret));
        agree((c) => c.secretKeyTweakAdd(secret, b));
        agree((c) => c.secretKeyTweakMultiply(secret, b));
        agree((c) => c.sign(hash, secret));
        agree((c) => c.ecdh(secret, POINT));
        agree((c) => c.publicKeyTweakAdd(POINT, b));
        agree((c) => c.publicKeyTweakMultiply(POINT, b));
        agree((c) => c.verify(concat(a, b) as Signature, hash, POINT));
        agree((c) => c.isPublicKey(concat(Uint8Array.of(3), b)));
      }),
      RUNS,
    );
  });

  test("on hashes and sealed messages of any length", () => {
    const any = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(any, any, anyScalar, (data, associated, key) => {
        const nonce = key.subarray(0, 12);
        agree((c) => c.sha256(data));
        agree((c) => c.ripemd160(data));
        agree((c) => c.hmacSha256(associated, data));
        agree((c) => c.hmacSha512(associated, data));
        const sealed = agree((c) => c.encrypt(key, nonce, associated, data));
        const opened = agree((c) => c.decrypt(key, nonce, associated, fromHex(sealed)));
        expect(opened).toBe(toHex(data));
        expect(agree((c) => c.decrypt(key, nonce, associated, data))).toBe("undefined");
      }),
      RUNS,
    );
  });
});
