/** What the emulated microcontroller's program is told in its straps (struct Straps of platform/mcu.h): nothing, or that its crypto is wanted alone. */
import { ascii, equal } from "../../core/primitives/bytes.ts";

export function cryptoStraps(): Uint8Array {
  return ascii("crypto");
}

/** Everything else the program knows from its flash, as on any board. */
export function wantsCryptoAlone(settings: Uint8Array): boolean {
  return equal(settings, cryptoStraps());
}
