/** Three implementations of the Crypto port on the same inputs: noble, libsecp256k1, and the microcontroller's C (test/crypto has each pair's corners). */
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { PublicKey, SecretKey, Signature } from "../../core/primitives/brands.ts";
import { concat, fromHex } from "../../core/primitives/bytes.ts";
import { nativeCrypto } from "../../firmware/crypto/native.ts";
import { Random } from "../../host-sim/random.ts";
import { callCrypto } from "../../host-sim/xs/crypto-calls.ts";
import { cryptoCases, outcomeOf } from "../crypto/native-c/cases.ts";
import { CProcess, compileCalls, functionsOf } from "../crypto/native-c/process.ts";
import { native, noble, outcome } from "../support/crypto-providers.ts";

const N = secp256k1.Point.CURVE().n;
const ROUNDS = Number(process.env.PICOBOLT_RUNS ?? 250);
const SEED = Number(process.env.PICOBOLT_SEED ?? 5);

/** Scalars one step around what carries, wraps and halves; sums of two of them reach zero and the order. */
const EDGES: readonly bigint[] = [
  ...[0n, 1n, 2n, N - 2n, N - 1n, N, N + 1n, (N - 1n) / 2n, (N + 1n) / 2n],
  ...[32n, 64n, 128n, 129n, 192n, 255n].flatMap((bits) => [2n ** bits - 1n, 2n ** bits]),
  2n ** 256n - 1n,
  // Halves of the endomorphism's split: lambda, and what is next to it.
  0x5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72n,
  0xac9c52b33fa3cf1f5ad9e3fd77ed9ba4a880b9fc8ec739c2e0cfc810b51283cen,
];

describe.skipIf(!native)("noble, libsecp256k1 and the device's C", () => {
  let process: CProcess;
  let providers: readonly Crypto[];
  beforeAll(() => {
    process = new CProcess(compileCalls(["-O2"]));
    providers = [noble, native as Crypto, nativeCrypto(functionsOf(process))];
  });
  afterAll(() => process.close());

  function agree(call: (crypto: Crypto) => unknown, what: string): void {
    const [expected, ...others] = providers.map((crypto) => outcome(() => call(crypto)));
    expect(others, what).toEqual([expected, expected]);
  }

  test("libsecp256k1 answers every case of the C build as noble does", () => {
    const wrong = cryptoCases(SEED, ROUNDS).filter(
      ({ method, parameters, expected }) =>
        outcomeOf(() => callCrypto(native as Crypto, method, parameters)) !== expected,
    );
    expect(wrong.map(({ method, expected }) => `${method}: not ${expected}`)).toEqual([]);
  });

  test("agree on scalars at the edges and beside them, in all positions", () => {
    const random = Random.of("crypto", SEED);
    for (let round = 0; round < ROUNDS; round++) {
      const [a, b, hash] = [scalar(random), scalar(random), scalar(random)];
      const what = `round ${round} of PICOBOLT_SEED=${SEED}`;
      const secret = a as SecretKey;
      const point = somePoint(random);
      agree((c) => c.isSecretKey(secret), what);
      agree((c) => c.publicKeyOf(secret), what);
      agree((c) => c.secretKeyTweakAdd(secret, b), what);
      agree((c) => c.secretKeyTweakMultiply(secret, b), what);
      agree((c) => c.publicKeyTweakAdd(point, b), what);
      agree((c) => c.publicKeyTweakMultiply(point, b), what);
      agree((c) => c.publicKeyAdd(point, somePointOf(b)), what);
      agree((c) => c.ecdh(secret, point), what);
      agree((c) => c.sign(hash, secret), what);
      agree((c) => c.verify(concat(a, b) as Signature, hash, point), what);
    }
  });

  test("each takes the others' signatures, and no signature with its parts changed", () => {
    const random = Random.of("signatures", SEED);
    for (let round = 0; round < ROUNDS / 5; round++) {
      const secret = anyBytes(random) as SecretKey;
      const hash = scalar(random);
      const key = noble.publicKeyOf(secret);
      for (const signer of providers) {
        const signature = signer.sign(hash, secret);
        const at = random.below(64);
        const changed = signature.slice() as Signature;
        changed[at] = (changed[at] as number) ^ (1 << random.below(8));
        for (const judge of providers) {
          expect(judge.verify(signature, hash, key)).toBe(true);
          expect(judge.verify(changed, hash, key)).toBe(false);
        }
      }
    }
  });
});

function scalar(random: Random): Uint8Array {
  if (random.oneIn(3)) return anyBytes(random);
  const near = random.oneOf(EDGES) + BigInt(random.between(-2, 2));
  return bytes32(((near % 2n ** 256n) + 2n ** 256n) % 2n ** 256n);
}

function somePoint(random: Random): PublicKey {
  const found = somePointOf(scalar(random));
  return random.oneIn(4)
    ? (concat(Uint8Array.of(random.below(8)), found.subarray(1)) as PublicKey)
    : found;
}

/** Of this secret, or where it is none, of the next best. */
function somePointOf(bytes: Uint8Array): PublicKey {
  const secret = noble.isSecretKey(bytes) ? bytes : bytes32(3n);
  return noble.publicKeyOf(secret as SecretKey);
}

function anyBytes(random: Random): Uint8Array {
  return Uint8Array.from({ length: 32 }, () => random.below(256));
}

function bytes32(value: bigint): Uint8Array {
  return fromHex(value.toString(16).padStart(64, "0"));
}
