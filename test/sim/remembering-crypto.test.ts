/** The worlds' Crypto, which remembers, answers to the byte what the real one does, the first time and every other. */
import { expect, test } from "vitest";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { PublicKey, SecretKey, Signature } from "../../core/primitives/brands.ts";
import { wipe } from "../../core/primitives/bytes.ts";
import { Random } from "../../host-sim/random.ts";
import { rememberingCrypto } from "../../host-sim/world/remembering-crypto.ts";
import { native, noble, outcome } from "../support/crypto-providers.ts";

const real = native ?? noble;
type Call = (crypto: Crypto) => unknown;

/** Of each function, with inputs that it takes, and some that it refuses. */
function callsOf(random: Random): readonly Call[] {
  const [secret, tweak, hash] = [0, 1, 2].map(() => drawn(random)) as [
    SecretKey,
    Uint8Array,
    Uint8Array,
  ];
  const a = real.publicKeyOf(secret);
  const b = real.publicKeyOf(tweak as SecretKey);
  const signature = real.sign(hash, secret);
  const forged = signature.slice() as Signature;
  const at = random.below(64);
  forged[at] = (forged[at] as number) ^ 1;
  const zero = new Uint8Array(32) as SecretKey;
  return [
    (crypto) => crypto.sign(hash, secret),
    (crypto) => crypto.verify(signature, hash, a),
    (crypto) => crypto.verify(signature, hash, b),
    (crypto) => crypto.verify(signature, tweak, a),
    (crypto) => crypto.verify(forged, hash, a),
    (crypto) => crypto.verify(signature.subarray(1) as Signature, hash, a),
    (crypto) => crypto.publicKeyOf(secret),
    (crypto) => crypto.publicKeyOf(zero),
    (crypto) => crypto.publicKeyTweakAdd(a, tweak),
    (crypto) => crypto.publicKeyTweakAdd(a.subarray(1) as PublicKey, tweak),
    (crypto) => crypto.publicKeyTweakMultiply(a, tweak),
    (crypto) => crypto.publicKeyTweakMultiply(a, zero),
    (crypto) => crypto.publicKeyAdd(a, b),
    (crypto) => crypto.publicKeyAdd(b, a),
    (crypto) => crypto.secretKeyTweakAdd(secret, tweak),
    (crypto) => crypto.secretKeyTweakAdd(tweak as SecretKey, secret),
    (crypto) => crypto.secretKeyTweakMultiply(secret, tweak),
    (crypto) => crypto.ecdh(secret, b),
    (crypto) => crypto.ecdh(tweak as SecretKey, b),
    (crypto) => crypto.hmacSha512(secret, hash),
    (crypto) => crypto.hmacSha512(secret.subarray(1), hash),
    (crypto) => crypto.hmacSha512(hash, secret),
    (crypto) => crypto.sha256(hash),
    (crypto) => crypto.sha256(hash.subarray(1)),
    (crypto) => crypto.sha256(new Uint8Array(201)),
  ];
}

test("every function answers as the real one, when asked first and when asked again", () => {
  // Forgets, and now and then remembers.
  for (const most of [1, 3, 1_000]) {
    const remembering = rememberingCrypto(real, most);
    for (let seed = 1; seed <= 12; seed++) {
      const calls = callsOf(Random.of("remembering", seed));
      for (const round of [1, 2, 3]) {
        for (const [i, call] of calls.entries()) {
          const expected = outcome(() => call(real));
          expect(
            outcome(() => call(remembering)),
            `call ${i}, round ${round}`,
          ).toBe(expected);
        }
      }
    }
  }
});

test("what it remembers is out of reach of whoever wipes an answer", () => {
  const remembering = rememberingCrypto(real);
  const secret = drawn(Random.of("remembering")) as SecretKey;
  const expected = outcome(() => real.publicKeyOf(secret));
  wipe(remembering.publicKeyOf(secret));
  wipe(remembering.publicKeyOf(secret));
  expect(outcome(() => remembering.publicKeyOf(secret))).toBe(expected);
});

function drawn(random: Random): Uint8Array {
  return Uint8Array.from({ length: 32 }, () => random.below(256));
}
