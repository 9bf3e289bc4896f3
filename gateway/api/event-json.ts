/** What a node's events look like as JSON lines: bytes as hexadecimal, txids as people read them. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import { unpackPayments } from "../../core/payments/push.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { toDisplay } from "../chain/bitcoind/units.ts";

export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export function channelEventJson(event: ChannelEvent): JsonObject {
  switch (event.type) {
    case "pushReceived":
    case "pushCommitted":
    case "pushSettled":
      return {
        type: event.type,
        pushId: event.pushId,
        payments: unpackPayments(event.payments).map(({ reference, amountMsat }) => ({
          reference: toHex(reference),
          amountMsat,
        })),
      };
    case "closing":
      return { type: event.type, txid: toDisplay(event.txid) };
    default:
      return plain(event) as JsonObject;
  }
}

/** Any value as JSON: byte strings become hexadecimal. */
export function plain(value: unknown): Json {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) {
    const out: Record<string, Json> = {};
    for (const [key, item] of Object.entries(value)) {
      if (item !== undefined && typeof item !== "function") out[key] = plain(item);
    }
    return out;
  }
  return value as Json;
}

export function recordJson(record: ChannelRecord): JsonObject {
  const { base, terms } = record;
  return {
    channelId: toHex(record.channelId),
    peer: toHex(record.remoteNodeId),
    phase: record.phase,
    channelType: terms.channelType,
    fundingTxid: toDisplay(terms.fundingOutpoint.txid),
    fundingVout: terms.fundingOutpoint.vout,
    capacitySat: terms.fundingSatoshis,
    toLocalMsat: base.toLocalMsat,
    toRemoteMsat: base.toRemoteMsat,
    htlcs: base.htlcs.length,
    localNumber: record.localNumber,
    remoteNumber: record.remoteNumber,
  };
}
