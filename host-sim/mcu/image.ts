/** Freezes the machine: runs its maker on a larger emulated machine, twice, and turns what it prints into what the linker takes. */
import { spawn } from "node:child_process";
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../xs/build-steps.ts";
import { FlashContents } from "./bytecode.ts";
import { type Dump, type Packed, type Part, pack } from "./pack.ts";

const FLASH_ADDRESS = 0x20000000;
const BANK_BYTES = 32 * 1024 * 1024;
/** As in platform/maker.c. */
const ARENA_A = 0x80200000;
const ARENA_B = 0x80500000;
const WHICH_ARENA = 0x203ffff0;
const MAKING_MS = 120_000;

export interface FrozenMachine {
  /** Of the assembler: the machine, its bytecode and its strings. */
  readonly assembly: string;
  readonly frozenBytes: number;
  readonly bytecodeBytes: number;
  readonly kinds: Packed["kinds"];
}

/** Runs the maker (an ELF file with `compiled`, compile.c's program.c, in it) and freezes what it makes. */
export async function freezeMachine(
  folder: string,
  maker: string,
  compiled: string,
): Promise<FrozenMachine> {
  const code = await binaryOf(folder, maker);
  const named = join(folder, "symbols.txt");
  await run("sh", ["-c", 'riscv64-unknown-elf-nm "$0" > "$1"', maker, named], folder);
  const symbols = readFileSync(named, "utf8");
  rmSync(named);
  const file = join(folder, "maker.bin");
  const a = await dumpOf(file, code, 0);
  const b = await dumpOf(file, code, 1);
  rmSync(file);
  const flash = new FlashContents(code, symbols, compiled);
  const machine = pack(a, b, ARENA_B - ARENA_A, flash);
  const bytecode = flash.bytecode();
  const texts = flash.texts();
  const lines = [...machine.assembly, ...bytecode.assembly, ...texts.assembly, ""];
  return {
    assembly: lines.join("\n"),
    frozenBytes: machine.bytes + texts.bytes,
    bytecodeBytes: bytecode.bytes,
    kinds: machine.kinds,
  };
}

/** Writes the first flash bank of the device to `file`. */
export async function writeFlash(folder: string, elf: string, file: string): Promise<void> {
  writeBank(file, await binaryOf(folder, elf));
}

async function binaryOf(folder: string, elf: string): Promise<Buffer> {
  const plain = join(folder, "code.bin");
  await run("riscv64-unknown-elf-objcopy", ["-O", "binary", elf, plain], folder);
  const code = readFileSync(plain);
  rmSync(plain);
  return code;
}

function writeBank(file: string, code: Buffer, arena?: 0 | 1): void {
  const bank = Buffer.alloc(WHICH_ARENA + 4 - FLASH_ADDRESS, 0xff);
  code.copy(bank);
  if (arena !== undefined) bank.writeUInt32LE(arena, WHICH_ARENA - FLASH_ADDRESS);
  writeFileSync(file, bank);
  truncateSync(file, BANK_BYTES);
}

/** What the machine holds when it is made in arena A or B: its heap, and the used end of its stack. */
async function dumpOf(file: string, code: Buffer, arena: 0 | 1): Promise<Dump> {
  writeBank(file, code, arena);
  const text = await outputOf(file);
  const found = /HEAP ([0-9a-f]+)\n([\s\S]*?)STACK ([0-9a-f]+)\n([\s\S]*?)END\n/.exec(text);
  if (!found) throw new Error(`the machine could not be frozen:\n${text.slice(-2000)}`);
  const [, heap, heapWords, stack, stackWords] = found as unknown as string[];
  return { heap: partOf(heap, heapWords), stack: partOf(stack, stackWords) };
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

/** All that stays in flash, and what is copied to RAM at start. */
export async function codeBytes(elf: string): Promise<number> {
  const text = await run("riscv64-unknown-elf-size", [elf], ".");
  const [code, data] = (text.trim().split("\n")[1] as string).trim().split(/\s+/).map(Number);
  return (code as number) + (data as number);
}
