/** Crypto whose seals anybody can write: every packet is authentic, so that fuzzing reaches what lies behind the cipher. */
import type { Crypto } from "../../core/ports/crypto.ts";

const TAG_BYTES = 16;
/** A last byte that is no seal. */
const FORGED = 0xff;

/** Hashes and points are the real ones'; a stranger that this lets in is a peer with a key of its own. */
export function paperCrypto(real: Crypto): Crypto {
  return {
    ...real,
    sha256: (data) => real.sha256(data),
    hmacSha256: (key, data) => real.hmacSha256(key, data),
    encrypt(_key, _nonce, _associated, plaintext) {
      const out = new Uint8Array(plaintext.length + TAG_BYTES);
      out.set(plaintext);
      return out;
    },
    decrypt(_key, _nonce, _associated, ciphertext) {
      const isSealed = ciphertext.length >= TAG_BYTES && ciphertext.at(-1) !== FORGED;
      return isSealed ? ciphertext.slice(0, -TAG_BYTES) : undefined;
    },
  };
}
