/** Sends transactions and TRUC packages (BIP 431, submitpackage) through a node; what is known already counts as sent. */
import type { BroadcastResult } from "../../../core/ports/chain.ts";
import { txid } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { scanTransaction } from "./block-scan.ts";
import { type BitcoindRpc, RpcError } from "./rpc.ts";

/** "Transaction outputs already in utxo set": it is confirmed. */
const RPC_VERIFY_ALREADY_IN_UTXO_SET = -27;
/** Fees are our caller's business, not the node's guess of a mistake. */
const ANY_FEERATE = 0;
/** Parents and a child (Bitcoin Core MAX_PACKAGE_COUNT). */
export const MAX_PACKAGE = 25;

export async function broadcastTransaction(
  rpc: BitcoindRpc,
  raw: Uint8Array,
): Promise<BroadcastResult> {
  try {
    await rpc.call<string>("sendrawtransaction", toHex(raw), ANY_FEERATE);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    if (error.code !== RPC_VERIFY_ALREADY_IN_UTXO_SET) return { ok: false, reason: error.reason };
  }
  return { ok: true, txid: txid(scanTransaction(raw).txid) };
}

export async function broadcastPackage(
  rpc: BitcoindRpc,
  raws: readonly Uint8Array[],
): Promise<BroadcastResult> {
  const child = raws[raws.length - 1];
  if (child === undefined) return { ok: false, reason: "an empty package" };
  if (raws.length > MAX_PACKAGE)
    return { ok: false, reason: `more than ${MAX_PACKAGE} transactions` };
  if (raws.length === 1) return broadcastTransaction(rpc, child);
  const reason = await submit(rpc, raws);
  if (reason === undefined) return { ok: true, txid: txid(scanTransaction(child).txid) };
  // A parent that has confirmed makes the node refuse the package as a whole; then the child stands alone.
  const alone = await broadcastTransaction(rpc, child);
  return alone.ok ? alone : { ok: false, reason };
}

interface PackageReply {
  readonly package_msg: string;
  readonly "tx-results": Readonly<Record<string, { readonly error?: string }>>;
}

/** Undefined where all of it was accepted, else the node's words. */
async function submit(rpc: BitcoindRpc, raws: readonly Uint8Array[]): Promise<string | undefined> {
  let reply: PackageReply;
  try {
    reply = await rpc.call<PackageReply>("submitpackage", raws.map(toHex), ANY_FEERATE);
  } catch (error) {
    if (error instanceof RpcError) return error.reason;
    throw error;
  }
  if (reply.package_msg === "success") return undefined;
  const errors = Object.values(reply["tx-results"]).flatMap(({ error }) => error ?? []);
  return [...new Set([reply.package_msg, ...errors])].join("; ");
}
