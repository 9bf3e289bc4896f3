/** Writes a firmware: what the flash holds already is skipped, what is written is compared, what is the device's own stays. */
import { EXIT, Failure } from "../failure.ts";
import type { Output } from "../output.ts";
import type { EspSession } from "./esp-session.ts";
import { md5Of, spanOf } from "./esp-session.ts";
import { type Firmware, hex, type Part } from "./firmware.ts";
import {
  isPrecious,
  overlaps,
  type Partition,
  parsePartitions,
  TABLE_BYTES,
  TABLE_OFFSET,
} from "./partitions.ts";

/** Written and compared at once: what an unplugged cable costs at most. */
const CHUNK_BYTES = 128 * 1024;
const WRITE_ATTEMPTS = 2;
/** Enough of a partition to see whether anything was ever written to it. */
const PROBE_BYTES = 4096;
const WORD_BYTES = 4;
const ERASED = 0xff;

export interface Written {
  readonly bytesWritten: number;
  readonly bytesSkipped: number;
}

export interface Progress {
  bytesWritten: number;
  bytesSkipped: number;
}

/** The device's own partitions, by the table that is on it now; throws where the firmware would overwrite one. */
export async function protectOwnData(
  session: EspSession,
  firmware: Firmware,
  out: Output,
): Promise<void> {
  const table = parsePartitions(await session.read(TABLE_OFFSET, TABLE_BYTES));
  const kept: Partition[] = [];
  for (const partition of table?.filter(isPrecious) ?? []) {
    if (!(await isUsed(session, partition))) continue;
    const part = firmware.parts.find((one) => overlaps(partition, one));
    if (part) throw wouldLose(partition, `${part.name} would overwrite it`);
    if (firmware.partitions && !firmware.partitions.some((one) => isSamePlace(one, partition))) {
      throw wouldLose(partition, "the image has its partition elsewhere");
    }
    kept.push(partition);
  }
  if (kept.length > 0) {
    const names = kept.map(({ name }) => `"${name}"`).join(", ");
    out.note(`the device's own data (${names}) is kept: its keys, settings and channels stay`);
  }
}

export function checkRoom(session: EspSession, firmware: Firmware): void {
  const { flashBytes } = session.chip;
  const ends = [
    ...firmware.parts.map(({ name, address, data }) => ({ name, end: address + data.length })),
    ...(firmware.partitions ?? []).map(({ name, offset, size }) => ({ name, end: offset + size })),
  ];
  const tooLong = ends.find(({ end }) => end > flashBytes);
  if (!tooLong) return;
  throw new Failure(
    `"${tooLong.name}" ends at ${hex(tooLong.end)}, the flash of this board at ${hex(flashBytes)}; nothing was written, build an image for its size`,
    EXIT.refused,
  );
}

/** Fills `progress`, which stays right where this throws. */
export async function writeFirmware(
  session: EspSession,
  firmware: Firmware,
  out: Output,
  progress: Progress,
): Promise<void> {
  const chunks = firmware.parts.flatMap(chunksOf);
  const total = chunks.reduce((sum, { data }) => sum + data.length, 0);
  let done = 0;
  for (const chunk of chunks) {
    const { address, data, name } = chunk;
    const isThere = (await session.md5(address, data.length)) === md5Of(data);
    if (isThere) progress.bytesSkipped += data.length;
    else {
      await writeChunk(session, chunk, (share) =>
        out.progress(`writing ${name}`, done + share * data.length, total),
      );
      progress.bytesWritten += data.length;
    }
    done += data.length;
    out.progress(`writing ${name}`, done, total);
  }
  out.endBar();
}

async function writeChunk(
  session: EspSession,
  { name, address, data }: Part,
  onProgress: (share: number) => void,
): Promise<void> {
  for (let attempt = 0; attempt < WRITE_ATTEMPTS; attempt++) {
    if (await session.write(address, data, onProgress)) return;
  }
  throw new Failure(
    `what the flash holds at ${spanOf(address, data.length)} is not what was written of ${name} (MD5 differs, ${WRITE_ATTEMPTS} attempts); the device will not start, run the command again or replace the board`,
  );
}

function chunksOf({ name, address, data }: Part): Part[] {
  const chunks: Part[] = [];
  for (let at = 0; at < data.length; at += CHUNK_BYTES) {
    const chunk = data.subarray(at, at + CHUNK_BYTES);
    chunks.push({ name, address: address + at, data: padded(chunk) });
  }
  return chunks;
}

/** The loader writes whole words. */
function padded(data: Uint8Array): Uint8Array {
  const rest = data.length % WORD_BYTES;
  if (rest === 0) return data;
  const out = new Uint8Array(data.length + WORD_BYTES - rest).fill(ERASED);
  out.set(data);
  return out;
}

async function isUsed(session: EspSession, { offset, size }: Partition): Promise<boolean> {
  const bytes = await session.read(offset, Math.min(size, PROBE_BYTES));
  return bytes.some((byte) => byte !== ERASED);
}

function isSamePlace(a: Partition, b: Partition): boolean {
  return a.name === b.name && a.offset === b.offset && a.size === b.size;
}

function wouldLose({ name, offset }: Partition, why: string): Failure {
  return new Failure(
    `the device holds data in its partition "${name}" at ${hex(offset)} and ${why}; nothing was written. Close its channels and back it up first, then use --erase-all`,
    EXIT.refused,
  );
}
