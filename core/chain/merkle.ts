/** Merkle branches: proof that a transaction stands in a block, and the tricks that such a proof must survive (CVE-2012-2459, CVE-2017-12842). */
import type { Crypto } from "../ports/crypto.ts";
import { type Txid, txid } from "../primitives/brands.ts";
import { concat, equal } from "../primitives/bytes.ts";
import { assert, ProtocolViolation } from "../primitives/errors.ts";
import { parseTransaction, serializeTransaction } from "../transactions/transaction.ts";
import { HEADER_BYTES, headerMerkleRoot } from "./headers.ts";

/** A block of 4 million weight units holds at most 16,666 transactions of the least size (60 bytes). */
export const MAX_BRANCH_LENGTH = 15;
/** What an inner node hashes; a transaction of this length could be taken for one. */
const INNER_NODE_BYTES = 64;

export interface InclusionProof {
  /** Serialised, with or without witness. */
  readonly raw: Uint8Array;
  /** Position in the block. */
  readonly index: number;
  /** Deepest first, 32 bytes each. */
  readonly branch: readonly Uint8Array[];
  /** The block's header, which must already stand in a checked header chain. */
  readonly header: Uint8Array;
}

export type InclusionOutcome =
  | { readonly ok: true; readonly txid: Txid }
  | {
      readonly ok: false;
      readonly rule:
        | "transaction"
        | "transaction-64-bytes"
        | "branch-length"
        | "branch-index"
        | "branch-duplicate"
        | "merkle-root";
      readonly reason: string;
    };

/** Checks that the transaction stands in the block with this header. Its witness is not covered by the proof. */
export function verifyInclusion(crypto: Crypto, proof: InclusionProof): InclusionOutcome {
  const stripped = withoutWitness(proof.raw);
  if (stripped === undefined) return refused("transaction", "not a whole transaction");
  if (stripped.length === INNER_NODE_BYTES) {
    return refused("transaction-64-bytes", "a transaction of 64 bytes may be an inner node");
  }
  if (proof.branch.length > MAX_BRANCH_LENGTH) {
    return refused("branch-length", `a branch has at most ${MAX_BRANCH_LENGTH} steps`);
  }
  if (proof.branch.some((hash) => hash.length !== 32)) {
    return refused("branch-length", "each step of a branch has 32 bytes");
  }
  const { index, branch } = proof;
  if (!Number.isSafeInteger(index) || index < 0 || index >= 2 ** branch.length) {
    return refused("branch-index", `position ${index} does not exist in a tree of this depth`);
  }
  if (proof.header.length !== HEADER_BYTES) return refused("merkle-root", "a header has 80 bytes");
  const id = txid(doubleSha256(crypto, stripped));
  const root = climb(crypto, id, index, branch);
  if (root === undefined) {
    return refused("branch-duplicate", "the branch leads through a duplicated node");
  }
  if (!equal(root, headerMerkleRoot(proof.header))) {
    return refused("merkle-root", "the branch does not lead to the header's merkle root");
  }
  return { ok: true, txid: id };
}

/** The root over all transactions of a block. */
export function merkleRoot(crypto: Crypto, txids: readonly Uint8Array[]): Uint8Array {
  assert(txids.length > 0, "a block has a coinbase transaction");
  let level = txids;
  while (level.length > 1) level = levelAbove(crypto, level);
  return level[0] as Uint8Array;
}

/** The branch for the transaction at `index`, deepest first. */
export function merkleBranch(
  crypto: Crypto,
  txids: readonly Uint8Array[],
  index: number,
): Uint8Array[] {
  assert(index >= 0 && index < txids.length, "the transaction is in the block");
  const branch: Uint8Array[] = [];
  let level = txids;
  for (let at = index; level.length > 1; at >>= 1) {
    branch.push((level[at ^ 1] ?? level[at]) as Uint8Array);
    level = levelAbove(crypto, level);
  }
  return branch;
}

/** What the txid is the hash of; undefined where the bytes are not one whole transaction. */
function withoutWitness(raw: Uint8Array): Uint8Array | undefined {
  try {
    return serializeTransaction(parseTransaction(raw), { witness: false });
  } catch (error) {
    if (error instanceof ProtocolViolation) return undefined;
    throw error;
  }
}

/** The root that a branch leads to; undefined where a right node equals its left one (CVE-2012-2459). */
function climb(
  crypto: Crypto,
  leaf: Uint8Array,
  index: number,
  branch: readonly Uint8Array[],
): Uint8Array | undefined {
  let node = leaf;
  let at = index;
  for (const sibling of branch) {
    const isRight = (at & 1) === 1;
    // A node is paired with itself only as the last of an odd level, where the proof goes by the left.
    if (isRight && equal(node, sibling)) return undefined;
    node = doubleSha256(crypto, isRight ? concat(sibling, node) : concat(node, sibling));
    at >>= 1;
  }
  return node;
}

function levelAbove(crypto: Crypto, level: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = [];
  for (let i = 0; i < level.length; i += 2) {
    const left = level[i] as Uint8Array;
    above.push(doubleSha256(crypto, concat(left, level[i + 1] ?? left)));
  }
  return above;
}

function doubleSha256(crypto: Crypto, bytes: Uint8Array): Uint8Array {
  return crypto.sha256(crypto.sha256(bytes));
}

function refused(
  rule: Exclude<InclusionOutcome, { ok: true }>["rule"],
  reason: string,
): InclusionOutcome {
  return { ok: false, rule, reason };
}
