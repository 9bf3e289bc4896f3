/** HTLCs that a revocation leaves behind in dead remote commitments: kept so that every revoked output can be punished (BOLT 5). */
import type { ArchivedHtlc } from "../chain/monitor/watched.ts";
import { blockHeight, satoshiFloor } from "../primitives/brands.ts";
import { assert } from "../primitives/errors.ts";
import type { Context } from "./context.ts";
import type { ChannelRecord, Htlc } from "./record.ts";
import { remoteNextState, remoteState } from "./state.ts";

/** offered 1, HASH160 20, cltv_expiry 4, first and last commitment number 6 each. */
export const ARCHIVED_HTLC_BYTES = 37;

/** Entries for the HTLCs of the remote commitment about to be revoked that its successor no longer has. */
export function archivedBetween(context: Context, record: ChannelRecord): Uint8Array[] {
  const before = remoteState(record).htlcs;
  if (before.length === 0) return [];
  const kept = remoteNextState(record).htlcs;
  const gone = before.filter(
    (htlc) => !kept.some((k) => k.id === htlc.id && k.offeredByLocal === htlc.offeredByLocal),
  );
  // An HTLC below the dust limit never had an output, whatever the feerate was.
  const { dustLimitSatoshis } = record.terms.remote;
  return gone
    .filter((htlc) => satoshiFloor(htlc.amountMsat) >= dustLimitSatoshis)
    .map((htlc) => encodeArchived(archivedHtlc(context, htlc, record.remoteNumber)));
}

/** A live HTLC as it stands in the remote commitments up to `lastNumber`. */
export function archivedHtlc(context: Context, htlc: Htlc, lastNumber: number): ArchivedHtlc {
  return {
    offered: !htlc.offeredByLocal,
    paymentHash160: context.crypto.ripemd160(htlc.paymentHash),
    cltvExpiry: htlc.cltvExpiry,
    firstNumber: htlc.firstRemoteNumber ?? lastNumber,
    lastNumber,
  };
}

export function encodeArchived(htlc: ArchivedHtlc): Uint8Array {
  const out = new Uint8Array(ARCHIVED_HTLC_BYTES);
  const view = new DataView(out.buffer);
  out[0] = htlc.offered ? 1 : 0;
  out.set(htlc.paymentHash160, 1);
  view.setUint32(21, htlc.cltvExpiry);
  writeUint48(view, 25, htlc.firstNumber);
  writeUint48(view, 31, htlc.lastNumber);
  return out;
}

export function decodeArchived(bytes: Uint8Array): ArchivedHtlc {
  assert(bytes.length === ARCHIVED_HTLC_BYTES, "an archive entry has 37 bytes");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    offered: bytes[0] === 1,
    paymentHash160: bytes.slice(1, 21),
    cltvExpiry: blockHeight(view.getUint32(21)),
    firstNumber: readUint48(view, 25),
    lastNumber: readUint48(view, 31),
  };
}

function writeUint48(view: DataView, at: number, value: number): void {
  view.setUint16(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 2, value % 2 ** 32);
}

function readUint48(view: DataView, at: number): number {
  return view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2);
}
