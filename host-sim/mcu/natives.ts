/** The host functions of the emulated microcontroller (platform/natives.c), as its program sees them. */
import type { NativeFunctions } from "../../firmware/crypto/native.ts";

export interface BoardFunctions {
  print(line: string): void;
  uartWrite(bytes: Uint8Array): void;
  flashRead(offset: number, length: number): ArrayBuffer;
  /** Throws where a bit would have to be set. */
  flashProgram(offset: number, bytes: Uint8Array): void;
  flashErase(sector: number): void;
  flashIsErased(offset: number, length: number): boolean;
  flashHolds(offset: number, bytes: Uint8Array): boolean;
  crc32(bytes: Uint8Array, previous: number): number;
  nowMs(): number;
  /** What whoever started the machine wrote into its straps (straps.ts). */
  settings(): ArrayBuffer;
  /** 0 power, 1 restart, 2 crash, 3 watchdog. */
  resetReason(): number;
  restart(): void;
  heapBytes(): number;
  retainedRead(): ArrayBuffer;
  retainedWrite(bytes: Uint8Array): void;
}

declare global {
  const picoboltNative: NativeFunctions;
  const picoboltBoard: BoardFunctions;
}
