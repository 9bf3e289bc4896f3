/** Known answers at start (FIPS 180-4, RFC 4231, RFC 6979, RFC 8439, BOLT 3 appendix E, BOLT 8 appendix A): a device whose crypto errs holds no keys. */
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import type { PublicKey, SecretKey, Signature } from "../../core/primitives/brands.ts";
import { ascii, concat, fromHex, toHex } from "../../core/primitives/bytes.ts";

/** What failed, for a person to read; undefined where all is well. About a dozen curve operations. */
export function selfTest(crypto: Crypto, entropy: Entropy): string | undefined {
  const parts: readonly (readonly [string, () => boolean])[] = [
    ["hashes", () => hashesAnswer(crypto)],
    ["ChaCha20-Poly1305", () => cipherAnswers(crypto)],
    ["signatures", () => signaturesAnswer(crypto)],
    ["key derivation", () => derivationAnswers(crypto)],
    ["shared secrets", () => sharedSecretAnswers(crypto)],
    ["refusals of bad keys", () => refusesBadKeys(crypto)],
    ["the random generator", () => seemsRandom(entropy)],
  ];
  for (const [name, passes] of parts) {
    if (!succeeds(passes)) return `self-test: ${name} of ${crypto.name} failed`;
  }
  return undefined;
}

function hashesAnswer(crypto: Crypto): boolean {
  const key = ascii("Jefe"); // RFC 4231 §4.3
  const data = ascii("what do ya want for nothing?");
  return (
    is(
      crypto.sha256(ascii("abc")),
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ) &&
    is(crypto.ripemd160(ascii("abc")), "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc") &&
    is(
      crypto.hmacSha256(key, data),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ) &&
    is(
      crypto.hmacSha512(key, data),
      "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554" +
        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    )
  );
}

/** RFC 8439 §2.8.2. */
function cipherAnswers(crypto: Crypto): boolean {
  const key = fromHex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const nonce = fromHex("070000004041424344454647");
  const associated = fromHex("50515253c0c1c2c3c4c5c6c7");
  const plaintext = ascii(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the " +
      "future, sunscreen would be it.",
  );
  const sealed = crypto.encrypt(key, nonce, associated, plaintext);
  const opened = crypto.decrypt(key, nonce, associated, sealed);
  const forged = sealed.slice();
  forged[forged.length - 1] = (forged[forged.length - 1] as number) ^ 1;
  return (
    is(
      sealed,
      "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6" +
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36" +
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc" +
        "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
    ) &&
    opened !== undefined &&
    is(opened, toHex(plaintext)) &&
    crypto.decrypt(key, nonce, associated, forged) === undefined &&
    crypto.decrypt(key, nonce, nonce, sealed) === undefined
  );
}

/** The usual RFC 6979 answer for secp256k1 and SHA-256; S of its twin is the order minus S. */
function signaturesAnswer(crypto: Crypto): boolean {
  const secret = fromHex(ONE) as SecretKey;
  const hash = crypto.sha256(ascii("Satoshi Nakamoto"));
  const r = "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8";
  const low = "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5";
  const high = "dbbd3162d46e9f9bef7feb87c16dc13b4f6568a87f4e83f728e2443ba586675c";
  const signature = crypto.sign(hash, secret);
  const key = crypto.publicKeyOf(secret);
  return (
    is(key, `02${"79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"}`) &&
    is(signature, r + low) &&
    crypto.verify(signature, hash, key) &&
    !crypto.verify(fromHex(r + high) as Signature, hash, key) &&
    !crypto.verify(signature, crypto.sha256(hash), key) &&
    !crypto.verify(signature, hash, fromHex(BASEPOINT) as PublicKey) &&
    !crypto.verify(signature, hash, fromHex(NO_POINT) as PublicKey)
  );
}

