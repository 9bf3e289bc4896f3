/** What a chip starts from its flash: the first program of the partition table, if it is whole and for this chip. */
import { createHash } from "node:crypto";
import type { Chip } from "./chips.ts";
import type { SpiFlash } from "./spi-flash.ts";

const TABLE_OFFSET = 0x8000;
const TABLE_BYTES = 0xc00;
const ENTRY_BYTES = 32;
const ENTRY_MAGIC = 0x50aa;
const APP_TYPE = 0;
const IMAGE_MAGIC = 0xe9;
const HEADER_BYTES = 24;
const SEGMENT_HEADER_BYTES = 8;
const HASH_BYTES = 32;
/** What the ROM says where the flash is erased. */
const NOTHING = "invalid header: 0xffffffff";

export interface Startable {
  readonly app?: { readonly offset: number };
  /** What the chip prints instead. */
  readonly problem?: string;
}

export function startableApp(chip: Chip, flash: SpiFlash): Startable {
  if (flash.read(chip.bootloaderOffset, 1)[0] !== IMAGE_MAGIC) return { problem: NOTHING };
  const offset = firstApp(flash.read(TABLE_OFFSET, TABLE_BYTES));
  if (offset === undefined) return { problem: "E (29) boot: Failed to verify partition table" };
  const problem = imageProblem(chip, flash, offset);
  return problem ? { problem: `E (40) boot: ${problem}` } : { app: { offset } };
}

function firstApp(table: Uint8Array): number | undefined {
  const view = new DataView(table.buffer, table.byteOffset);
  for (let at = 0; at + ENTRY_BYTES <= table.length; at += ENTRY_BYTES) {
    if (view.getUint16(at, true) !== ENTRY_MAGIC) return undefined;
    if (table[at + 2] === APP_TYPE) return view.getUint32(at + 4, true);
  }
  return undefined;
}

function imageProblem(chip: Chip, flash: SpiFlash, offset: number): string | undefined {
  const header = flash.read(offset, HEADER_BYTES);
  const view = new DataView(header.buffer);
  if (header[0] !== IMAGE_MAGIC) return `Image at 0x${offset.toString(16)} has no valid magic byte`;
  if (view.getUint16(12, true) !== chip.imageChipId) return "Image is for another chip";
  let at = offset + HEADER_BYTES;
  for (let segment = 0; segment < (header[1] as number); segment++) {
    const length = new DataView(flash.read(at + 4, 4).buffer).getUint32(0, true);
    at += SEGMENT_HEADER_BYTES + length;
    if (at > flash.size) return "Segment is out of range";
  }
  const end = offset + Math.ceil((at - offset + 1) / 16) * 16;
  const hash = createHash("sha256")
    .update(flash.read(offset, end - offset))
    .digest();
  const stored = Buffer.from(flash.read(end, HASH_BYTES));
  return header[23] !== 1 || hash.equals(stored) ? undefined : "Checksum failed";
}
