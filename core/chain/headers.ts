/**
 * A chain of block headers from a checkpoint, in bounded memory: proof of work, retargets, times and most work (Bitcoin
 * consensus: CheckProofOfWork, GetNextWorkRequired, ContextualCheckBlockHeader). On signet the issuers' signature
 * (BIP 325) stands in the coinbase and is not checked here: there, headers only prove the little work they carry.
 */
import type { Crypto } from "../ports/crypto.ts";
import { type BlockHeight, blockHeight } from "../primitives/brands.ts";
import { concatAll, equal } from "../primitives/bytes.ts";
import { assert } from "../primitives/errors.ts";
import { type Cursor, type HeaderRule, nextCursor } from "./header-rules.ts";
import { genesisHeader, type Network } from "./networks.ts";
import { targetOf, workOf } from "./work.ts";

export const HEADER_BYTES = 80;
/** Headers taken in one call; a whole fork must come in one. */
export const MAX_HEADERS_PER_CALL = 2016;
const PAGE_HEADERS = 16;
/** Headers kept behind the tip unless told otherwise: the deepest reorganisation that can be followed. */
export const DEFAULT_KEPT_HEADERS = 144;

/** A block that is trusted without proof, with what the rules need to know of the blocks before it. */
export interface Checkpoint {
  readonly height: BlockHeight;
  /** 80 bytes. */
  readonly header: Uint8Array;
  /** Time and bits of the first block of its retarget period (height rounded down to a multiple of 2016). */
  readonly periodTime: number;
  readonly periodBits: number;
  /** Times of the newest blocks up to this one, oldest first; 11, or all there are. Fewer only delay the time rule. */
  readonly times: readonly number[];
  /** Of the chain up to this block; zero is as good where only later work is compared. */
  readonly chainWork: bigint;
}

/** Immutable: `extendHeaderChain` returns a new one. */
export interface HeaderChain {
  readonly network: Network;
  /** The oldest block kept. */
  readonly base: Checkpoint;
  /** Headers of 80 bytes up to the tip, some to a page: a block that is added copies one page, not all that is kept. */
  readonly pages: readonly Uint8Array[];
  /** Height of the first page's first header; that of the oldest block kept after `base` is not below it. */
  readonly pagedFrom: number;
  readonly tip: Cursor;
  readonly maxKept: number;
}

export interface ConnectedHeader {
  readonly height: BlockHeight;
  readonly hash: Uint8Array;
  readonly header: Uint8Array;
}

export type HeaderOutcome =
  | {
      readonly ok: true;
      readonly chain: HeaderChain;
      /** From the old tip downwards. */
      readonly disconnected: readonly BlockHeight[];
      readonly connected: readonly ConnectedHeader[];
    }
  | {
      readonly ok: false;
      readonly rule: HeaderRule;
      readonly reason: string;
      /** Height at which the first wrong header would stand, where that is known. */
      readonly height?: number;
    };

export function genesisCheckpoint(network: Network): Checkpoint {
  const header = genesisHeader(network);
  const bits = headerBits(header);
  const time = headerTime(header);
  return {
    height: blockHeight(0),
    header,
    periodTime: time,
    periodBits: bits,
    times: [time],
    chainWork: workOf(targetOf(bits) as bigint),
  };
}

export function startHeaderChain(
  crypto: Crypto,
  network: Network,
  checkpoint: Checkpoint,
  maxKept: number = DEFAULT_KEPT_HEADERS,
): HeaderChain {
  assert(checkpoint.header.length === HEADER_BYTES, "a checkpoint's header has 80 bytes");
  assert(checkpoint.times.length > 0, "a checkpoint knows at least its own time");
  const tip = cursorOf(checkpoint, blockHash(crypto, checkpoint.header));
  return { network, base: checkpoint, pages: [], pagedFrom: checkpoint.height + 1, tip, maxKept };
}

