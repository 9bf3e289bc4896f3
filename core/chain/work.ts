/** Targets in compact form, and the work that a target stands for (Bitcoin consensus: arith_uint256, GetBlockProof). */
import { RETARGET_BLOCKS, TARGET_TIMESPAN_SECONDS } from "./networks.ts";

const HASH_BYTES = 32;

/** The target that `bits` stands for; undefined where the form is negative, zero or beyond 256 bits. */
export function targetOf(bits: number): bigint | undefined {
  const size = bits >>> 24;
  const mantissa = bits & 0x007fffff;
  if ((bits & 0x00800000) !== 0 || mantissa === 0) return undefined;
  const target =
    size <= 3 ? BigInt(mantissa >>> (8 * (3 - size))) : BigInt(mantissa) << BigInt(8 * (size - 3));
  if (size > 34 || target >> 256n !== 0n || target === 0n) return undefined;
  return target;
}

/** The compact form of a target: three significant bytes, never with the sign bit set. */
export function bitsOf(target: bigint): number {
  let size = 0;
  for (let rest = target; rest > 0n; rest >>= 8n) size++;
  let mantissa = Number(
    size <= 3 ? target << BigInt(8 * (3 - size)) : target >> BigInt(8 * (size - 3)),
  );
  if ((mantissa & 0x00800000) !== 0) {
    mantissa >>>= 8;
    size++;
  }
  return ((size << 24) | mantissa) >>> 0;
}

/** Expected hashes to find a block at this target: 2^256 / (target + 1). */
export function workOf(target: bigint): bigint {
  return (1n << 256n) / (target + 1n);
}

/** A block hash as the number that proof of work compares with the target (little-endian). */
export function hashToNumber(hash: Uint8Array): bigint {
  const words = new DataView(hash.buffer, hash.byteOffset, HASH_BYTES);
  let value = 0n;
  for (let at = HASH_BYTES - 8; at >= 0; at -= 8) {
    value = (value << 64n) | words.getBigUint64(at, true);
  }
  return value;
}

/**
 * The bits of a new period. `firstTime` and `lastTime` are the times of the first and the last block of the old one:
 * 2015 intervals are measured against 2016 (consensus since the first release).
 */
export function retargetedBits(options: {
  readonly bits: number;
  readonly firstTime: number;
  readonly lastTime: number;
  readonly powLimitBits: number;
}): number {
  const limit = targetOf(options.powLimitBits) as bigint;
  const taken = Math.min(
    Math.max(options.lastTime - options.firstTime, TARGET_TIMESPAN_SECONDS / 4),
    TARGET_TIMESPAN_SECONDS * 4,
  );
  const old = targetOf(options.bits) as bigint;
  // Consensus multiplies within 256 bits; below powLimit nothing overflows on the networks that retarget.
  const target = (old * BigInt(taken)) / BigInt(TARGET_TIMESPAN_SECONDS);
  return bitsOf(target > limit ? limit : target);
}

export function startsPeriod(height: number): boolean {
  return height % RETARGET_BLOCKS === 0;
}
