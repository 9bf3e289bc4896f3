/** A machine without a connection takes payments for a while, and then says why it takes no more. */
import { describe, expect, it } from "vitest";
import { checkOfflineBudget, type OfflineState } from "../../core/chain/offline-budget.ts";
import { milliSatoshi } from "../../core/primitives/brands.ts";

const DAY = 86_400;
const budget = { maxOfflineBlocks: 288, maxUnsyncedMsat: milliSatoshi(50_000_000) };
const synced: OfflineState = {
  nowSeconds: 1_800_000_000,
  tipVerifiedAtSeconds: 1_800_000_000 - 3600,
  tipTimeSeconds: 1_800_000_000 - 4000,
  unsyncedMsat: milliSatoshi(0),
};

describe("the offline budget", () => {
  it("lets payments through while the chain was seen lately", () => {
    const decision = checkOfflineBudget(budget, synced, milliSatoshi(1_000_000));
    expect(decision).toEqual({ ok: true, offlineBlocks: 6 });
  });

  it("ends after the last block that is allowed, in words", () => {
    const offline = (blocks: number) => ({
      ...synced,
      tipVerifiedAtSeconds: 1_800_000_000 - blocks * 600,
    });
    expect(checkOfflineBudget(budget, offline(288), milliSatoshi(1)).ok).toBe(true);
    const decision = checkOfflineBudget(budget, offline(289), milliSatoshi(1));
    expect(decision).toMatchObject({ ok: false, rule: "offline-blocks" });
    expect(!decision.ok && decision.reason).toBe(
      "this device has not seen the Bitcoin chain for about 289 blocks (2 days) and takes " +
        "payments for 288 blocks at most without it; connect it to its gateway",
    );
  });

  it("ends at the amount that no tower knows of, the new payment included", () => {
    const state = { ...synced, unsyncedMsat: milliSatoshi(49_000_000) };
    expect(checkOfflineBudget(budget, state, milliSatoshi(1_000_000)).ok).toBe(true);
    const decision = checkOfflineBudget(budget, state, milliSatoshi(1_000_001));
    expect(decision).toMatchObject({ ok: false, rule: "offline-unsynced" });
    expect(!decision.ok && decision.reason).toContain(
      "50001 sat, and this device allows 50000 sat",
    );
  });

  it("goes by the header's time where it never noted when it looked", () => {
    const { tipVerifiedAtSeconds: _, ...rest } = synced;
    const state = {
      ...rest,
      tipVerifiedAtSeconds: undefined,
      tipTimeSeconds: 1_800_000_000 - 3 * DAY,
    };
    const decision = checkOfflineBudget(budget, state, milliSatoshi(1));
    expect(!decision.ok && decision.reason).toMatch(
      /has not seen the Bitcoin chain since its start/,
    );
  });

  it("does not believe a clock that runs backwards", () => {
    const state = { ...synced, nowSeconds: synced.tipTimeSeconds - 10 * DAY };
    const decision = checkOfflineBudget(budget, state, milliSatoshi(1));
    expect(decision).toEqual({ ok: true, offlineBlocks: undefined });
  });

  it("has only the amount where the device has no clock", () => {
    const state = { ...synced, nowSeconds: undefined };
    expect(checkOfflineBudget(budget, state, milliSatoshi(1))).toEqual({
      ok: true,
      offlineBlocks: undefined,
    });
    expect(checkOfflineBudget(budget, state, milliSatoshi(50_000_001)).ok).toBe(false);
  });
});