/**
 * Adds headers that follow each other: onto the tip, or a fork from any kept block, which then must come whole and with
 * more work than ours. Headers we have are skipped. All of it is taken or nothing.
 * @param nowSeconds wall clock, where there is one: headers more than two hours ahead of it are refused
 */
export function extendHeaderChain(
  crypto: Crypto,
  chain: HeaderChain,
  headers: readonly Uint8Array[],
  nowSeconds?: number,
): HeaderOutcome {
  if (headers.length > MAX_HEADERS_PER_CALL) {
    return refusal(
      "too-many",
      `${headers.length} headers at once, at most ${MAX_HEADERS_PER_CALL}`,
    );
  }
  if (headers.some((header) => header.length !== HEADER_BYTES)) {
    return refusal("length", "a header has 80 bytes");
  }
  const first = headers[0];
  if (first === undefined) return { ok: true, chain, disconnected: [], connected: [] };
  let fork = heightOfHash(chain, previousHash(first));
  if (fork === undefined) {
    return refusal("unconnected", `connects to none of the last ${keptCount(chain) + 1} headers`);
  }
  let known = 0;
  while (known < headers.length && isKept(chain, fork + 1, headers[known] as Uint8Array)) {
    known++;
    fork++;
  }
  const fresh = headers.slice(known);
  if (fresh.length === 0) return { ok: true, chain, disconnected: [], connected: [] };
  return connect(crypto, chain, fork, fresh, nowSeconds);
}

/** The header at `height`; undefined where it is not kept. */
export function headerAt(chain: HeaderChain, height: number): Uint8Array | undefined {
  if (height === chain.base.height) return chain.base.header;
  if (height < chain.base.height || height > chain.tip.height) return undefined;
  const place = height - chain.pagedFrom;
  const at = (place % PAGE_HEADERS) * HEADER_BYTES;
  return chain.pages[Math.floor(place / PAGE_HEADERS)]?.subarray(at, at + HEADER_BYTES);
}

/** A checkpoint from a kept block: what a device stores to start from again. */
export function checkpointAt(chain: HeaderChain, height: number): Checkpoint {
  const header = headerAt(chain, height);
  assert(header !== undefined, `the header at ${height} is not kept`);
  const cursor = cursorAt(chain, height);
  return {
    height: blockHeight(height),
    header: header.slice(),
    periodTime: cursor.periodTime,
    periodBits: cursor.periodBits,
    times: cursor.times,
    chainWork: cursor.work,
  };
}

export function blockHash(crypto: Crypto, header: Uint8Array): Uint8Array {
  return crypto.sha256(crypto.sha256(header));
}
export function previousHash(header: Uint8Array): Uint8Array {
  return header.subarray(4, 36);
}
export function headerMerkleRoot(header: Uint8Array): Uint8Array {
  return header.subarray(36, 68);
}
export function headerTime(header: Uint8Array): number {
  return uint32(header, 68);
}
export function headerBits(header: Uint8Array): number {
  return uint32(header, 72);
}

function connect(
  crypto: Crypto,
  chain: HeaderChain,
  fork: number,
  fresh: readonly Uint8Array[],
  nowSeconds: number | undefined,
): HeaderOutcome {
  let cursor = cursorAt(chain, fork);
  const connected: ConnectedHeader[] = [];
  for (const header of fresh) {
    const height = cursor.height + 1;
    if (!equal(previousHash(header), cursor.hash)) {
      return refusal("unconnected", `header ${height} does not follow the one before it`, height);
    }
    const hash = blockHash(crypto, header);
    const next = nextCursor(chain.network, cursor, { ...fields(header), hash }, nowSeconds);
    if (!next.ok) return refusal(next.rule, `header ${height}: ${next.reason}`, height);
    cursor = next.cursor;
    connected.push({ height: blockHeight(height), hash, header });
  }
  if (fork < chain.tip.height && cursor.work <= chain.tip.work) {
    return refusal(
      "less-work",
      `a fork from height ${fork} to ${cursor.height} has no more work than our chain up to ${chain.tip.height}`,
    );
  }
  const disconnected: BlockHeight[] = [];
  for (let h = chain.tip.height as number; h > fork; h--) disconnected.push(blockHeight(h));
  return {
    ok: true,
    chain: trimmed({ ...chain, pages: pagesWith(chain, fork, fresh), tip: cursor }),
    disconnected,
    connected,
  };
}

