/** The flash store keeps, forgets, fills, wears and reports as it says (firmware/store/flash-log.ts). */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StoreError } from "../../core/node/store-error.ts";
import type { Flash } from "../../firmware/store/flash.ts";
import {
  FlashLogStore,
  RATED_ERASES,
  REFERENCE_WINDOW,
  SMALL_REFERENCE_WINDOW,
} from "../../firmware/store/flash-log.ts";
import { ReferenceRing } from "../../firmware/store/reference-ring.ts";
import { NorFlash, SECTOR_BYTES } from "../../host-sim/flash/nor-flash.ts";
import {
  changeOf,
  idOf,
  packed,
  recordOf,
  referenceOf,
  versionOf,
} from "../support/store-changes.ts";

const SMALL = 16 * SECTOR_BYTES;
const MEDIUM = 1024 * 1024;

function remounted(flash: NorFlash): FlashLogStore {
  return new FlashLogStore(new NorFlash({ size: flash.size, image: flash.image() }));
}

function versions(store: FlashLogStore): number[] {
  return store.load().map((channel) => versionOf(channel.record as Uint8Array));
}

function refusal(work: () => unknown): StoreError {
  try {
    work();
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

test("what was committed is there after a remount, and what ended is gone", () => {
  const flash = new NorFlash({ size: SMALL });
  const store = new FlashLogStore(flash, { label: "test" });
  store.commit(changeOf(1, 1, { archive: [referenceOf(1), referenceOf(2)] }));
  store.commit(changeOf(2, 1, { credits: packed(5, 6) }));
  store.commit(changeOf(1, 2, { archive: [referenceOf(3)], debits: packed(7) }));
  store.commit(changeOf(3, 1));
  store.commit(changeOf(3, 0, { remove: true }));
  store.setValue("tip", Uint8Array.of(1));
  store.setValue("tip", Uint8Array.of(2, 3));
  expect(store.name).toBe("flash:test");
  for (const each of [store, remounted(flash)]) {
    expect(each.load()).toEqual([
      {
        channelId: idOf(1),
        record: recordOf(1, 2),
        archive: [referenceOf(1), referenceOf(2), referenceOf(3)],
      },
      { channelId: idOf(2), record: recordOf(2, 1), archive: [] },
    ]);
    expect(each.getValue("tip")).toEqual(Uint8Array.of(2, 3));
    expect(each.getValue("none")).toBeUndefined();
    expect([5, 6, 7].map((n) => each.isCredited(referenceOf(n)))).toEqual([true, true, false]);
    expect([5, 6, 7].map((n) => each.isDebited(referenceOf(n)))).toEqual([false, false, true]);
  }
});

test("a reference is credited once, also across channels, batches and remounts", () => {
  const flash = new NorFlash({ size: SMALL });
  const store = new FlashLogStore(flash);
  expect(store.commit(changeOf(1, 1, { credits: packed(1, 2, 2) })).duplicateCredits).toEqual([2]);
  expect(store.commit(changeOf(2, 1, { credits: packed(3, 1) })).duplicateCredits).toEqual([1]);
  const outcome = remounted(flash).commit(changeOf(2, 2, { credits: packed(2, 3, 4) }));
  expect(outcome.duplicateCredits).toEqual([0, 1]);
});

test("the newest references are remembered through every compaction, as many as promised", () => {
  const flash = new NorFlash({ size: SMALL });
  const store = new FlashLogStore(flash);
  for (let n = 0; n < 2000; n++) store.commit(changeOf(n % 3, n, { credits: packed(n) }));
  expect(Math.min(...flash.eraseCounts)).toBeGreaterThan(3);
  const again = remounted(flash);
  for (let n = 2000 - SMALL_REFERENCE_WINDOW; n < 2000; n++) {
    expect(again.isCredited(referenceOf(n))).toBe(true);
  }
  expect(again.isCredited(referenceOf(1999 - SMALL_REFERENCE_WINDOW))).toBe(false);
});

test("the ring of references is the tail of a list", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 60 }), { maxLength: 200 }),
      fc.integer({ min: 1, max: 20 }),
      (list, window) => {
        const ring = new ReferenceRing(window);
        list.forEach((n, index) => {
          ring.put(index, referenceOf(n), index % 4);
          const kept = list.slice(Math.max(0, index + 1 - window), index + 1);
          for (const each of [...kept, 99])
            expect(ring.has(referenceOf(each))).toBe(kept.includes(each));
          expect(ring.size).toBe(kept.length);
        });
        const runs = [0, 1, 2, 3].flatMap((sector) => ring.runsIn(sector, 5));
        expect(runs.reduce((sum, run) => sum + run.references.length / 16, 0)).toBe(ring.size);
      },
    ),
    { numRuns: 60 },
  );
});

