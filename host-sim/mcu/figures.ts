/** What the machine counts of itself (struct Figures of platform/mcu.h), read from its memory while it runs. */
import { execFileSync } from "node:child_process";

export interface McuFigures {
  readonly heapBytes: number;
  readonly heapPeak: number;
  readonly allocations: number;
  readonly chunkPeak: number;
  readonly slotPeak: number;
  /** Slots of 16 bytes. */
  readonly engineStackPeak: number;
  readonly cStackPeak: number;
  /** .data and .bss. */
  readonly staticBytes: number;
  readonly flashSteps: number;
  /** Instructions while it was not asleep. */
  readonly busyInstructions: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly collections: number;
  /** Since power came. */
  readonly restarts: number;
  /** Instructions of work ahead and of a collection when there was nothing else to do. */
  readonly idleInstructions: number;
}

const FIGURES_MAGIC = 0x50464947;
export const FIGURES_BYTES = 80;

/** From the monitor's answer: lines `address: 0x… 0x…`. */
export function decodeFigures(answer: string): McuFigures {
  const words = [...answer.matchAll(/^[0-9a-f]{8,}:((?: 0x[0-9a-f]{8})+)/gm)]
    .flatMap(([, line]) => (line as string).trim().split(" "))
    .map(Number);
  if (words[0] !== FIGURES_MAGIC) throw new Error("the machine has not come up: no figures");
  const [, heapBytes, heapPeak, allocations, , chunkPeak, , slotPeak, engineStackPeak] =
    words as number[];
  const [cStackPeak, staticBytes, flashSteps, low, high] = words
    .slice(9, 12)
    .concat(words.slice(12));
  const [receivedBytes, sentBytes, collections, restarts, idleLow, idleHigh] = words.slice(14);
  const known = (value: number | undefined): number => {
    if (value === undefined) throw new Error("the machine's figures are cut short");
    return value;
  };
  return {
    heapBytes: known(heapBytes),
    heapPeak: known(heapPeak),
    allocations: known(allocations),
    chunkPeak: known(chunkPeak),
    slotPeak: known(slotPeak),
    engineStackPeak: known(engineStackPeak),
    cStackPeak: known(cStackPeak),
    staticBytes: known(staticBytes),
    flashSteps: known(flashSteps),
    busyInstructions: known(low) + known(high) * 2 ** 32,
    receivedBytes: known(receivedBytes),
    sentBytes: known(sentBytes),
    collections: known(collections),
    restarts: known(restarts),
    idleInstructions: known(idleLow) + known(idleHigh) * 2 ** 32,
  };
}

export function symbolAddress(elf: string, name: string): number {
  const text = execFileSync("riscv64-unknown-elf-nm", [elf], { encoding: "utf8" });
  const line = text.split("\n").find((one) => one.endsWith(` ${name}`));
  if (!line) throw new Error(`${elf} has no symbol ${name}`);
  return Number.parseInt(line, 16);
}
