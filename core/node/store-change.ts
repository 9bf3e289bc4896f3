/** What the store is to hold before a transition's effects are performed (rule `persist-before-send`). */
import { encodeRecord } from "../channel/codec.ts";
import type { Channel } from "../channel/draft.ts";
import type { Effect } from "../channel/effects.ts";
import type { StoreCommit } from "../ports/store.ts";
import { concatAll } from "../primitives/bytes.ts";

/** What has to be durable before the effects; undefined where nothing changed. */
export function storeChange(
  before: Channel,
  after: Channel,
  effects: readonly Effect[],
): StoreCommit | undefined {
  if (after.kind === "ended") {
    if (before.kind !== "live") return undefined;
    const { record } = before;
    return {
      channelId: record.channelId,
      record: () => encodeRecord(record),
      live: record,
      remove: true,
    };
  }
  if (after.kind !== "live") return undefined;
  const { record } = after;
  if (before.kind === "live" && before.record === record) return undefined;
  const credits: Uint8Array[] = [];
  const debits: Uint8Array[] = [];
  const archive: Uint8Array[] = [];
  for (const effect of effects) {
    if (effect.type === "credit") credits.push(effect.payments);
    if (effect.type === "debit") debits.push(effect.payments);
    if (effect.type === "archive") archive.push(effect.entry);
  }
  return {
    channelId: record.channelId,
    record: () => encodeRecord(record),
    live: record,
    ...(archive.length > 0 ? { archive } : {}),
    ...(credits.length > 0 ? { credits: joined(credits) } : {}),
    ...(debits.length > 0 ? { debits: joined(debits) } : {}),
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? (parts[0] as Uint8Array) : concatAll(parts);
}
