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
  /** Since the newest header was verified, or since the start: by a clock that only goes forward. */
  readonly uptimeSeconds?: number | undefined;
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
/** In the reasons of a device that is behind the chain; a customer's program knows them by it. */
export const CHAIN_UNSEEN = "has not seen the Bitcoin chain";

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
        `this device ${unseenFor(state, offlineBlocks)} and takes payments for ` +
        `${budget.maxOfflineBlocks} blocks at most without it; connect it to its gateway`,
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

/** Before anything was verified there is the age of the newest header alone; a new device has the first block, which is years old. */
function unseenFor({ tipVerifiedAtSeconds }: OfflineState, offlineBlocks: number): string {
  if (tipVerifiedAtSeconds === undefined) return `${CHAIN_UNSEEN} since its start`;
  return `${CHAIN_UNSEEN} for about ${offlineBlocks} blocks (${hours(offlineBlocks)})`;
}

/**
 * Blocks since the last verified tip: what the wall clock says, and no less than the time that this device has been running
 * since. A clock that jumps ahead declines payments until the chain is seen again; one that is absent, or jumps back, buys
 * no more than the running time. Undefined where nothing is known.
 */
export function estimateOfflineBlocks(state: OfflineState): number | undefined {
  const { nowSeconds, tipVerifiedAtSeconds, tipTimeSeconds, uptimeSeconds } = state;
  const byWall = (since: number | undefined) =>
    nowSeconds === undefined || since === undefined || nowSeconds < since
      ? undefined
      : nowSeconds - since;
  // Verified "in the future": the clock was wrong then, and the block's own time is the better word.
  const elapsed = byWall(tipVerifiedAtSeconds) ?? byWall(tipTimeSeconds);
  if (elapsed === undefined && uptimeSeconds === undefined) return undefined;
  return Math.floor(Math.max(elapsed ?? 0, uptimeSeconds ?? 0) / SECONDS_PER_BLOCK);
}

function hours(blocks: number): string {
  const value = Math.round((blocks * SECONDS_PER_BLOCK) / 3600);
  return value < 48 ? `${value} hours` : `${Math.round(value / 24)} days`;
}

function sat(amountMsat: number): string {
  return String(Math.ceil(amountMsat / 1000));
}
