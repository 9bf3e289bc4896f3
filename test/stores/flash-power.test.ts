/** Power may fail at every program and erase step: afterwards the store holds the last commit or the one in progress. */
import { expect, test } from "vitest";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { NorFlash, PowerCut } from "../../host-sim/flash/nor-flash.ts";
import {
  expected,
  NOTHING,
  perform,
  type Seen,
  SMALL_FLASH,
  type Step,
  script,
  seen,
} from "../support/flash-script.ts";
import { changeOf, versionOf } from "../support/store-changes.ts";

const STEPS = script(150);

/** Plays `steps` from `image`; the models before and after the step at which power failed, or the last one. */
function play(flash: NorFlash, steps: readonly Step[], from: Seen) {
  let before = from;
  let after = from;
  let done = 0;
  try {
    const store = new FlashLogStore(flash);
    for (const step of steps) {
      before = after;
      after = expected(before, step);
      perform(store, step);
      done++;
    }
    return { before: after, after, done, cut: false };
  } catch (error) {
    if (!(error instanceof PowerCut)) throw error;
    return { before, after, done, cut: true };
  }
}

function matches(found: Seen, model: Seen): boolean {
  return JSON.stringify(sorted(found)) === JSON.stringify(sorted(model));
}

function sorted(view: Seen): unknown {
  const numbers = (list: readonly number[]) => [...list].sort((a, b) => a - b);
  return {
    channels: Object.entries(view.channels).sort(),
    values: Object.entries(view.values).sort(),
    credits: numbers(view.credits),
    debits: numbers(view.debits),
  };
}

/** Mounts what the cut left: the state before or after the step, nothing else, and nothing reported as lost. */
function check(image: Uint8Array, before: Seen, after: Seen, where: string): Seen {
  const flash = new NorFlash({ size: SMALL_FLASH, image });
  const store = new FlashLogStore(flash);
  const found = seen(store, [before, after]);
  const fits = [after, before].find((model) => matches(found, model));
  if (!fits) expect(sorted(found), where).toEqual(sorted(after));
  expect(store.statistics().lostCommits, where).toBe(0);
  expect(store.suspects, where).toEqual([]);
  return fits as Seen;
}

/** The next life does something else than the one that was cut, and that is there in the life after it. */
function checkNextCommit(image: Uint8Array, where: string): void {
  const flash = new NorFlash({ size: SMALL_FLASH, image });
  new FlashLogStore(flash).commit(changeOf(77, 4242, { length: 321 }));
  const again = new FlashLogStore(new NorFlash({ size: SMALL_FLASH, image: flash.image() }));
  const records = again.load().map((channel) => versionOf(channel.record as Uint8Array));
  expect(records, where).toContain(4242);
  expect(again.statistics().lostCommits, where).toBe(0);
}

test("the script compacts, and all of it is there at its end", () => {
  const flash = new NorFlash({ size: SMALL_FLASH });
  const { after } = play(flash, STEPS, NOTHING);
  expect(Math.min(...flash.eraseCounts)).toBeGreaterThanOrEqual(1);
  check(flash.image(), after, after, "end");
});

test("at every step of one uninterrupted life", () => {
  const flash = new NorFlash({ size: SMALL_FLASH });
  let before = NOTHING;
  let after = NOTHING;
  flash.observeCuts(1, (image) => {
    check(image, before, after, `cut at step ${flash.steps}`);
    checkNextCommit(image, `commit after a cut at step ${flash.steps}`);
  });
  const store = new FlashLogStore(flash);
  for (const step of STEPS) {
    before = after;
    after = expected(before, step);
    perform(store, step);
  }
});

test("at every step of a life with a mount before each commit", () => {
  let image = new NorFlash({ size: SMALL_FLASH }).image();
  let model = NOTHING;
  STEPS.forEach((step, n) => {
    const flash = new NorFlash({ size: SMALL_FLASH, image });
    const before = model;
    const after = expected(before, step);
    flash.observeCuts(n, (torn) => check(torn, before, after, `step ${n} cut at ${flash.steps}`));
    play(flash, [step], before);
    image = flash.image();
    model = after;
  });
});

test("again and again, in one life after the other, without ever running out of room", () => {
  let image = new NorFlash({ size: SMALL_FLASH }).image();
  let model = NOTHING;
  let next = 0;
  let cuts = 0;
  for (let life = 0; next < STEPS.length; life++) {
    const flash = new NorFlash({ size: SMALL_FLASH, image });
    // Short lives: often the same commit or the same compaction is torn many times in a row.
    flash.failAt(life % 13 === 0 ? 60 : (life * 5) % 9, life);
    const { before, after, done, cut } = play(flash, STEPS.slice(next), model);
    if (cut) cuts++;
    image = flash.image();
    model = check(image, before, after, `life ${life}`);
    next += done + (cut && model === after ? 1 : 0);
    expect(life).toBeLessThan(5000);
  }
  expect(cuts).toBeGreaterThan(20);
});
