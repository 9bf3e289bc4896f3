/** Free space where the gateway's records lie, and when it is too little. */
import { statfsSync } from "node:fs";

export interface DiskSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

const MB = 1_000_000;
const LEAST_FREE_BYTES = 500 * MB;
const LEAST_FREE_SHARE = 0.05;

/** What processes without privileges may still use. */
export function diskOf(folder: string): DiskSpace {
  const { bavail, blocks, bsize } = statfsSync(folder);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

export function isLow({ freeBytes, totalBytes }: DiskSpace): boolean {
  return freeBytes < LEAST_FREE_BYTES || freeBytes < totalBytes * LEAST_FREE_SHARE;
}

/** "1234 MB (12 %)" */
export function freeText({ freeBytes, totalBytes }: DiskSpace): string {
  const share = totalBytes > 0 ? Math.floor((100 * freeBytes) / totalBytes) : 0;
  return `${Math.floor(freeBytes / MB)} MB (${share} %)`;
}