describe("a full flash", () => {
  test("takes no new channel, while those it has go on, shrink, end and make room", () => {
    const flash = new NorFlash({ size: SMALL });
    const store = new FlashLogStore(flash);
    let channels = 0;
    const error = refusal(() => {
      for (; channels < 1000; channels++) store.commit(changeOf(channels, 1, { length: 1000 }));
    });
    expect(error.code).toBe("full");
    expect(error.message).toContain("flash is full");
    expect(channels).toBeGreaterThan(10);
    for (let n = 0; n < 500; n++) store.commit(changeOf(n % channels, n + 2, { length: 1000 }));
    expect(remounted(flash).load()).toHaveLength(channels);
    store.commit(changeOf(0, 0, { remove: true }));
    store.commit(changeOf(1000, 1, { length: 900 }));
    expect(remounted(flash).load()).toHaveLength(channels);
  });

  test("refuses even a known channel before it endangers the others", () => {
    const flash = new NorFlash({ size: SMALL });
    const store = new FlashLogStore(flash);
    let n = 0;
    const entry = recordOf(0, 0, 60);
    const error = refusal(() => {
      for (; n < 10_000; n++) store.commit(changeOf(1, n, { archive: [entry] }));
    });
    expect(error.code).toBe("full");
    expect(n).toBeGreaterThan(200);
    expect(versions(remounted(flash))).toEqual([n - 1]);
    expect(store.load()[0]?.archive).toHaveLength(n);
    store.commit(changeOf(1, n, {})); // without more archive it goes on
    expect(versions(remounted(flash))).toEqual([n]);
  });

  test("a commit that is too large is refused by name", () => {
    const store = new FlashLogStore(new NorFlash({ size: SMALL }));
    store.commit(changeOf(1, 1, { length: 8000 }));
    expect(refusal(() => store.commit(changeOf(1, 2, { length: 9000 }))).code).toBe("too-large");
    expect(versions(store)).toEqual([1]);
  });
});

test("all sectors wear alike, and the statistics say how long the flash will last", () => {
  const flash = new NorFlash({ size: SMALL });
  const store = new FlashLogStore(flash);
  for (let n = 0; n < 4; n++) store.commit(changeOf(100 + n, 1, { length: 900 })); // never change
  for (let n = 0; n < 3000; n++) store.commit(changeOf(1, n, { length: 800, credits: packed(n) }));
  const most = Math.max(...flash.eraseCounts);
  expect(most).toBeGreaterThan(40);
  expect(Math.min(...flash.eraseCounts)).toBeGreaterThanOrEqual(most - 2);
  const now = store.statistics();
  expect(now).toMatchObject({ sectors: 16, badSectors: 0, channels: 5, maxEraseCount: most });
  expect(now.bytesPerCommit).toBeLessThan(2 * 900);
  expect(now.liveBytes).toBeLessThan(now.newChannelLimitBytes);
  expect(now.commitsLeft).toBeGreaterThan((RATED_ERASES * SMALL * 0.8) / (2 * 900));
  const again = remounted(flash).statistics();
  expect(again.totalEraseCount).toBe(now.totalEraseCount);
  expect(again.liveBytes).toBe(now.liveBytes);
});

test("a megabyte of flash: capacity and endurance as documented", () => {
  const store = new FlashLogStore(new NorFlash({ size: MEDIUM }));
  for (let n = 0; n < 50; n++) store.commit(changeOf(1, n, { length: 900, credits: packed(n) }));
  const { newChannelLimitBytes, bytesPerCommit, commitsLeft } = store.statistics();
  expect(newChannelLimitBytes).toBeGreaterThan(480_000);
  expect(bytesPerCommit).toBeLessThan(1010);
  expect(commitsLeft).toBeGreaterThan(100_000_000);
  expect(REFERENCE_WINDOW).toBe(1024);
});

