/** bounded: a peer that adds and removes HTLCs all day fills no flash. */
import { expect, it } from "vitest";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { MAX_ARCHIVED_HTLCS } from "../../firmware/store/live-index.ts";
import { NorFlash } from "../../host-sim/flash/nor-flash.ts";
import { changeOf, idOf, referenceOf } from "../support/store-changes.ts";

const SIZE = 256 * 1024;
const ENTRIES = 5 * MAX_ARCHIVED_HTLCS;

it("the newest archived HTLCs are kept, in order, also over a restart; the flash never fills", () => {
  const flash = new NorFlash({ size: SIZE });
  const store = new FlashLogStore(flash);
  for (let i = 0; i < ENTRIES; i++) {
    store.commit({ ...changeOf(1, i), archive: [referenceOf(i)] });
    if (i % 5 === 0) store.commit(changeOf(2, i));
  }
  const kept = Array.from({ length: MAX_ARCHIVED_HTLCS }, (_, i) =>
    referenceOf(ENTRIES - MAX_ARCHIVED_HTLCS + i),
  );
  const again = new FlashLogStore(new NorFlash({ size: SIZE, image: flash.image() }));
  for (const each of [store, again]) {
    const found = each.load().find(({ channelId }) => String(channelId) === String(idOf(1)));
    expect(found?.archive).toEqual(kept);
  }
  expect(again.statistics().liveBytes).toBe(store.statistics().liveBytes);
});
