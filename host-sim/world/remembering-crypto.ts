/** A Crypto that remembers what it computed: in a world one side verifies what the other signed, and both derive the same keys. */
import type { Crypto } from "../../core/ports/crypto.ts";
import { compare } from "../../core/primitives/bytes.ts";

/** Answers of each function; beyond it all are forgotten. */
const MAX_REMEMBERED = 20_000;
/** A longer text is hashed as fast as it is looked up. */
const MAX_HASHED_BYTES = 200;

type Bytes = Uint8Array;

/**
 * To the byte what `crypto` answers: each of these functions depends on its inputs alone. What is thrown is not
 * remembered, and every answer is a copy: who asked may wipe it.
 */
export function rememberingCrypto(crypto: Crypto, most = MAX_REMEMBERED): Crypto {
  const one = <In extends Bytes, Out extends Bytes>(work: (a: In) => Out) => {
    const known = new Memory<Out>(most);
    return (a: In): Out => known.get(textOf(a), () => work(a)).slice() as Out;
  };
  const two = <InA extends Bytes, InB extends Bytes, Out extends Bytes>(
    work: (a: InA, b: InB) => Out,
  ) => {
    const known = new Memory<Out>(most);
    return (a: InA, b: InB): Out => known.get(keyOf(a, b), () => work(a, b)).slice() as Out;
  };
  const publicKeyOf = one(crypto.publicKeyOf);
  const sha256 = one(crypto.sha256);
  const verified = new Memory<boolean>(most);
  return {
    ...crypto,
    sha256: (data) => (data.length > MAX_HASHED_BYTES ? crypto.sha256(data) : sha256(data)),
    hmacSha512: two(crypto.hmacSha512),
    publicKeyOf,
    publicKeyTweakAdd: two(crypto.publicKeyTweakAdd),
    publicKeyTweakMultiply: two(crypto.publicKeyTweakMultiply),
    // One sum for both orders.
    publicKeyAdd: ordered(two(crypto.publicKeyAdd)),
    secretKeyTweakAdd: two(crypto.secretKeyTweakAdd),
    secretKeyTweakMultiply: two(crypto.secretKeyTweakMultiply),
    sign: two((hash, secret) => {
      const signature = crypto.sign(hash, secret);
      // Whoever asks about it hears what a verification would say.
      verified.get(`${textOf(signature)}${keyOf(hash, publicKeyOf(secret))}`, () => true);
      return signature;
    }),
    verify: (signature, hash, key) =>
      signature.length === SIGNATURE_BYTES
        ? verified.get(`${textOf(signature)}${keyOf(hash, key)}`, () =>
            crypto.verify(signature, hash, key),
          )
        : crypto.verify(signature, hash, key),
    ecdh: two(crypto.ecdh),
  };
}

const SIGNATURE_BYTES = 64;

class Memory<Value> {
  private readonly values = new Map<string, Value>();

  constructor(private readonly most: number) {}

  get(key: string, compute: () => Value): Value {
    const known = this.values.get(key);
    if (known !== undefined) return known;
    const value = compute();
    if (this.values.size >= this.most) this.values.clear();
    this.values.set(key, value);
    return value;
  }
}

function ordered<Key extends Bytes>(add: (a: Key, b: Key) => Key): (a: Key, b: Key) => Key {
  return (a, b) => (compare(a, b) <= 0 ? add(a, b) : add(b, a));
}

/** Tells where the first ends. */
function keyOf(a: Bytes, b: Bytes): string {
  return `${a.length} ${textOf(a)}${textOf(b)}`;
}

/** A character for each byte. */
function textOf(bytes: Bytes): string {
  return Buffer.prototype.latin1Slice.call(bytes, 0, bytes.length);
}
