/** Keys and settings through power cuts at every step: always the old or the new, and the seed is made once. */
import { describe, expect, it } from "vitest";
import { cborOf } from "../../core/messages/admin-values.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import type { CborMap } from "../../firmware/admin/params.ts";
import { AdminError } from "../../firmware/admin/params.ts";
import { makeIdentity, performReset, requestReset } from "../../firmware/owner/factory-reset.ts";
import { Ownership } from "../../firmware/owner/ownership.ts";
import { payoutOf } from "../../firmware/settings/payout.ts";
import { SettingsStore } from "../../firmware/settings/settings-store.ts";
import { FlashLogStore, RATED_ERASES } from "../../firmware/store/flash-log.ts";
import { NorFlash } from "../../host-sim/flash/nor-flash.ts";
import {
  claimRequest,
  entropy,
  newChips,
  newOwner,
  noble,
  ProgramLab,
  payoutKey,
  testImage,
  until,
} from "../support/program-lab.ts";

const SIZE = 64 * 1024;
const mapOf = (value: object) => cborOf(value as never) as CborMap;

function ownershipOn(settings: NorFlash, records = new NorFlash({ size: SIZE * 2 })) {
  const store = new SettingsStore(settings);
  const log = new FlashLogStore(records);
  const checkApp = () => {};
  const parts = { crypto: noble, entropy, image: testImage, store, records: log, checkApp };
  return { store, records: log, ownership: new Ownership(parts) };
}

/** Cuts the power at each step of `work` on `image`; `check` sees what the next start reads. */
function cutEverywhere(
  image: Uint8Array,
  work: (flash: NorFlash) => void,
  check: (flash: NorFlash, isCut: boolean) => void,
): number {
  const whole = new NorFlash({ size: SIZE, image });
  const first = whole.steps;
  work(whole);
  const steps = whole.steps - first;
  for (let step = 0; step <= steps; step++) {
    const flash = new NorFlash({ size: SIZE, image });
    flash.failAt(flash.steps + step, step * 7 + 1);
    try {
      work(flash);
    } catch {}
    check(new NorFlash({ size: SIZE, image: flash.image() }), step < steps);
  }
  return steps;
}

describe("a claim", () => {
  it("that power cuts short at any step leaves the device nobody's or wholly the owner's", () => {
    const flash = new NorFlash({ size: SIZE });
    makeIdentity(new SettingsStore(flash), entropy);
    const image = flash.image();
    const seed = toHex(new SettingsStore(new NorFlash({ size: SIZE, image })).seed as Uint8Array);
    const owner = newOwner();
    const request = mapOf(claimRequest());
    const outcomes = new Set<boolean>();
    const steps = cutEverywhere(
      image,
      (chip) => void ownershipOn(chip).ownership.claim(owner.nodeId, "cable", request),
      (chip) => {
        const { store, ownership } = ownershipOn(chip);
        expect(toHex(store.seed as Uint8Array)).toBe(seed);
        outcomes.add(ownership.settings !== undefined);
        if (ownership.settings) expect(ownership.isOwner(owner.nodeId)).toBe(true);
        expect(store.claimCode?.code).toMatch(/^\d{8}$/);
      },
    );
    expect(steps).toBeGreaterThan(0);
    expect([...outcomes].sort()).toEqual([false, true]);
  });
});

describe("settings", () => {
  it("changed a thousand times with power cuts in between are always those before or after", () => {
    const chip = new NorFlash({ size: SIZE });
    const first = ownershipOn(chip);
    makeIdentity(first.store, entropy);
    first.ownership.claim(newOwner().nodeId, "cable", mapOf(claimRequest({ name: "0" })));
    let image = chip.image();
    let name = 0;
    for (let life = 1; life <= 200; life++) {
      const flash = new NorFlash({ size: SIZE, image });
      const { ownership } = ownershipOn(flash);
      const found = Number(ownership.settings?.name);
      expect([name, name - 1]).toContain(found);
      name = found;
      flash.failAt(flash.steps + 1 + (life % 23), life);
      try {
        for (;;) {
          name++;
          ownership.change(mapOf({ name: String(name) }), 0);
        }
      } catch {}
      image = flash.image();
    }
    expect(name).toBeGreaterThan(200);
  });

  it("fit a small flash for decades: a hundred changes a day wear it out in over 20 years", () => {
    const chip = new NorFlash({ size: SIZE });
    const { store, ownership } = ownershipOn(chip);
    makeIdentity(store, entropy);
    ownership.claim(newOwner().nodeId, "cable", mapOf(claimRequest()));
    for (let i = 0; i < 500; i++) ownership.change(mapOf({ name: `name ${i}` }), 0);
    const { bytesProgrammed, sectors } = store.statistics;
    const changes = (RATED_ERASES * sectors * 4_000) / (bytesProgrammed / 500);
    expect(changes).toBeGreaterThan(20 * 365 * 100);
  });

  it("that are wrong are refused in words, and change nothing", () => {
    const { store, ownership } = ownershipOn(new NorFlash({ size: SIZE }));
    makeIdentity(store, entropy);
    ownership.claim(newOwner().nodeId, "cable", mapOf(claimRequest({ name: "good" })));
    const refused = (changes: object, text: RegExp, channels = 0) => {
      expect(() => ownership.change(mapOf(changes), channels)).toThrow(text);
      expect(ownership.settings?.name).toBe("good");
    };
    refused({ name: "" }, /name must be a text of 1 to 32 bytes/);
    refused({ name: 5 }, /name must be a text/);
    refused({ nmae: "x" }, /"nmae" is not known here/);
    refused(
      { policy: { maxOfflineBlocks: 1_008 } },
      /policy.maxOfflineBlocks must be a whole number from 1 to 1000/,
    );
    refused({ policy: { maxChannel: 1 } }, /"policy.maxChannel" is not known/);
    refused({ policy: { minFundingSat: 50_000, maxFundingSat: 20_000 } }, /must not be above/);
    refused({ gateway: new Uint8Array(33) }, /gateway must be a node id/);
    refused({ network: "mainnet" }, /network must be regtest/);
    refused({ mqtt: { host: "h", port: 70_000 } }, /mqtt.port/);
    refused({ appConfig: { x: "y".repeat(3_000) } }, /the settings have \d+ bytes/);
    // Rule `payout-fixed-while-channels`
    refused({ payout: payoutKey() }, /payout key stays while there are channels: close 2 first/, 2);
  });
});

