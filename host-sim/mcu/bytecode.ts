/** The compiled program and the maker's flash, as the frozen machine refers to them: functions, host functions, strings. */
import type { Outside } from "./pack.ts";

const FLASH_ADDRESS = 0x20000000;
const PROGRAM = "program_code";
const TYPES = "gxTypeDispatches";
/** Bytes on a line of assembly. */
const LINE_BYTES = 64;

interface Stretch {
  readonly start: number;
  readonly length: number;
}

/** What is to be linked beside the frozen machine; it grows while that is packed. */
export class FlashContents implements Outside {
  private readonly flash: Buffer;
  private readonly program: number;
  private readonly functions: ReadonlyMap<number, number>;
  private readonly symbolAt: ReadonlyMap<number, string>;
  private readonly used = new Set<number>();
  private readonly strings = new Map<string, string>();

  /** `flash`: the maker's; `symbols`: what `nm` prints of it; `compiled`: program.c, of compile.c. */
  constructor(flash: Buffer, symbols: string, compiled: string) {
    this.flash = flash;
    const named = [...symbols.matchAll(/^([0-9a-f]+) ([A-Z]) (\S+)$/gm)];
    this.symbolAt = new Map(
      named.map(([, at = "", , name = ""]) => [Number.parseInt(at, 16), name]),
    );
    this.program = addressOf(this.symbolAt, PROGRAM);
    const found = compiled.matchAll(/^\/\* function (\d+) (\d+) \*\/$/gm);
    this.functions = new Map([...found].map(([, at, length]) => [Number(at), Number(length)]));
  }

  stringAt(address: number): Buffer {
    const start = address - FLASH_ADDRESS;
    return this.flash.subarray(start, this.flash.indexOf(0, start));
  }

  labelOf(text: Buffer): string {
    const key = text.toString("latin1");
    const label = this.strings.get(key) ?? `.Ls${this.strings.size}`;
    this.strings.set(key, label);
    return label;
  }

  codeAt(address: number): string {
    const offset = address - this.program;
    if (this.functions.has(offset)) {
      this.used.add(offset);
      return functionLabel(offset);
    }
    const symbol = this.symbolAt.get(address);
    if (symbol === undefined)
      throw new Error(`nothing is known of code at ${address.toString(16)}`);
    return symbol;
  }

  tableAt(address: number): string {
    const table = addressOf(this.symbolAt, TYPES);
    return `${TYPES}+${address - table}`;
  }

  /** Functions that the machine has, each with those inside it; what ran once, when it was made, is gone. */
  bytecode(): { readonly assembly: readonly string[]; readonly bytes: number } {
    const outermost: Stretch[] = [];
    const lines = ['.section .rodata.bytecode,"a"'];
    let bytes = 0;
    for (const start of [...this.used].sort((a, b) => a - b)) {
      const around = outermost.at(-1);
      if (around && start < around.start + around.length) {
        lines.push(
          `.set ${functionLabel(start)},${functionLabel(around.start)}+${start - around.start}`,
        );
        continue;
      }
      const length = this.functions.get(start) as number;
      outermost.push({ start, length });
      const from = this.program - FLASH_ADDRESS + start;
      lines.push(
        `${functionLabel(start)}:`,
        ...byteLines(this.flash.subarray(from, from + length)),
      );
      bytes += length;
    }
    return { assembly: lines, bytes };
  }

  /** Each once; the linker lets one end be the end of another. */
  texts(): { readonly assembly: readonly string[]; readonly bytes: number } {
    const lines = ['.section .rodata.frozen.str,"aMS",@progbits,1'];
    let bytes = 0;
    for (const [text, label] of this.strings) {
      const contents = Buffer.from(`${text}\0`, "latin1");
      lines.push(`${label}:`, ...byteLines(contents));
      bytes += contents.length;
    }
    return { assembly: lines, bytes };
  }
}

function addressOf(symbolAt: ReadonlyMap<number, string>, wanted: string): number {
  for (const [address, name] of symbolAt) if (name === wanted) return address;
  throw new Error(`the maker has no ${wanted}`);
}

function functionLabel(offset: number): string {
  return `.Lf${offset}`;
}

function byteLines(bytes: Buffer): readonly string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    lines.push(`.byte ${[...bytes.subarray(at, at + LINE_BYTES)].join()}`);
  }
  return lines;
}
