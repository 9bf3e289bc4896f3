/** A raw data partition (`embedded:storage/flash`), by its name in the partition table. */
import FlashStorage from "embedded:storage/flash";
import type { Flash } from "../store/flash.ts";

export function openPartition(path: string): Flash {
  const flash = FlashStorage.open({ path, mode: "r+" });
  const { size, blockLength } = flash.status();
  return {
    size,
    sectorSize: blockLength,
    read(offset, length) {
      const out = new Uint8Array(length);
      flash.read(out, offset);
      return out;
    },
    program(offset, bytes) {
      flash.write(bytes, offset);
    },
    erase(sector) {
      flash.eraseBlock(sector);
    },
  };
}