describe("a payout key", () => {
  const key = payoutKey();
  it("is an extended public key, or a descriptor of its first address", () => {
    const plain = payoutOf(noble, key, "regtest");
    expect(toHex(payoutOf(noble, `wpkh(${key}/0/*)`, "regtest").script)).toBe(toHex(plain.script));
    const origin = `wpkh([deadbeef/84'/1'/0']${key}/<0;1>/*)`;
    expect(payoutOf(noble, origin, "regtest")).toEqual(plain);
    expect(plain.script.length).toBe(22);
  });

  it.each([
    ["xpub", /no extended public key/],
    [`wpkh(${key}/0/*)#aaaaaaaa`, /checksum does not fit/],
    [`wpkh(${key}/0'/*)`, /not understood/],
    [`sh(wpkh(${key}/0/*))`, /no extended public key/],
    [payoutKey("mainnet"), /of mainnet, the device's image of regtest/],
    ["tprv8ZgxMBicQKsPd", /private key: keep it off the device/],
  ])("that is wrong is refused: %s", (text, said) => {
    expect(() => payoutOf(noble, text, "regtest")).toThrow(said);
    expect(() => payoutOf(noble, text, "regtest")).toThrow(AdminError);
  });
});

describe("a factory reset", () => {
  it("leaves nothing of the old seed in the flash, whenever power fails meanwhile", () => {
    const chip = new NorFlash({ size: SIZE });
    const records = new FlashLogStore(new NorFlash({ size: SIZE * 2 }));
    const store = new SettingsStore(chip);
    makeIdentity(store, entropy);
    const old = toHex(store.seed as Uint8Array);
    expect(requestReset(store, records)).toBeUndefined();
    const image = chip.image();
    const reset = (flash: NorFlash) =>
      performReset({ store: new SettingsStore(flash), records, entropy });
    const steps = cutEverywhere(image, reset, (flash) => {
      reset(flash);
      const after = new SettingsStore(flash);
      expect(after.isResetDue).toBe(false);
      expect(toHex(flash.image())).not.toContain(old);
      expect(toHex(after.seed as Uint8Array)).not.toBe(old);
    });
    expect(steps).toBeGreaterThan(16);
  });

  it("is refused while channels are open, by reset-keeps-channels", async () => {
    const chips = newChips();
    const store = new SettingsStore(chips.settings);
    makeIdentity(store, entropy);
    const records = new FlashLogStore(chips.records);
    const channel = { channelId: entropy.random(32) as never, live: undefined };
    records.commit({ ...channel, record: () => new Uint8Array(40) });
    expect(requestReset(store, records)).toMatch(/1 channels are open/);
    store.keepResetDue();
    expect(performReset({ store, records, entropy })).toBe(false);
  });

  it("by its button: held for 10 seconds the device starts anew and is another one", async () => {
    let lab = await ProgramLab.start();
    const { nodeId } = lab.program;
    lab.board.levels.set("button", true);
    await new Promise((resolve) => setTimeout(resolve, 120));
    lab.board.aheadMs += 10_000;
    await until(() => lab.board.restarts > 0);
    expect(lab.board.restarts).toBe(1);
    lab = await lab.restart();
    expect(toHex(lab.program.nodeId)).not.toBe(toHex(nodeId));
    lab.stop();
  });
});

describe("a seed", () => {
  it("that is gone while there are channels is not made anew: seed-made-once", async () => {
    const chips = newChips();
    const records = new FlashLogStore(chips.records);
    const channel = { channelId: entropy.random(32) as never, live: undefined };
    records.commit({ ...channel, record: () => new Uint8Array(40) });
    const lab = await ProgramLab.start({ chips });
    expect((await lab.card()).name).toMatch(/^FAULT the keys of this device are lost/);
    expect(new SettingsStore(chips.settings).seed).toBeUndefined();
    lab.stop();
  });
});
