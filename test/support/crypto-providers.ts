/** Every Crypto provider that runs on this machine, and a way to compare what two calls come to. */
import { nobleCrypto } from "../../core/crypto/noble.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { nativeCrypto } from "../../gateway/crypto/native.ts";

export const noble = nobleCrypto();
export const native = nativeCrypto();

/** Both providers, or the reference alone where the addon is missing. */
export const providers: readonly Crypto[] = native ? [noble, native] : [noble];

/** What a call came to: bytes in hex, a plain value, or the error's name. */
export function outcome(call: () => unknown): string {
  try {
    const value = call();
    return value instanceof Uint8Array ? toHex(value) : String(value);
  } catch (error) {
    return `throws ${(error as Error).name}`;
  }
}
