/** The Crypto port across the bridge: methods called by name with byte strings, in either direction. */
import type { Crypto } from "../../core/ports/crypto.ts";

type Bytes = Uint8Array;
type Result = Bytes | boolean | undefined;

/** Calls one method of a provider; true and false are one byte, undefined is no part at all. */
export function callCrypto(
  crypto: Crypto,
  method: string,
  parameters: readonly Bytes[],
): readonly Bytes[] {
  const methods = crypto as unknown as Readonly<Record<string, (...all: Bytes[]) => Result>>;
  if (!Object.hasOwn(methods, method)) throw new Error(`the Crypto port has no method ${method}`);
  const result = methods[method]?.(...parameters);
  if (result === undefined) return [];
  return [typeof result === "boolean" ? Uint8Array.of(result ? 1 : 0) : result];
}

/** A provider whose work is done on the other side, as a device's is done by its C library. */
export function remoteCrypto(
  name: string,
  call: (method: string, ...parameters: Bytes[]) => readonly Bytes[],
): Crypto {
  const bytes =
    (method: string) =>
    (...parameters: Bytes[]) =>
      call(method, ...parameters)[0] as never;
  const truth =
    (method: string) =>
    (...parameters: Bytes[]) =>
      call(method, ...parameters)[0]?.[0] === 1;
  return {
    name,
    sha256: bytes("sha256"),
    ripemd160: bytes("ripemd160"),
    hmacSha256: bytes("hmacSha256"),
    hmacSha512: bytes("hmacSha512"),
    isSecretKey: truth("isSecretKey"),
    isPublicKey: truth("isPublicKey"),
    publicKeyOf: bytes("publicKeyOf"),
    publicKeyTweakAdd: bytes("publicKeyTweakAdd"),
    publicKeyTweakMultiply: bytes("publicKeyTweakMultiply"),
    publicKeyAdd: bytes("publicKeyAdd"),
    secretKeyTweakAdd: bytes("secretKeyTweakAdd"),
    secretKeyTweakMultiply: bytes("secretKeyTweakMultiply"),
    sign: bytes("sign"),
    verify: truth("verify"),
    ecdh: bytes("ecdh"),
    encrypt: bytes("encrypt"),
    decrypt: bytes("decrypt"),
  };
}
