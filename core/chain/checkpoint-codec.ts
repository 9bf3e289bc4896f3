/** A checkpoint as bytes, for the device's store: at most 174 of them, all little-endian, with a version in front. */
import { blockHeight } from "../primitives/brands.ts";
import { demand } from "../primitives/errors.ts";
import { ByteReader, ByteWriter } from "../transactions/codec.ts";
import { MEDIAN_TIME_BLOCKS } from "./header-rules.ts";
import { type Checkpoint, HEADER_BYTES, headerTime } from "./headers.ts";

const VERSION = 1;
const WORK_BYTES = 32;
const MAX_HEIGHT = 499_999_999;

export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(VERSION);
  writer.u32(checkpoint.height);
  writer.raw(checkpoint.header);
  writer.u32(checkpoint.periodTime);
  writer.u32(checkpoint.periodBits);
  let work = checkpoint.chainWork;
  for (let i = 0; i < WORK_BYTES; i++) {
    writer.u8(Number(work & 0xffn));
    work >>= 8n;
  }
  writer.u8(checkpoint.times.length);
  for (const time of checkpoint.times) writer.u32(time);
  return writer.bytes();
}

/** Throws ProtocolViolation for bytes that `encodeCheckpoint` did not write. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  demand(version === VERSION, "checkpoint", `its version is ${version}`);
  const height = reader.u32();
  demand(height <= MAX_HEIGHT, "checkpoint", "its height is absurd");
  const header = reader.raw(HEADER_BYTES);
  const periodTime = reader.u32();
  const periodBits = reader.u32();
  let chainWork = 0n;
  const work = reader.raw(WORK_BYTES);
  for (let i = WORK_BYTES - 1; i >= 0; i--)
    chainWork = (chainWork << 8n) | BigInt(work[i] as number);
  const count = reader.u8();
  demand(count >= 1 && count <= MEDIAN_TIME_BLOCKS, "checkpoint", "its times are too few or many");
  const times = Array.from({ length: count }, () => reader.u32());
  demand(reader.remaining === 0, "checkpoint", "bytes follow after its end");
  demand(
    times[count - 1] === headerTime(header),
    "checkpoint",
    "its last time is not its header's",
  );
  return { height: blockHeight(height), header, periodTime, periodBits, times, chainWork };
}
