/** The SPI flash beside an ESP chip: kept in a file, erased by sectors, programmed by clearing bits. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const SECTOR_BYTES = 4096;
const ERASED = 0xff;
const MEGABYTE = 1024 * 1024;
/** Manufacturer and type of a common chip; its third byte is the size's logarithm. */
const FLASH_ID_LOW = 0x40ef;

export class SpiFlash {
  readonly size: number;
  private readonly bytes: Uint8Array;

  constructor(
    private readonly file: string | undefined,
    megabytes = 4,
  ) {
    this.size = megabytes * MEGABYTE;
    this.bytes = new Uint8Array(this.size).fill(ERASED);
    if (file && existsSync(file)) this.bytes.set(readFileSync(file).subarray(0, this.size));
  }

  /** As the chip answers RDID. */
  get id(): number {
    return FLASH_ID_LOW | (Math.log2(this.size) << 16);
  }

  /** Whole sectors; false where they are not all there. */
  erase(offset: number, length: number): boolean {
    const from = offset - (offset % SECTOR_BYTES);
    const to = Math.ceil((offset + length) / SECTOR_BYTES) * SECTOR_BYTES;
    if (to > this.size) return false;
    this.bytes.fill(ERASED, from, to);
    return true;
  }

  /** Clears bits and sets none, as NOR does: what was not erased becomes neither the old nor the new. */
  program(offset: number, data: Uint8Array): boolean {
    if (offset + data.length > this.size) return false;
    data.forEach((byte, index) => {
      this.bytes[offset + index]! &= byte;
    });
    return true;
  }

  read(offset: number, length: number): Uint8Array {
    return this.bytes.slice(offset, offset + length);
  }

  md5(offset: number, length: number): Uint8Array {
    return createHash("md5")
      .update(this.bytes.subarray(offset, offset + length))
      .digest();
  }

  /** One cell that does not hold what it was given. */
  corrupt(offset: number): void {
    this.bytes[offset]! ^= 0x01;
  }

  save(): void {
    if (this.file) writeFileSync(this.file, this.bytes);
  }
}
