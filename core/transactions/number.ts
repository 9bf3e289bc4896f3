/**
 * The commitment number hidden in a commitment's locktime and sequence (BOLT 3 "Commitment
 * Transaction").
 */
import type { Crypto } from "../ports/crypto.ts";
import { type CommitmentNumber, commitmentNumber } from "../primitives/brands.ts";
import { concat } from "../primitives/bytes.ts";
import type { CommitmentTerms } from "./terms.ts";
import { sameOutpoint, type Transaction } from "./transaction.ts";

const TWO_24 = 2 ** 24;

/** 48 bits as two halves of 24: bit operations on numbers end at 32. */
export interface ObscuringFactor {
  readonly upper: number;
  readonly lower: number;
}

type OpenerTerms = Pick<
  CommitmentTerms,
  "broadcasterIsOpener" | "broadcaster" | "countersignatory"
>;

export function obscuringFactor(crypto: Crypto, terms: OpenerTerms): ObscuringFactor {
  const { broadcasterIsOpener, broadcaster, countersignatory } = terms;
  const [opener, acceptor] = broadcasterIsOpener
    ? [broadcaster, countersignatory]
    : [countersignatory, broadcaster];
  const hash = crypto.sha256(concat(opener.paymentBasepoint, acceptor.paymentBasepoint));
  return { upper: bits24(hash, 26), lower: bits24(hash, 29) };
}

/** The number XOR the factor. */
export function obscuredNumber(factor: ObscuringFactor, number: CommitmentNumber): ObscuringFactor {
  return {
    upper: factor.upper ^ Math.floor(number / TWO_24),
    lower: factor.lower ^ (number % TWO_24),
  };
}

/** Locktime of the commitment transaction, and sequence of its only input. */
export function commitmentLocks(
  factor: ObscuringFactor,
  number: CommitmentNumber,
): { readonly locktime: number; readonly sequence: number } {
  const { upper, lower } = obscuredNumber(factor, number);
  return { locktime: 0x20 * TWO_24 + lower, sequence: 0x80 * TWO_24 + upper };
}

/**
 * The number of a commitment transaction of this channel; undefined where `transaction` is
 * something else, as a mutual close is.
 */
export function findCommitmentNumber(
  crypto: Crypto,
  terms: OpenerTerms & Pick<CommitmentTerms, "fundingOutpoint">,
  transaction: Transaction,
): CommitmentNumber | undefined {
  const [input] = transaction.inputs;
  if (input === undefined || transaction.inputs.length !== 1) return undefined;
  if (!sameOutpoint(input.outpoint, terms.fundingOutpoint)) return undefined;
  if (Math.floor(input.sequence / TWO_24) !== 0x80) return undefined;
  if (Math.floor(transaction.locktime / TWO_24) !== 0x20) return undefined;
  const factor = obscuringFactor(crypto, terms);
  const upper = (input.sequence % TWO_24) ^ factor.upper;
  const lower = (transaction.locktime % TWO_24) ^ factor.lower;
  return commitmentNumber(upper * TWO_24 + lower);
}

function bits24(bytes: Uint8Array, at: number): number {
  const [a, b, c] = bytes.subarray(at, at + 3) as unknown as [number, number, number];
  return (a << 16) | (b << 8) | c;
}
