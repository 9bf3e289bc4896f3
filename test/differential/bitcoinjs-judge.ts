/** What bitcoinjs-lib makes of a transaction of ours: the same bytes, names and sizes, and each signature fits (BIP 141, 143, 144). */
import { secp256k1 } from "@noble/curves/secp256k1.js";
import * as bitcoin from "bitcoinjs-lib";
import type { TxOutput } from "../../core/ports/chain.ts";
import { reversed, toHex } from "../../core/primitives/bytes.ts";
import {
  parseTransaction,
  transactionId,
  transactionVsize,
  transactionWeight,
} from "../../core/transactions/transaction.ts";
import { crypto } from "../support/channel-pair.ts";

/** As people read them. */
export interface Figures {
  readonly txid: string;
  readonly wtxid: string;
  readonly weight: number;
  readonly vsize: number;
}

/** Our own word on it. */
export function ownFigures(raw: Uint8Array): Figures {
  const parsed = parseTransaction(raw);
  return {
    txid: toHex(reversed(transactionId(crypto, parsed))),
    wtxid: toHex(reversed(crypto.sha256(crypto.sha256(raw)))),
    weight: transactionWeight(parsed),
    vsize: transactionVsize(parsed),
  };
}

export function bitcoinjsFigures(raw: Uint8Array): Figures {
  const transaction = bitcoin.Transaction.fromBuffer(raw);
  if (toHex(transaction.toBuffer()) !== toHex(raw)) throw new Error("it has other bytes there");
  return {
    txid: transaction.getId(),
    wtxid: toHex(reversed(transaction.getHash(true))),
    weight: transaction.weight(),
    vsize: transaction.virtualSize(),
  };
}

/** How many signatures fit one of the keys beside them, under bitcoinjs-lib's hash; throws where one fits none. */
export function fittingSignatures(raw: Uint8Array, spent: readonly TxOutput[]): number {
  const transaction = bitcoin.Transaction.fromBuffer(raw);
  let fitting = 0;
  for (const [index, { witness }] of transaction.ins.entries()) {
    const output = spent[index];
    if (!output) throw new Error(`nobody knows what input ${index} spends`);
    const { code, keys } = scriptOf(output, witness);
    for (const item of witness.slice(0, -1).filter(isSignature)) {
      const { signature, hashType } = bitcoin.script.signature.decode(item);
      const amount = BigInt(output.amount);
      const hash = transaction.hashForWitnessV0(index, code, amount, hashType);
      const fits = keys.some((key) => secp256k1.verify(signature, hash, key, { prehash: false }));
      if (!fits) throw new Error(`input ${index}: a signature fits no key`);
      fitting++;
    }
  }
  return fitting;
}

/** What is signed, and the keys that may have signed it. */
function scriptOf(
  { script }: TxOutput,
  witness: readonly Uint8Array[],
): { readonly code: Uint8Array; readonly keys: readonly Uint8Array[] } {
  const last = witness.at(-1);
  if (script.length === 22 && last) {
    const { output } = bitcoin.payments.p2pkh({ pubkey: last });
    const { output: expected } = bitcoin.payments.p2wpkh({ pubkey: last });
    if (!output || toHex(expected as Uint8Array) !== toHex(script)) throw new Error("a wrong key");
    return { code: output, keys: [last] };
  }
  if (script.length === 34 && last) {
    const { output: expected } = bitcoin.payments.p2wsh({ redeem: { output: last } });
    if (toHex(expected as Uint8Array) !== toHex(script)) throw new Error("a wrong witness script");
    const pushes = (bitcoin.script.decompile(last) ?? []).filter((one) => typeof one !== "number");
    return { code: last, keys: [...pushes, ...witness].filter(isKey) };
  }
  return { code: script, keys: [] }; // P2A asks for nothing
}

function isKey(item: Uint8Array): boolean {
  return item.length === 33 && (item[0] === 2 || item[0] === 3);
}

function isSignature(item: Uint8Array): boolean {
  return item.length > 60 && item[0] === 0x30;
}