describe("what a mount makes of an image that it did not write", () => {
  const mountable = (image: Uint8Array): string => {
    try {
      const store = new FlashLogStore(new NorFlash({ size: image.length, image }));
      store.load();
      store.commit(changeOf(9, 9));
      return "mounted";
    } catch (error) {
      if (error instanceof StoreError) return error.code;
      throw error;
    }
  };

  test("random bytes are refused as foreign, an erased chip is welcome", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const image = new Uint8Array(SMALL);
        let state = seed | 1;
        for (let i = 0; i < SMALL; i++) {
          state = Math.imul(state, 1103515245) + 12345;
          image[i] = state >>> 16;
        }
        expect(mountable(image)).toBe("foreign");
      }),
      { numRuns: 20 },
    );
    expect(mountable(new Uint8Array(SMALL))).toBe("foreign");
    expect(mountable(new Uint8Array(SMALL).fill(0xff))).toBe("mounted");
  });

  test("a store with random damage mounts or is refused by a StoreError", () => {
    const flash = new NorFlash({ size: SMALL });
    const store = new FlashLogStore(flash);
    for (let n = 0; n < 200; n++) store.commit(changeOf(n % 5, n, { credits: packed(n) }));
    const good = flash.image();
    const place = fc.record({
      at: fc.nat({ max: SMALL - 1 }),
      length: fc.integer({ min: 1, max: 5000 }),
      xor: fc.integer({ min: 1, max: 255 }),
    });
    fc.assert(
      fc.property(fc.array(place, { minLength: 1, maxLength: 4 }), (damage) => {
        const image = good.slice();
        for (const { at, length, xor } of damage) {
          for (let i = at; i < Math.min(at + length, SMALL); i++)
            image[i] = (image[i] as number) ^ xor;
        }
        expect(["mounted", "foreign", "corrupt"]).toContain(mountable(image));
      }),
      { numRuns: 150 },
    );
  });

  test("a partition that is too small, or odd, is refused", () => {
    const flash: Flash = {
      size: 8 * SECTOR_BYTES,
      sectorSize: SECTOR_BYTES,
      read: (_, length) => new Uint8Array(length).fill(0xff),
      program: () => {},
      erase: () => {},
    };
    expect(refusal(() => new FlashLogStore(flash)).code).toBe("foreign");
  });
});

test("a record lost in the middle of the log makes its channel, and older ones, suspect", () => {
  const flash = new NorFlash({ size: SMALL });
  const store = new FlashLogStore(flash);
  store.commit(changeOf(1, 1));
  store.commit(changeOf(2, 1));
  store.commit(changeOf(1, 2)); // this one rots
  store.commit(changeOf(2, 2));
  const image = flash.image();
  const pattern = recordOf(1, 2).subarray(0, 40);
  const at = image.findIndex((_, i) => pattern.every((byte, k) => image[i + k] === byte));
  image[at + 20] = (image[at + 20] as number) ^ 4;
  const again = new FlashLogStore(new NorFlash({ size: SMALL, image }));
  expect(versions(again)).toEqual([1, 2]);
  expect(again.suspects).toEqual([idOf(1)]);
  expect(again.statistics()).toMatchObject({ damagedFrames: 1, lostCommits: 1 });
});

test("sectors that keep nothing are passed over; when all fail, the commit fails", () => {
  const nor = new NorFlash({ size: SMALL });
  const stuck = new Set<number>([0, 3, 4, 5, 6]);
  const flash: Flash = {
    size: nor.size,
    sectorSize: nor.sectorSize,
    read: (offset, length) => nor.read(offset, length),
    erase: (sector) => nor.erase(sector),
    program(offset, bytes) {
      if (!stuck.has(Math.floor(offset / SECTOR_BYTES))) nor.program(offset, bytes);
    },
  };
  const store = new FlashLogStore(flash);
  for (let n = 0; n < 300; n++) store.commit(changeOf(1, n));
  expect(versions(store)).toEqual([299]);
  expect(versions(remounted(nor))).toEqual([299]);
  for (let sector = 0; sector < 16; sector++) stuck.add(sector);
  expect(refusal(() => store.commit(changeOf(1, 300))).code).toBe("io");
  expect(refusal(() => store.commit(changeOf(1, 301))).code).toBe("io");
  expect(versions(remounted(nor))).toEqual([299]);
});
