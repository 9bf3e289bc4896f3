/** A Crypto that works each derivation and signature out once: an exploration asks for the same ones again and again. */
import type { Crypto } from "../../core/ports/crypto.ts";

const REMEMBERED = [
  "hmacSha256",
  "hmacSha512",
  "secretKeyTweakAdd",
  "publicKeyOf",
  "publicKeyTweakAdd",
  "publicKeyTweakMultiply",
  "publicKeyAdd",
  "sign",
  "verify",
] as const satisfies readonly (keyof Crypto)[];

type Operation = (...parts: Uint8Array[]) => Uint8Array | boolean;

export function remembering(crypto: Crypto): Crypto {
  const known = new Map<string, Uint8Array | boolean>();
  const remembered = REMEMBERED.map((name): [string, Operation] => {
    const work = crypto[name] as Operation;
    return [
      name,
      (...parts) => {
        const key = `${name} ${parts.map((part) => Buffer.from(part).toString("latin1")).join("|")}`;
        let value = known.get(key);
        if (value === undefined) {
          value = work.apply(crypto, parts);
          known.set(key, value);
        }
        // Whoever asked may wipe what it got.
        return value instanceof Uint8Array ? value.slice() : value;
      },
    ];
  });
  return { ...crypto, ...Object.fromEntries(remembered) };
}
