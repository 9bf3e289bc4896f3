/** Freezes the machine: runs the image without one on a larger emulated machine, twice, and turns what it prints into flash contents. */
import { spawn } from "node:child_process";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../xs/build-steps.ts";

const FLASH_ADDRESS = 0x20000000;
const BANK_BYTES = 32 * 1024 * 1024;
/** As in platform/mcu.h and platform/image.c. */
const ROM_ADDRESS = 0x20400000;
const ARENA_A = 0x80200000;
const ARENA_B = 0x80500000;
const WHICH_ARENA = 0x203ffff0;
const MAKING_MS = 120_000;

/** Writes flash0.bin into `folder`; returns the frozen machine's bytes. */
export async function makeImage(folder: string, elf: string): Promise<number> {
  const plain = join(folder, "code.bin");
  await run("riscv64-unknown-elf-objcopy", ["-O", "binary", elf, plain], folder);
  const code = readFileSync(plain);
  const file = join(folder, "flash0.bin");
  const a = await dumpOf(file, code, 0);
  const b = await dumpOf(file, code, 1);
  const frozen = rebased(a, b);
  writeBank(file, code, { frozen });
  return frozen.length;
}

interface BankParts {
  readonly arena?: 0 | 1;
  readonly frozen?: Buffer;
}

function writeBank(file: string, code: Buffer, { arena, frozen }: BankParts): void {
  const end = frozen
    ? ROM_ADDRESS - FLASH_ADDRESS + frozen.length
    : ROM_ADDRESS - FLASH_ADDRESS + 4;
  const bank = Buffer.alloc(end, 0xff);
  code.copy(bank);
  if (arena !== undefined) bank.writeUInt32LE(arena, WHICH_ARENA - FLASH_ADDRESS);
  frozen?.copy(bank, ROM_ADDRESS - FLASH_ADDRESS);
  writeFileSync(file, bank);
  truncateSync(file, BANK_BYTES);
}

/** Words that stand together in the memory of the machine that made them. */
interface Part {
  readonly address: number;
  readonly words: readonly number[];
}

/** What the machine holds when it is made in arena A or B: its heap, and the used end of its stack. */
async function dumpOf(file: string, code: Buffer, arena: 0 | 1): Promise<readonly [Part, Part]> {
  writeBank(file, code, { arena });
  const text = await outputOf(file);
  const found = /HEAP ([0-9a-f]+)\n([\s\S]*?)STACK ([0-9a-f]+)\n([\s\S]*?)END\n/.exec(text);
  if (!found) throw new Error(`the machine could not be frozen:\n${text.slice(-2000)}`);
  const [, heap, heapWords, stack, stackWords] = found as unknown as string[];
  return [partOf(heap, heapWords), partOf(stack, stackWords)];
}

function partOf(address = "", words = ""): Part {
  const values = words.trim().split("\n");
  return {
    address: Number.parseInt(address, 16),
    words: values.map((word) => Number.parseInt(word, 16)),
  };
}

function outputOf(file: string): Promise<string> {
  const words = [
    ...["-M", "virt", "-cpu", "rv32,f=off,d=off,a=off", "-m", "8M", "-bios", "none"],
    ...["-drive", `if=pflash,format=raw,unit=0,readonly=on,file=${file}`],
    ...["-display", "none", "-monitor", "none", "-serial", "stdio"],
  ];
  return new Promise((resolve, reject) => {
    const child = spawn("qemu-system-riscv32", words, {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: MAKING_MS,
    });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", reject);
    child.on("close", () => resolve(Buffer.concat(chunks).toString("latin1").replaceAll("\r", "")));
  });
}

/** Words that differ between the two by the distance of the arenas are addresses: they move to where the flash is. */
function rebased(a: readonly [Part, Part], b: readonly [Part, Part]): Buffer {
  const [heap, stack] = a;
  const inFlash = (address: number): number | undefined => {
    const inHeap = address - heap.address;
    const inStack = address - stack.address;
    if (inHeap >= 0 && inHeap <= heap.words.length * 4) return ROM_ADDRESS + inHeap;
    // The bottom of the stack is not there: nothing in a frozen machine grows.
    const isStack = inStack <= stack.words.length * 4 && address >= heap.address;
    return isStack ? ROM_ADDRESS + heap.words.length * 4 + Math.max(0, inStack) : undefined;
  };
  const words = a.flatMap((part) => part.words);
  const others = b.flatMap((part) => part.words);
  if (words.length !== others.length) throw new Error("the two frozen machines differ in size");
  const out = Buffer.alloc(words.length * 4);
  words.forEach((word, i) => {
    const isAddress = ((others[i] as number) - word) >>> 0 === ARENA_B - ARENA_A;
    const moved = isAddress ? inFlash(word) : word;
    if (moved === undefined || (!isAddress && word !== others[i])) {
      throw new Error(`word ${i} of the frozen machine (${word.toString(16)}) cannot be moved`);
    }
    out.writeUInt32LE(moved, i * 4);
  });
  return out;
}

/** Code and constants that stay in flash, and what is copied to RAM at start. */
export async function codeBytes(elf: string): Promise<number> {
  const text = await run("riscv64-unknown-elf-size", [elf], ".");
  const [code, data] = (text.trim().split("\n")[1] as string).trim().split(/\s+/).map(Number);
  return (code as number) + (data as number);
}
