/** Short ways to write commits in tests of stores. */
import type { StoreCommit } from "../../core/ports/store.ts";
import { type ChannelId, channelId } from "../../core/primitives/brands.ts";
import { concat } from "../../core/primitives/bytes.ts";

export function idOf(n: number): ChannelId {
  const bytes = new Uint8Array(32).fill(0xc0);
  new DataView(bytes.buffer).setUint32(28, n);
  return channelId(bytes);
}

/** A 16-byte reference made of a number. */
export function referenceOf(n: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(12, n);
  return bytes;
}

/** Packed payments (24 bytes each) of one satoshi, one for each number. */
export function packed(...numbers: readonly number[]): Uint8Array {
  const amount = new Uint8Array(8);
  new DataView(amount.buffer).setUint32(4, 1000);
  return concat(...numbers.flatMap((n) => [referenceOf(n), amount]));
}

/** Record bytes that can be recognised: the version in front, then filler that depends on both arguments. */
export function recordOf(channel: number, version: number, length = 300): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (channel * 31 + version * 17 + i * 7) & 0xff;
  const view = new DataView(bytes.buffer);
  view.setUint32(0, version);
  view.setUint32(4, channel);
  return bytes;
}

export function versionOf(record: Uint8Array): number {
  return new DataView(record.buffer, record.byteOffset).getUint32(0);
}

export function changeOf(
  channel: number,
  version: number,
  extra: Partial<StoreCommit> & { readonly length?: number } = {},
): StoreCommit {
  const { length, ...rest } = extra;
  const bytes = recordOf(channel, version, length);
  return { channelId: idOf(channel), record: () => bytes, live: { channel, version }, ...rest };
}

/** The channel that a record is of. */
export function numberOf(record: Uint8Array): number {
  return new DataView(record.buffer, record.byteOffset).getUint32(4);
}

/** A node id, of the peer of that channel. */
export function peerOf(n: number): Uint8Array {
  const bytes = new Uint8Array(33).fill(2);
  new DataView(bytes.buffer).setUint32(29, n);
  return bytes;
}
