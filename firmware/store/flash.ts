/** What a raw flash partition offers: NOR semantics, on the ESP32 (esp_partition) and in the simulator alike. */
import { equal } from "../../core/primitives/bytes.ts";
import { crc32 } from "../../core/primitives/crc32.ts";

export interface Flash {
  /** Whole sectors, in bytes. */
  readonly size: number;
  /** The unit of erasing; 4096 on every chip we know. */
  readonly sectorSize: number;
  /** A copy of `length` bytes from `offset`. */
  read(offset: number, length: number): Uint8Array;
  /** Clears bits: 1 becomes 0, never the other way. Power may fail after any part of it. */
  program(offset: number, bytes: Uint8Array): void;
  /** Sets every bit of sector number `sector`. Power may fail half way. */
  erase(sector: number): void;
  /** Whether every byte is erased; where the platform can tell it quicker than by reading. */
  isErased?(offset: number, length: number): boolean;
  /** Whether these bytes stand at `offset`; where the platform can tell it quicker than by reading. */
  holds?(offset: number, bytes: Uint8Array): boolean;
  /** As core's `crc32`, to the bit; where the platform has it in machine code. */
  crc32?(bytes: Uint8Array, previous: number): number;
}

export type Crc32 = typeof crc32;

export function crc32Of(flash: Flash): Crc32 {
  return flash.crc32 ? (bytes, previous = 0) => flash.crc32!(bytes, previous) : crc32;
}

/** What an erased byte reads as. */
export const ERASED = 0xff;

/** Whether all of a part of the flash is erased. */
export function isErasedIn(flash: Flash, offset: number, length: number): boolean {
  if (flash.isErased) return flash.isErased(offset, length);
  return isErased(flash.read(offset, length));
}

/** Whether `bytes` stand at `offset`. */
export function holdsIn(flash: Flash, offset: number, bytes: Uint8Array): boolean {
  if (flash.holds) return flash.holds(offset, bytes);
  return equal(flash.read(offset, bytes.length), bytes);
}

/** A loop: a closure for each of half a million bytes takes a device seconds. */
function isErased(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== ERASED) return false;
  return true;
}
