/** The counter of channel keys: no index serves twice (rule `key-index-once`), or a secret that was revealed in one channel would open the next (BOLT 3). */
import type { Store } from "../ports/store.ts";

const KEY = "next-key-index";

/** The next free index as far as the store knows: records hold their own. */
export async function storedKeyIndex(store: Store): Promise<number> {
  const bytes = await store.getValue(KEY);
  return bytes ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) : 0;
}

/** Keeps those of channels that are long gone from being used again. */
export async function keepKeyIndex(store: Store, next: number): Promise<void> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, next);
  await store.setValue(KEY, bytes);
}
