/** Whether an output is there to be spent, as the node's confirmed coins say (the mempool is not asked). */
import type { Outpoint, UnspentOutput } from "../../../core/ports/chain.ts";
import { blockHeight } from "../../../core/primitives/brands.ts";
import { fromHex } from "../../../core/primitives/bytes.ts";
import type { BitcoindRpc } from "./rpc.ts";
import { satoshiFromBtc, toDisplay } from "./units.ts";

interface TxOut {
  readonly bestblock: string;
  readonly confirmations: number;
  readonly value: number;
  readonly scriptPubKey: { readonly hex: string };
}

/** The height is counted from the block that the answer is of: the tip may have moved on since. */
export async function unspentOutput(
  rpc: BitcoindRpc,
  { txid, vout }: Outpoint,
): Promise<UnspentOutput | undefined> {
  const found = await rpc.call<TxOut | null>("gettxout", toDisplay(txid), vout, false);
  if (!found) return undefined;
  const best = await rpc.call<{ height: number }>("getblockheader", found.bestblock);
  return {
    script: fromHex(found.scriptPubKey.hex),
    amount: satoshiFromBtc(found.value),
    height: blockHeight(best.height - found.confirmations + 1),
  };
}
