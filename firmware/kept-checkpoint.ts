/** The newest block header that a device has verified, kept over restarts (core/chain/headers.ts). */
import { decodeCheckpoint, encodeCheckpoint } from "../core/chain/checkpoint-codec.ts";
import { type Checkpoint, genesisCheckpoint } from "../core/chain/headers.ts";
import type { Network } from "../core/chain/networks.ts";
import type { Store } from "../core/ports/store.ts";
import { concat } from "../core/primitives/bytes.ts";

interface Keeper {
  readonly store: Pick<Store, "getValue" | "setValue">;
  readonly network: Network;
  /** Newest trusted block in the image; the network's genesis where absent. */
  readonly checkpoint?: Checkpoint;
  readonly events: { onAlarm(text: string): void };
}

/** Wall clock of the last verification (or zero) in 4 bytes, and the checkpoint. */
const CHECKPOINT_KEY = "chain/checkpoint";

/** The one in the image, unless a newer one was stored: a device does not begin anew at each start. */
export async function newestCheckpoint({ store, checkpoint, network, events }: Keeper): Promise<{
  readonly checkpoint: Checkpoint;
  readonly verifiedAtSeconds?: number | undefined;
}> {
  const ofImage = checkpoint ?? genesisCheckpoint(network);
  const stored = await store.getValue(CHECKPOINT_KEY);
  if (!stored) return { checkpoint: ofImage };
  try {
    const kept = decodeCheckpoint(stored.slice(4));
    if (kept.height < ofImage.height) return { checkpoint: ofImage };
    const at = new DataView(stored.buffer, stored.byteOffset).getUint32(0);
    return { checkpoint: kept, verifiedAtSeconds: at === 0 ? undefined : at };
  } catch (cause) {
    events.onAlarm(`the stored checkpoint cannot be read, the image's is used: ${wordsOf(cause)}`);
    return { checkpoint: ofImage };
  }
}

export async function storeCheckpoint(
  { store, events }: Pick<Keeper, "store" | "events">,
  checkpoint: Checkpoint,
  at: number | undefined,
): Promise<void> {
  const verifiedAt = new Uint8Array(4);
  new DataView(verifiedAt.buffer).setUint32(0, at ?? 0);
  try {
    await store.setValue(CHECKPOINT_KEY, concat(verifiedAt, encodeCheckpoint(checkpoint)));
  } catch (cause) {
    events.onAlarm(`the chain's checkpoint could not be stored: ${wordsOf(cause)}`);
  }
}

function wordsOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