/** The kept headers up to the height of `fork`, and copies of those that follow it. */
function pagesWith(
  chain: HeaderChain,
  fork: number,
  fresh: readonly Uint8Array[],
): readonly Uint8Array[] {
  const count = fork + 1 - chain.pagedFrom;
  const pages = chain.pages.slice(0, Math.floor(count / PAGE_HEADERS));
  const begun = chain.pages[pages.length]?.subarray(0, (count % PAGE_HEADERS) * HEADER_BYTES);
  let taken = PAGE_HEADERS - (count % PAGE_HEADERS);
  pages.push(concatAll([begun ?? new Uint8Array(0), ...fresh.slice(0, taken)]));
  for (; taken < fresh.length; taken += PAGE_HEADERS) {
    pages.push(concatAll(fresh.slice(taken, taken + PAGE_HEADERS)));
  }
  return pages;
}

/** Forgets the oldest headers beyond `maxKept`. */
function trimmed(chain: HeaderChain): HeaderChain {
  const surplus = keptCount(chain) - chain.maxKept;
  if (surplus <= 0) return chain;
  const base = checkpointAt(chain, chain.base.height + surplus);
  const gone = Math.floor((base.height + 1 - chain.pagedFrom) / PAGE_HEADERS);
  const pagedFrom = chain.pagedFrom + gone * PAGE_HEADERS;
  return { ...chain, base, pages: chain.pages.slice(gone), pagedFrom };
}

function keptCount(chain: HeaderChain): number {
  return chain.tip.height - chain.base.height;
}

function isKept(chain: HeaderChain, height: number, header: Uint8Array): boolean {
  const kept = headerAt(chain, height);
  return kept !== undefined && equal(kept, header);
}

/** A block's hash is the next header's first field: it needs no hashing. */
function heightOfHash(chain: HeaderChain, hash: Uint8Array): number | undefined {
  if (equal(hash, chain.tip.hash)) return chain.tip.height;
  for (let height = chain.tip.height - 1; height >= chain.base.height; height--) {
    if (equal(hash, previousHash(headerAt(chain, height + 1) as Uint8Array))) return height;
  }
  return undefined;
}

/** What the rules need to know at a kept height, from the base up, without checking again. */
function cursorAt(chain: HeaderChain, height: number): Cursor {
  if (height === chain.tip.height) return chain.tip;
  const nextHash = (h: number) => previousHash(headerAt(chain, h + 1) as Uint8Array);
  let cursor = cursorOf(chain.base, nextHash(chain.base.height));
  while (cursor.height < height) {
    const header = headerAt(chain, cursor.height + 1) as Uint8Array;
    const read = { ...fields(header), hash: nextHash(cursor.height + 1) };
    const next = nextCursor(chain.network, cursor, read, undefined);
    assert(next.ok, "a kept header obeys the rules");
    cursor = next.cursor;
  }
  return cursor;
}

function cursorOf(checkpoint: Checkpoint, hash: Uint8Array): Cursor {
  return {
    height: checkpoint.height,
    hash: hash.slice(),
    bits: headerBits(checkpoint.header),
    times: checkpoint.times,
    periodTime: checkpoint.periodTime,
    periodBits: checkpoint.periodBits,
    work: checkpoint.chainWork,
  };
}

function fields(header: Uint8Array): { version: number; time: number; bits: number } {
  return { version: uint32(header, 0) | 0, time: headerTime(header), bits: headerBits(header) };
}

function uint32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}

function refusal(rule: HeaderRule, reason: string, height?: number): HeaderOutcome {
  return height === undefined ? { ok: false, rule, reason } : { ok: false, rule, reason, height };
}
