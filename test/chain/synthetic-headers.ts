/** Headers mined on the spot with a target so easy that it takes a few hashes. */
import { blockHash, headerBits, headerTime } from "../../core/chain/headers.ts";
import type { Network } from "../../core/chain/networks.ts";
import { REGTEST } from "../../core/chain/networks.ts";
import { hashToNumber, targetOf } from "../../core/chain/work.ts";
import { nobleCrypto } from "../../core/crypto/noble.ts";

export const crypto = nobleCrypto();

/** Mainnet's retargets with regtest's difficulty. */
export const EASY_MAINNET: Network = { ...REGTEST, retarget: "every-2016" };
export const EASY_TESTNET4: Network = { ...REGTEST, retarget: "bip94" };

export interface HeaderPlan {
  readonly time?: number;
  readonly bits?: number;
  readonly version?: number;
  readonly merkleRoot?: Uint8Array;
  /** Look for a nonce that misses the target instead. */
  readonly miss?: boolean;
  /** Tells branches apart. */
  readonly salt?: number;
}

export function mineHeader(previous: Uint8Array, plan: HeaderPlan = {}): Uint8Array {
  const header = new Uint8Array(80);
  const view = new DataView(header.buffer);
  const bits = plan.bits ?? headerBits(previous);
  view.setUint32(0, plan.version ?? 0x20000000, true);
  header.set(blockHash(crypto, previous), 4);
  if (plan.merkleRoot) header.set(plan.merkleRoot, 36);
  else view.setUint32(36, plan.salt ?? 0, true);
  view.setUint32(68, plan.time ?? headerTime(previous) + 600, true);
  view.setUint32(72, bits, true);
  const target = targetOf(bits) ?? 0n;
  for (let nonce = 0; ; nonce++) {
    view.setUint32(76, nonce, true);
    if (hashToNumber(blockHash(crypto, header)) <= target !== (plan.miss ?? false)) return header;
  }
}

export function mineHeaders(
  previous: Uint8Array,
  count: number,
  plan: (index: number, previous: Uint8Array) => HeaderPlan = () => ({}),
): Uint8Array[] {
  const headers: Uint8Array[] = [];
  let last = previous;
  for (let i = 0; i < count; i++) {
    last = mineHeader(last, plan(i, last));
    headers.push(last);
  }
  return headers;
}
