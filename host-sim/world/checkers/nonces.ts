/** No key encrypts twice under one nonce: whoever hears both learns what they say (RFC 8439 section 2.8). */
import type { Crypto } from "../../../core/ports/crypto.ts";
import { equal, toHex } from "../../../core/primitives/bytes.ts";
import type { MakeChecker } from "./checker.ts";

export const nonces: MakeChecker = (world, complain) => {
  /** By key and nonce: what was said under them. The same words again tell nobody anything. */
  const said = new Map<string, Uint8Array>();
  const { chain } = world.lab;
  const { crypto } = chain;
  const encrypt: Crypto["encrypt"] = (key, nonce, associated, plaintext) => {
    const sealed = crypto.encrypt(key, nonce, associated, plaintext);
    const under = toHex(key) + toHex(nonce);
    const before = said.get(under) ?? sealed;
    said.set(under, before);
    if (!equal(before, sealed)) complain(`nonce ${toHex(nonce)} serves twice under one key`);
    return sealed;
  };
  // The nodes of this world alone take their Crypto from its chain.
  Object.defineProperty(chain, "crypto", {
    value: Object.assign(Object.create(crypto), { encrypt }),
  });
  return {};
};
