/** The Crypto port across the bridge: methods called by name with byte strings, in either direction. */
import type { Crypto } from "../../core/ports/crypto.ts";
import { ascii } from "../../core/primitives/bytes.ts";

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

/** A provider whose work is done on the other side, as a device's is done by its C library: `call` takes method and parameters. */
export function remoteCrypto(
  name: string,
  call: (request: readonly Bytes[]) => readonly Bytes[],
): Crypto {
  // Few frames and no rest parameters: a device's crypto takes little of the stack too.
  const bytes = (method: string) => {
    const called = ascii(method);
    return (a: Bytes, b?: Bytes, c?: Bytes, d?: Bytes) =>
      call(request(called, a, b, c, d))[0] as never;
  };
  const truth = (method: string) => {
    const called = ascii(method);
    return (a: Bytes, b?: Bytes, c?: Bytes) => call(request(called, a, b, c))[0]?.[0] === 1;
  };
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

const PORT = ascii("crypto");

function request(called: Bytes, a: Bytes, b?: Bytes, c?: Bytes, d?: Bytes): readonly Bytes[] {
  if (b === undefined) return [PORT, called, a];
  if (c === undefined) return [PORT, called, a, b];
  return d === undefined ? [PORT, called, a, b, c] : [PORT, called, a, b, c, d];
}
