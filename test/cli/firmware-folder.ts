/** A small firmware as a build would leave it: boot loader, partition table, program, and the manifest that names them. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface FirmwareOptions {
  readonly chipFamily?: "ESP32" | "ESP32-S3" | "ESP32-C3";
  /** Of the program, before header and sums. */
  readonly programBytes?: number;
  readonly seed?: number;
  readonly recordsOffset?: number;
}

const FAMILIES = {
  ESP32: { chipId: 0, bootloader: 0x1000 },
  "ESP32-S3": { chipId: 9, bootloader: 0 },
  "ESP32-C3": { chipId: 5, bootloader: 0 },
};

export const PROGRAM_OFFSET = 0x10000;
export const RECORDS_OFFSET = 0x310000;

/** Writes the folder and returns its path. */
export function firmwareFolder(path: string, options: FirmwareOptions = {}): string {
  const { chipFamily = "ESP32", programBytes = 200_000, seed = 1 } = options;
  const { chipId, bootloader } = FAMILIES[chipFamily];
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "bootloader.bin"), espImage(chipId, noise(20_000, 99)));
  writeFileSync(join(path, "partitions.bin"), partitionTable(options.recordsOffset));
  writeFileSync(join(path, "picobolt.bin"), espImage(chipId, noise(programBytes, seed)));
  const manifest = {
    name: "picobolt",
    version: "0.2.0",
    builds: [
      {
        chipFamily,
        parts: [
          { path: "bootloader.bin", offset: bootloader },
          { path: "partitions.bin", offset: 0x8000 },
          { path: "picobolt.bin", offset: PROGRAM_OFFSET },
        ],
      },
    ],
  };
  writeFileSync(join(path, "manifest.json"), JSON.stringify(manifest));
  return path;
}

/** Header, extended header, one segment, checksum, SHA-256 (ESP-IDF "App Image Format"). */
export function espImage(chipId: number, segment: Uint8Array): Uint8Array {
  const end = Math.ceil((24 + 8 + segment.length + 1) / 16) * 16;
  const image = Buffer.alloc(end + 32);
  image.set([0xe9, 1, 2, 0x20]);
  image.writeUInt32LE(0x40080000, 4);
  image.writeUInt16LE(chipId, 12);
  image[23] = 1;
  image.writeUInt32LE(0x3f400020, 24);
  image.writeUInt32LE(segment.length, 28);
  image.set(segment, 32);
  image[end - 1] = segment.reduce((sum, byte) => sum ^ byte, 0xef);
  createHash("sha256").update(image.subarray(0, end)).digest().copy(image, end);
  return image;
}

function partitionTable(recordsOffset = RECORDS_OFFSET): Uint8Array {
  const entries = [
    { name: "settings", type: 1, subtype: 0x40, offset: 0x9000, size: 0x4000 },
    { name: "otadata", type: 1, subtype: 0x00, offset: 0xd000, size: 0x2000 },
    { name: "ota_0", type: 0, subtype: 0x10, offset: PROGRAM_OFFSET, size: 0x180000 },
    { name: "ota_1", type: 0, subtype: 0x11, offset: 0x190000, size: 0x180000 },
    { name: "records", type: 1, subtype: 0x41, offset: recordsOffset, size: 0x40000 },
  ];
  const table = Buffer.alloc(0xc00, 0xff);
  entries.forEach(({ name, type, subtype, offset, size }, index) => {
    const at = index * 32;
    table.fill(0, at, at + 32);
    table.set([0xaa, 0x50, type, subtype], at);
    table.writeUInt32LE(offset, at + 4);
    table.writeUInt32LE(size, at + 8);
    table.write(name, at + 12, "latin1");
  });
  const at = entries.length * 32;
  table.set([0xeb, 0xeb], at);
  createHash("md5")
    .update(table.subarray(0, at))
    .digest()
    .copy(table, at + 16);
  return table;
}

/** Bytes that do not compress, the same for the same seed. */
function noise(length: number, seed: number): Uint8Array {
  const out = new Uint8Array(length);
  let state = seed | 1;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    out[at] = state >>> 24;
  }
  return out;
}
