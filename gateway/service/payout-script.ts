/** Where mutual closes and claims pay to: one script for all channels. */
import type { ChainWallet } from "../../core/ports/chain.ts";
import type { Store } from "../../core/ports/store.ts";

const KEY = "payout-script";

/** Kept: claims made before and after a restart pay the same. */
export async function payoutScript(options: {
  readonly store: Store;
  readonly wallet: ChainWallet;
}): Promise<Uint8Array> {
  const { store, wallet } = options;
  const known = await store.getValue(KEY);
  if (known) return known;
  const script = await wallet.newScript();
  await store.setValue(KEY, script);
  return script;
}
