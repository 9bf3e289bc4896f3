/** Feerates from a node: its estimate, not below what its mempool takes, with a fallback where it has none. */
import type { FeeUrgency } from "../../../core/ports/chain.ts";
import { type BitcoindRpc, RpcError } from "./rpc.ts";
import { perKwFromBtcPerKvb } from "./units.ts";

/** One satoshi per virtual byte, rounded up as the Lightning Network does. */
export const FLOOR_PER_KW = 253;
export const FALLBACK_PER_KW = 500;

const TARGETS = {
  now: { blocks: 2, mode: "conservative" },
  soon: { blocks: 12, mode: "economical" },
  economy: { blocks: 144, mode: "economical" },
} as const;

/** Satoshi per 1000 weight units. */
export async function feeratePerKw(
  rpc: BitcoindRpc,
  urgency: FeeUrgency,
  options: { readonly floorPerKw?: number; readonly fallbackPerKw?: number },
): Promise<number> {
  const floor = options.floorPerKw ?? FLOOR_PER_KW;
  const mempool = await rpc.call<{ mempoolminfee: number; minrelaytxfee: number }>(
    "getmempoolinfo",
  );
  const least = Math.max(
    floor,
    perKwFromBtcPerKvb(mempool.mempoolminfee),
    perKwFromBtcPerKvb(mempool.minrelaytxfee),
  );
  const estimate = await estimatedPerKw(rpc, urgency);
  return Math.max(least, estimate ?? options.fallbackPerKw ?? FALLBACK_PER_KW);
}

async function estimatedPerKw(rpc: BitcoindRpc, urgency: FeeUrgency): Promise<number | undefined> {
  const { blocks, mode } = TARGETS[urgency];
  try {
    const { feerate } = await rpc.call<{ feerate?: number }>("estimatesmartfee", blocks, mode);
    return feerate === undefined ? undefined : perKwFromBtcPerKvb(feerate);
  } catch (error) {
    if (error instanceof RpcError) return undefined;
    throw error;
  }
}
