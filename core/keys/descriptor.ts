/**
 * Output descriptors of what an owner's wallet can spend, with their checksum (BIP 380, BIP 382).
 */
import { assert } from "../primitives/errors.ts";

const INPUT_CHARACTERS =
  "0123456789()[],'/*abcdefgh@:$%{}" +
  "IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~" +
  'ijklmnopqrstuvwxyzABCDEFGH`#"\\ ';
const CHECKSUM_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/**
 * The generator's 40-bit constants as [upper 8 bits, lower 32 bits]: bit operations on numbers end
 * at 32.
 */
const GENERATOR = [
  [0xf5, 0xdee51989],
  [0xa9, 0xfdca3312],
  [0x1b, 0xab10e32d],
  [0x37, 0x06b1677a],
  [0x64, 0x4d626ffd],
] as const;

/** `descriptor#checksum`. */
export function withChecksum(descriptor: string): string {
  return `${descriptor}#${descriptorChecksum(descriptor)}`;
}

/** Eight characters (BIP 380). */
export function descriptorChecksum(descriptor: string): string {
  const symbols: number[] = [];
  let group = 0;
  let grouped = 0;
  for (const character of descriptor) {
    const position = INPUT_CHARACTERS.indexOf(character);
    assert(position >= 0, "a descriptor has a character that BIP 380 does not know");
    symbols.push(position & 31);
    group = group * 3 + (position >> 5);
    if (++grouped === 3) {
      symbols.push(group);
      group = 0;
      grouped = 0;
    }
  }
  if (grouped > 0) symbols.push(group);
  return characters(polymod([...symbols, 0, 0, 0, 0, 0, 0, 0, 0]));
}

interface Checksum {
  readonly upper: number;
  readonly lower: number;
}

function polymod(symbols: readonly number[]): Checksum {
  let upper = 0;
  let lower = 1;
  for (const symbol of symbols) {
    const top = upper >>> 3;
    upper = ((upper & 7) << 5) | (lower >>> 27);
    lower = ((lower << 5) ^ symbol) >>> 0;
    GENERATOR.forEach(([high, low], bit) => {
      if (((top >>> bit) & 1) === 0) return;
      upper ^= high;
      lower = (lower ^ low) >>> 0;
    });
  }
  return { upper, lower: (lower ^ 1) >>> 0 };
}

function characters({ upper, lower }: Checksum): string {
  let text = "";
  const value = upper * 2 ** 32 + lower;
  for (let i = 7; i >= 0; i--) {
    text += CHECKSUM_CHARACTERS[Math.floor(value / 32 ** i) % 32];
  }
  return text;
}
