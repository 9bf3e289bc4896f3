/** The funding output and the witness that spends it (BOLT 3 "Funding Transaction Output"). */
import type { TxOutput } from "../ports/chain.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { PublicKey, Satoshi, Signature } from "../primitives/brands.ts";
import { compare } from "../primitives/bytes.ts";
import { toDer } from "./der.ts";
import { fundingScript, p2wsh } from "./script.ts";
import { SIGHASH_ALL } from "./sighash.ts";

export interface FundingSignature {
  readonly fundingPubkey: PublicKey;
  readonly signature: Signature;
}

/** The output that a funding transaction must contain. */
export function fundingOutput(
  crypto: Crypto,
  fundingPubkeys: readonly [PublicKey, PublicKey],
  amount: Satoshi,
): TxOutput {
  return { script: p2wsh(crypto, fundingScript(fundingPubkeys[0], fundingPubkeys[1])), amount };
}

/**
 * `0 <signature> <signature> <script>`, in the order of the keys, whatever the order of the
 * arguments.
 */
export function assembleFundingWitness(a: FundingSignature, b: FundingSignature): Uint8Array[] {
  const [first, second] = compare(a.fundingPubkey, b.fundingPubkey) <= 0 ? [a, b] : [b, a];
  return [
    new Uint8Array(0),
    toDer(first.signature, SIGHASH_ALL),
    toDer(second.signature, SIGHASH_ALL),
    fundingScript(a.fundingPubkey, b.fundingPubkey),
  ];
}
