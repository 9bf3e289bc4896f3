/** An ESP-IDF partition table, and which partitions hold what must never be overwritten. */
import { createHash } from "node:crypto";

export const TABLE_OFFSET = 0x8000;
export const TABLE_BYTES = 0xc00;
const ENTRY_BYTES = 32;
const ENTRY_MAGIC = 0x50aa;
const MD5_MAGIC = 0xebeb;
const MD5_AT = 16;
const APP = 0;
const DATA = 1;
const DATA_OTA = 0x00;
const DATA_PHY = 0x01;

export interface Partition {
  readonly name: string;
  readonly type: number;
  readonly subtype: number;
  readonly offset: number;
  readonly size: number;
}

/** The entries; undefined where this is no partition table or a damaged one. */
export function parsePartitions(table: Uint8Array): readonly Partition[] | undefined {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const found: Partition[] = [];
  for (let at = 0; at + ENTRY_BYTES <= table.length; at += ENTRY_BYTES) {
    const magic = view.getUint16(at, true);
    if (magic === MD5_MAGIC) {
      const digest = createHash("md5").update(table.subarray(0, at)).digest();
      if (!digest.equals(table.subarray(at + MD5_AT, at + ENTRY_BYTES))) return undefined;
      continue;
    }
    if (magic !== ENTRY_MAGIC) break;
    const name = Buffer.from(table.subarray(at + 12, at + 28)).toString("latin1");
    found.push({
      name: name.replace(/\0.*$/s, ""),
      type: table[at + 2] as number,
      subtype: table[at + 3] as number,
      offset: view.getUint32(at + 4, true),
      size: view.getUint32(at + 8, true),
    });
  }
  return found.length > 0 ? found : undefined;
}

export function isApp({ type }: Partition): boolean {
  return type === APP;
}

/** Which of the two programs starts. */
export function isOtaData({ type, subtype }: Partition): boolean {
  return type === DATA && subtype === DATA_OTA;
}

/** Channel records, keys, settings: whatever is neither a program nor the boot loader's and radio's own notes. */
export function isPrecious({ type, subtype }: Partition): boolean {
  return type !== APP && !(type === DATA && (subtype === DATA_OTA || subtype === DATA_PHY));
}

export function overlaps(
  partition: Partition,
  part: { readonly address: number; readonly data: Uint8Array },
): boolean {
  return (
    part.address < partition.offset + partition.size &&
    part.address + part.data.length > partition.offset
  );
}
