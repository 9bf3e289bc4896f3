/** Power that fails while a device is claimed, and while it is reset: it has one owner or none, all of it or nothing of it. */
import { describe, expect, it } from "vitest";
import { cborOf } from "../../core/messages/admin-values.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import type { CborMap } from "../../firmware/admin/params.ts";
import { PriceList } from "../../firmware/apps/price-list.ts";
import { makeIdentity, performReset, requestReset } from "../../firmware/owner/factory-reset.ts";
import { Ownership } from "../../firmware/owner/ownership.ts";
import { SettingsStore } from "../../firmware/settings/settings-store.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { NorFlash } from "../../host-sim/flash/nor-flash.ts";
import {
  type Chips,
  claimRequest,
  entropy,
  newChips,
  newOwner,
  noble,
  ProgramLab,
  testImage,
  until,
} from "../support/program-lab.ts";

const PARTITIONS = ["settings", "records"] as const;
const SEEDS = [1, 2, 3];
const mapOf = (value: object) => cborOf(value as never) as CborMap;

/** The program's own order at a start, as far as ownership goes. */
function boot(chips: Chips) {
  const store = new SettingsStore(chips.settings);
  const records = new FlashLogStore(chips.records);
  const wasReset = performReset({ store, records, entropy });
  if (!store.seed) makeIdentity(store, entropy);
  const parts = { crypto: noble, entropy, image: testImage, store, records, checkApp: () => {} };
  return { store, records, wasReset, ownership: new Ownership(parts) };
}

function copyOf({ settings, records }: Chips): Chips {
  return {
    settings: new NorFlash({ size: settings.size, image: settings.image() }),
    records: new NorFlash({ size: records.size, image: records.image() }),
  };
}

/** `work` on copies, cut at each step of each partition; `check` gets what the chips hold then. */
function cutEverywhere(
  chips: Chips,
  work: (chips: Chips) => void,
  { check, every = 1 }: { check(chips: Chips): void; every?: number },
): Record<(typeof PARTITIONS)[number], number> {
  const cuts = { settings: 0, records: 0 };
  for (const partition of PARTITIONS) {
    const whole = copyOf(chips);
    work(whole);
    const steps = whole[partition].steps;
    for (let step = 0; step < steps; step += every) {
      for (const seed of SEEDS) {
        const cut = copyOf(chips);
        cut[partition].failAt(step, seed);
        expect(() => work(cut)).toThrow();
        check(copyOf(cut));
        cuts[partition]++;
      }
    }
  }
  return cuts;
}

describe("a claim in which power fails, at any step of either partition", () => {
  const owner = newOwner();
  const other = newOwner();
  const request = mapOf(claimRequest({ name: "coffee", policy: { maxChannels: 2 } }));

  it("leaves a device that is nobody's and can be claimed, or wholly its owner's", () => {
    const chips = newChips();
    const { store } = boot(chips);
    const before = { seed: toHex(store.seed as Uint8Array), code: store.claimCode?.code };
    const seen = new Set<boolean>();
    const claim = (on: Chips) => void boot(on).ownership.claim(owner.nodeId, "cable", request);
    const check = (on: Chips) => {
      const after = boot(on);
      expect(toHex(after.store.seed as Uint8Array)).toBe(before.seed);
      expect(after.store.claimCode?.code).toBe(before.code);
      const { settings } = after.ownership;
      seen.add(settings !== undefined);
      if (settings) {
        expect(settings).toMatchObject({ name: "coffee", owner: owner.nodeId });
        expect(settings.policy.maxChannels).toBe(2);
        expect(() => after.ownership.claim(other.nodeId, "cable", request)).toThrow(/has an owner/);
        // Who did not hear the answer asks again.
        expect(after.ownership.claim(owner.nodeId, "cable", request)).toBe(false);
      } else expect(after.ownership.claim(other.nodeId, "cable", request)).toBe(true);
    };
    const cuts = cutEverywhere(chips, claim, { check });
    expect(cuts.settings).toBeGreaterThan(3);
    expect(cuts.records).toBeGreaterThan(2);
    // A torn last word may have been enough: both must have been met.
    expect(seen.has(false)).toBe(true);
  });

  it("gives no guess at the printed code back", () => {
    const chips = newChips();
    const { store } = boot(chips);
    const { code } = store.claimCode as { code: string };
    const wrong = code === "00000000" ? "00000001" : "00000000";
    const guess = (on: Chips) =>
      void boot(on).ownership.claim(owner.nodeId, "ble", mapOf(claimRequest({ code: wrong })));
    const whole = copyOf(chips);
    expect(() => guess(whole)).toThrow("9 tries left");
    for (let step = 0; step < whole.settings.steps; step++) {
      const cut = copyOf(chips);
      cut.settings.failAt(step, step);
      // Nobody hears whether it was right before it counts.
      expect(() => guess(cut)).not.toThrow(/tries left/);
    }
  });
});

describe("a factory reset", () => {
  const owner = newOwner();

  async function used(): Promise<Chips> {
    const chips = newChips();
    const { store, records, ownership } = boot(chips);
    ownership.claim(owner.nodeId, "cable", mapOf(claimRequest()));
    const prices = await PriceList.load(records);
    await prices.setAll([{ id: 1, name: "tea", priceMsat: 5 as never }]);
    for (const key of ["app/faults", "app/inbox", "app/feeds", "app/budget", "app/purchases"]) {
      records.setValue(key, entropy.random(40));
    }
    expect(requestReset(store, records)).toBeUndefined();
    return chips;
  }

  it("leaves no owner, price, debt or budget of before, whenever power fails meanwhile", async () => {
    const chips = await used();
    const old = toHex(new SettingsStore(chips.settings).seed as Uint8Array);
    const isNew = (on: Chips) => {
      const { store, records, ownership } = boot(on);
      expect(ownership.settings).toBeUndefined();
      expect(store.isResetDue).toBe(false);
      expect(toHex(store.seed as Uint8Array)).not.toBe(old);
      expect(toHex(on.settings.image())).not.toContain(old);
      for (const key of ["owner", "app/prices", "app/prices/1/0", "app/faults", "app/inbox"]) {
        expect(records.getValue(key), key).toBeUndefined();
      }
      // Not after the next start either.
      expect(new FlashLogStore(on.records).getValue("app/budget")).toBeUndefined();
    };
    const cuts = cutEverywhere(chips, (on) => void boot(on), { check: isNew, every: 11 });
    expect(cuts.records).toBeGreaterThan(2);
    boot(chips);
    isNew(chips);
  });

  it("of a device in use: it starts anew, and what it sold and owed is nobody's to see", async () => {
    const chips = await used();
    const lab = await ProgramLab.start({ chips });
    expect(lab.program.isClaimed).toBe(false);
    const next = newOwner();
    const client = await lab.owner(next);
    await client.claim(claimRequest({ app: "vending", appConfig: { products: [] } }));
    await until(() => lab.program.device !== undefined);
    expect(await client.prices()).toEqual([]);
    expect(await client.info()).toMatchObject({
      app: { name: "vending", owedMsat: 0, owedPayments: 0, faults: [] },
    });
    expect(lab.alarms.join()).not.toContain("does not run");
    lab.stop();
  });
});
