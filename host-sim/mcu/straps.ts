/** What the emulated microcontroller is told at its start: faults, entropy, settings (struct Straps of platform/mcu.h). */
import { CborEncoder, decodeCbor } from "../../core/messages/cbor.ts";
import { messageLimits } from "../../core/messages/codec.ts";
import { assert } from "../../core/primitives/errors.ts";

/** Of the device's program on this machine. */
export interface McuSettings {
  readonly seed: Uint8Array;
  readonly gatewayId: Uint8Array;
  /** "vending" or "payer". */
  readonly app: string;
  readonly products: readonly {
    readonly id: number;
    readonly name: string;
    readonly priceMsat: number;
  }[];
  readonly toSelfDelay: number;
  readonly minimumDepth: number;
}

export function encodeSettings(settings: McuSettings): Uint8Array {
  const { seed, gatewayId, app, products, toSelfDelay, minimumDepth } = settings;
  const listed = products.map(({ id, name, priceMsat }) => [id, name, priceMsat]);
  return new CborEncoder()
    .encode([seed, gatewayId, app, listed, toSelfDelay, minimumDepth])
    .slice();
}

export function decodeSettings(bytes: Uint8Array): McuSettings {
  const value = decodeCbor(bytes, { ...messageLimits(bytes.length), views: false });
  assert(Array.isArray(value) && value.length === 6, "the straps hold no settings");
  const [seed, gatewayId, app, products, toSelfDelay, minimumDepth] = value as [
    Uint8Array,
    Uint8Array,
    string,
    [number, string, number][],
    number,
    number,
  ];
  return {
    seed,
    gatewayId,
    app,
    products: products.map(([id, name, priceMsat]) => ({ id, name, priceMsat })),
    toSelfDelay,
    minimumDepth,
  };
}