/** BOLT 3 appendix E: every tweak, of secrets and of points. */
function derivationAnswers(crypto: Crypto): boolean {
  const baseSecret = fromHex(BASE_SECRET) as SecretKey;
  const commitmentSecret = fromHex(COMMITMENT_SECRET) as SecretKey;
  const base = crypto.publicKeyOf(baseSecret);
  const commitment = crypto.publicKeyOf(commitmentSecret);
  const tweak = crypto.sha256(concat(commitment, base));
  const baseTweak = crypto.sha256(concat(base, commitment));
  const revocationKey = crypto.publicKeyAdd(
    crypto.publicKeyTweakMultiply(base, baseTweak),
    crypto.publicKeyTweakMultiply(commitment, tweak),
  );
  const revocationSecret = crypto.secretKeyTweakAdd(
    crypto.secretKeyTweakMultiply(baseSecret, baseTweak),
    crypto.secretKeyTweakMultiply(commitmentSecret, tweak),
  );
  return (
    is(base, BASEPOINT) &&
    is(commitment, "025f7117a78150fe2ef97db7cfc83bd57b2e2c0d0dd25eaf467a4a1c2a45ce1486") &&
    is(
      crypto.publicKeyTweakAdd(base, tweak),
      "0235f2dbfaa89b57ec7b055afe29849ef7ddfeb1cefdb9ebdc43f5494984db29e5",
    ) &&
    is(
      crypto.secretKeyTweakAdd(baseSecret, tweak),
      "cbced912d3b21bf196a766651e436aff192362621ce317704ea2f75d87e7be0f",
    ) &&
    is(revocationKey, "02916e326636d19c33f13e8c0c3a03dd157f332f3e99c317c141dd865eb01f8ff0") &&
    is(revocationSecret, "d09ffff62ddb2297ab000cc85bcb4283fdeb6aa052affbc9dddcf33b61078110")
  );
}

/** BOLT 8 appendix A, act one. */
function sharedSecretAnswers(crypto: Crypto): boolean {
  const ephemeral = fromHex("12".repeat(32)) as SecretKey;
  const remote = "028d7500dd4c12685d1f568b4c2b5048e8534b873319f3a8daa612b469132ec7f7";
  return is(
    crypto.ecdh(ephemeral, fromHex(remote) as PublicKey),
    "1e2fb3c8fe8fb9f262f649f64d26ecf0f2c0a805a767cf02dc2d77a6ef1fdcc3",
  );
}

function refusesBadKeys(crypto: Crypto): boolean {
  const zero = new Uint8Array(32) as SecretKey;
  const order = fromHex(ORDER) as SecretKey;
  const last = fromHex(`${ORDER.slice(0, -2)}40`) as SecretKey;
  const one = fromHex(ONE) as SecretKey;
  const noPoint = fromHex(NO_POINT) as PublicKey;
  const base = fromHex(BASEPOINT) as PublicKey;
  const opposite = fromHex(`02${BASEPOINT.slice(2)}`) as PublicKey;
  return (
    crypto.isSecretKey(last) &&
    !crypto.isSecretKey(zero) &&
    !crypto.isSecretKey(order) &&
    crypto.isPublicKey(base) &&
    !crypto.isPublicKey(noPoint) &&
    throws(() => crypto.publicKeyOf(zero)) &&
    throws(() => crypto.sign(one, order)) &&
    throws(() => crypto.secretKeyTweakAdd(last, one)) &&
    throws(() => crypto.secretKeyTweakAdd(order, one)) &&
    throws(() => crypto.publicKeyAdd(base, opposite)) &&
    throws(() => crypto.ecdh(one, noPoint))
  );
}

/** Catches a generator that is off, stuck, or short of bits: 64 random bytes have fewer than 24 values once in 10^24 starts. */
function seemsRandom(entropy: Entropy): boolean {
  const first = entropy.random(64);
  const second = entropy.random(64);
  const varied = (bytes: Uint8Array) => bytes.length === 64 && new Set(bytes).size >= 24;
  return varied(first) && varied(second) && !is(first, toHex(second));
}

function is(bytes: Uint8Array, hex: string): boolean {
  return toHex(bytes) === hex;
}

function throws(call: () => unknown): boolean {
  return !succeeds(() => {
    call();
    return true;
  });
}

function succeeds(call: () => boolean): boolean {
  try {
    return call();
  } catch {
    return false;
  }
}

const ONE = "0000000000000000000000000000000000000000000000000000000000000001";
const ORDER = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
/** No point has x = 5. */
const NO_POINT = "020000000000000000000000000000000000000000000000000000000000000005";
const BASE_SECRET = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const COMMITMENT_SECRET = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";
const BASEPOINT = "036d6caac248af96f6afa7f904f550253a0f3ef3f5aa2fe6838a95b216691468e2";
