/** A transaction of the simulated chain with what its rules ask of it, computed once. */
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Txid } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import {
  outpointKey,
  parseTransaction,
  type Transaction,
  transactionId,
  transactionVsize,
} from "../../core/transactions/transaction.ts";
import { bitcoreTxid } from "./script-check.ts";

export interface SimTransaction {
  readonly raw: Uint8Array;
  readonly parsed: Transaction;
  readonly txid: Txid;
  /** The txid in wire order, hexadecimal. */
  readonly key: string;
  readonly vsize: number;
  /** Keys of the outpoints that its inputs spend. */
  readonly spends: readonly string[];
  /** Output scripts, hexadecimal. */
  readonly scripts: readonly string[];
}

/** Throws ProtocolViolation for bytes that are no transaction. */
export function simTransaction(crypto: Crypto, raw: Uint8Array): SimTransaction {
  const parsed = parseTransaction(raw);
  const id = transactionId(crypto, parsed);
  const theirs = Buffer.from(bitcoreTxid(raw), "hex").reverse().toString("hex");
  if (toHex(id) !== theirs) throw new Error(`bitcore-lib has another txid: ${theirs}`);
  return {
    raw: raw.slice(),
    parsed,
    txid: id,
    key: toHex(id),
    vsize: transactionVsize(parsed),
    spends: parsed.inputs.map(({ outpoint }) => outpointKey(outpoint)),
    scripts: parsed.outputs.map(({ script }) => toHex(script)),
  };
}
