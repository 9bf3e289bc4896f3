/** Which Crypto provider a Node program uses, decided once at start (DESIGN §3). */
import { nobleCrypto } from "../../core/crypto/noble.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { unreachable } from "../../core/primitives/errors.ts";
import { nativeCrypto } from "./native.ts";

export type CryptoPreference = "auto" | "noble" | "libsecp256k1";

/** The provider for `preference`; the caller prints its `name`. Throws where the wanted one does not load. */
export function chooseCrypto(preference: CryptoPreference = "auto"): Crypto {
  switch (preference) {
    case "auto":
      return nativeCrypto() ?? nobleCrypto();
    case "noble":
      return nobleCrypto();
    case "libsecp256k1": {
      const native = nativeCrypto();
      if (native) return native;
      throw new Error(
        "The libsecp256k1 addon does not load on this machine. Run `npm rebuild secp256k1` (it " +
          "needs a C++ compiler), or choose the crypto provider `noble`.",
      );
    }
    default:
      return unreachable(preference);
  }
}
