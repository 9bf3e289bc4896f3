/** Somebody else's zero-fee commitment as a claim: its P2A anchor can be spent by anyone who pays the fee (BOLT 3, BIP 431). */
import type { Claim } from "../../core/chain/monitor/watched.ts";
import { blockHeight, satoshi, txid } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { p2aScript } from "../../core/transactions/script.ts";
import { parseTransaction } from "../../core/transactions/transaction.ts";
import { scanTransaction } from "./bitcoind/block-scan.ts";

const TRUC_VERSION = 3;

export type AnyoneClaim = { readonly claim: Claim } | { readonly refusal: string };

/** `raw` comes from outside: whatever is wrong with it is a refusal with its reason. */
export function anyoneClaim(raw: Uint8Array, feeratePerKw: number): AnyoneClaim {
  let transaction: ReturnType<typeof parseTransaction>;
  try {
    transaction = parseTransaction(raw);
  } catch (error) {
    if (error instanceof ProtocolViolation) return { refusal: "this is no transaction" };
    throw error;
  }
  const [input, ...more] = transaction.inputs;
  const vout = transaction.outputs.findIndex(({ script }) => equal(script, p2aScript()));
  const anchor = transaction.outputs[vout];
  if (transaction.version !== TRUC_VERSION || input === undefined || more.length > 0 || !anchor) {
    return { refusal: "this is no zero-fee commitment: version 3, one input, a P2A anchor" };
  }
  const id = txid(scanTransaction(raw).txid);
  const claim: Claim = {
    id: `anyone:${toHex(id)}`,
    purpose: "commitment",
    raw,
    txid: id,
    deadline: blockHeight(0),
    feeratePerKw,
    needs: {
      type: "anchor-child",
      anchor: { txid: id, vout },
      keyed: false,
      amount: anchor.amount,
      feeSatoshis: satoshi(0),
    },
  };
  return { claim };
}
