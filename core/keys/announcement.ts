/** What is signed of a routing statement: twice SHA-256 of a tag and its bytes, which no transaction's sighash can equal (BOLT 7 "Requirements"). */
import type { Crypto } from "../ports/crypto.ts";
import { ascii, concat } from "../primitives/bytes.ts";

/** A sighash's first bytes are a transaction's version: 2 or 3, never this. */
const TAG = "picobolt routing v1";

export function announcementHash(crypto: Crypto, statement: Uint8Array): Uint8Array {
  return crypto.sha256(crypto.sha256(concat(ascii(TAG), statement)));
}
