/** Whether a backup that lies somewhere is of another life of this node's store, and has channels that the store lacks: then it is perhaps all that is left of them. */
import type { BasepointsOf } from "../../core/channel/codec.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { unsealBackup } from "./backup-file.ts";
import { decodeChannels } from "./channel-backup.ts";

export interface StoreLife {
  readonly key: Uint8Array;
  readonly network: string;
  readonly basepointsOf: BasepointsOf;
  /** Names it. */
  readonly origin: Uint8Array;
  /** By channel id, hexadecimal. */
  isHeld(channelId: string): boolean;
  /** Of channels that are not held: those that other processes on the same store run. */
  elsewhere?(channelIds: readonly string[]): Promise<ReadonlySet<string>>;
}

/** Of this life: when it was made, by the clock of the process that made it. Else such channels, as far as this process knows. */
export type FoundBackup =
  | { readonly isOurs: true; readonly createdAtSeconds: number }
  | { readonly isOurs: false; readonly lost: readonly string[] };

/** @throws BackupError, RecordError where it cannot be read. */
export function lostIn(
  { key, network, basepointsOf, origin, isHeld }: StoreLife,
  sealed: Uint8Array,
  name: string,
): FoundBackup {
  const opened = unsealBackup(key, sealed, name);
  if (opened.network !== network || opened.kind !== "channels") return { isOurs: false, lost: [] };
  if (opened.origin && equal(opened.origin, origin)) {
    return { isOurs: true, createdAtSeconds: opened.createdAtSeconds };
  }
  const found = decodeChannels(opened.content, basepointsOf);
  const ids = found.map(({ record }) => toHex(record.channelId));
  return { isOurs: false, lost: ids.filter((id) => !isHeld(id)) };
}

/** How many of them no process on this store runs. */
export async function countLost(
  { elsewhere }: Pick<StoreLife, "elsewhere">,
  ids: readonly string[],
): Promise<number> {
  if (ids.length === 0 || !elsewhere) return ids.length;
  const found = await elsewhere(ids);
  return ids.filter((id) => !found.has(id)).length;
}
