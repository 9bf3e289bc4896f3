/** The offline budget: how far a device lets payments grow while nobody can watch the chain for it (DESIGN §3). */
import type { MilliSatoshi } from "../primitives/brands.ts";

export interface OfflineBudget {
  /** Blocks that may have passed since the last verified tip. */
  readonly maxOfflineBlocks: number;
  /** Millisatoshi that may be received since the tower last acknowledged an update. */
  readonly maxUnsyncedMsat: MilliSatoshi;
}

/** What the device knows about how far behind it is. */
export interface OfflineState {
  /** Wall clock in seconds, as good as the device has it; undefined where it has none. */
  readonly nowSeconds: number | undefined;
  /** Wall clock when the newest header was verified; undefined where none was. */
  readonly tipVerifiedAtSeconds: number | undefined;
  /** Time in the newest verified header. */
  readonly tipTimeSeconds: number;
  /** Received since the tower last acknowledged an update. */
  readonly unsyncedMsat: MilliSatoshi;
}

export type OfflineDecision =
  | { readonly ok: true; readonly offlineBlocks: number | undefined }
  | {
      readonly ok: false;
      readonly rule: "offline-blocks" | "offline-unsynced";
      /** For people. */
      readonly reason: string;
    };

export const SECONDS_PER_BLOCK = 600;

/** Whether a payment of `amountMsat` to us may still be taken. */
export function checkOfflineBudget(
  budget: OfflineBudget,
  state: OfflineState,
  amountMsat: MilliSatoshi,
): OfflineDecision {
  const offlineBlocks = estimateOfflineBlocks(state);
  if (offlineBlocks !== undefined && offlineBlocks > budget.maxOfflineBlocks) {
    return {
      ok: false,
      rule: "offline-blocks",
      reason:
        `this device has not seen the Bitcoin chain for about ${offlineBlocks} blocks ` +
        `(${hours(offlineBlocks)}) and takes payments for ${budget.maxOfflineBlocks} at most; ` +
        "connect it to its gateway",
    };
  }
  const unsyncedMsat = state.unsyncedMsat + amountMsat;
  if (unsyncedMsat > budget.maxUnsyncedMsat) {
    return {
      ok: false,
      rule: "offline-unsynced",
      reason:
        `this payment would bring what was received since the watchtower last answered to ` +
        `${sat(unsyncedMsat)} sat, and this device allows ${sat(budget.maxUnsyncedMsat)} sat; ` +
        "connect it to its gateway",
    };
  }
  return { ok: true, offlineBlocks };
}

/** Blocks since the last verified tip by the wall clock; undefined where the device has none, or one that ran backwards. */
export function estimateOfflineBlocks(state: OfflineState): number | undefined {
  const since = state.tipVerifiedAtSeconds ?? state.tipTimeSeconds;
  if (state.nowSeconds === undefined || state.nowSeconds < since) return undefined;
  return Math.floor((state.nowSeconds - since) / SECONDS_PER_BLOCK);
}

function hours(blocks: number): string {
  const value = Math.round((blocks * SECONDS_PER_BLOCK) / 3600);
  return value < 48 ? `${value} hours` : `${Math.round(value / 24)} days`;
}

function sat(amountMsat: number): string {
  return String(Math.ceil(amountMsat / 1000));
}
