/** Signed updates: taken, gone on with, and refused, whatever is wrong with them; nothing that is not signed reaches the flash. */
import { describe, expect, it } from "vitest";
import { makeUpdate, parseUpdate } from "../../core/messages/update-image.ts";
import { concat } from "../../core/primitives/bytes.ts";
import type { Image, UpdateSlots } from "../../firmware/board.ts";
import { UpdateReceiver } from "../../firmware/update/update-receiver.ts";
import {
  claimRequest,
  entropy,
  newOwner,
  noble,
  ProgramLab,
  testImage,
  until,
} from "../support/program-lab.ts";

const release = newOwner();
const image: Image = { ...testImage, releaseKey: release.nodeId };
const program = entropy.random(5_000);
const sign = (hash: Uint8Array) => noble.sign(hash, release.secret);
const fair = { model: "lab", version: "0.3.0", number: 6 };
const file = makeUpdate(noble, program, fair, sign);

class Slots implements UpdateSlots {
  confirmed = true;
  readonly did: string[] = [];
  written: Uint8Array = new Uint8Array(0);
  begin(byteLength: number): void {
    if (byteLength > 100_000) throw new Error(`the slot has 100000 bytes, not ${byteLength}`);
    this.written = new Uint8Array(0);
    this.did.push("begin");
  }
  write(bytes: Uint8Array): void {
    this.written = concat(this.written, bytes);
  }
  complete(): void {
    this.did.push("complete");
  }
  abort(): void {
    this.did.push("abort");
  }
  confirm(): void {
    this.confirmed = true;
    this.did.push("confirm");
  }
  rollBack(): void {
    this.did.push("rollBack");
  }
}

function receiver(slots = new Slots(), of: Image = image) {
  return { slots, updates: new UpdateReceiver(noble, of, "lab", slots) };
}

describe("an update", () => {
  it("of its owner is written, restarted into, and confirmed only after it has run for a while", async () => {
    const slots = new Slots();
    let lab = await ProgramLab.start({ image, update: slots });
    const client = await lab.owner(newOwner());
    await client.claim(claimRequest());
    await until(() => lab.program.device !== undefined);
    const progress: number[] = [];
    await client.update(file, (done) => progress.push(done));
    expect(progress).toEqual([1, 2, 3]);
    expect([...slots.written]).toEqual([...program]);
    expect(slots.did).toEqual(["begin", "complete"]);
    await until(() => lab.board.restarts > 0);
    expect(lab.board.restarts).toBe(1);
    slots.confirmed = false;
    lab = await lab.restart({ image: { ...image, number: 6 } });
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(slots.confirmed).toBe(false);
    lab.board.aheadMs += 30_000;
    await until(() => slots.confirmed);
    lab.stop();
  });

  it("whose new image does not pass its self-test is rolled back", async () => {
    const slots = new Slots();
    slots.confirmed = false;
    const crypto = { ...noble, verify: () => true };
    const lab = await ProgramLab.start({ image, update: slots, crypto });
    expect(slots.did).toEqual(["rollBack"]);
    lab.stop();
  });

  it("goes on after a lost link, and passes over what came twice", () => {
    const { slots, updates } = receiver();
    const { manifest, signature, chunk } = parseUpdate(file);
    const send = (index: number) => {
      const { next, bytes } = chunk(index);
      return updates.chunk(index, next, bytes).next;
    };
    updates.begin(manifest, signature);
    expect([send(0), send(0), send(1)]).toEqual([1, 1, 2]);
    expect(updates.begin(manifest, signature).next).toBe(2);
    expect(() => updates.finish()).toThrow(/1 of 3 chunks are missing/);
    send(2);
    expect(updates.finish().next).toBe(3);
    expect(updates.finish().next).toBe(3);
    expect([...slots.written]).toEqual([...program]);
    expect(slots.did).toEqual(["begin", "complete"]);
  });

  it.each<[string, typeof fair, RegExp]>([
    ["an older one", { ...fair, number: 4 }, /image 4 is not newer than 5/],
    ["the same one (update-no-downgrade)", { ...fair, number: 5 }, /image 5 is not newer/],
    ["another model's", { ...fair, model: "esp32" }, /for esp32, this device is lab/],
  ])("of %s is refused", (_, of, said) => {
    const { slots, updates } = receiver();
    const { manifest, signature } = parseUpdate(makeUpdate(noble, program, of, sign));
    expect(() => updates.begin(manifest, signature)).toThrow(said);
    expect(slots.did).toEqual([]);
  });

  it("that is too large, unsigned, or for an image without a release key is refused", () => {
    const { manifest, signature } = parseUpdate(file);
    const large = parseUpdate(makeUpdate(noble, new Uint8Array(100_001), fair, sign));
    expect(() => receiver().updates.begin(large.manifest, large.signature)).toThrow(/100000 bytes/);
    const other = newOwner();
    const byOther = makeUpdate(noble, program, fair, (hash) => noble.sign(hash, other.secret));
    const forged = parseUpdate(byOther);
    expect(() => receiver().updates.begin(forged.manifest, forged.signature)).toThrow(/signature/);
    const none = receiver(new Slots(), testImage);
    expect(() => none.updates.begin(manifest, signature)).toThrow(/takes no updates/);
    const trial = new Slots();
    trial.confirmed = false;
    expect(() => receiver(trial).updates.begin(manifest, signature)).toThrow(/on trial/);
  });

  it("with any one byte changed writes nothing of the changed part: update-signed", () => {
    const whole = parseUpdate(file);
    for (let at = 0; at < whole.manifest.length; at++) {
      const { slots, updates } = receiver();
      const manifest = whole.manifest.slice();
      manifest[at] = (manifest[at] as number) ^ 1;
      expect(() => updates.begin(manifest, whole.signature)).toThrow(/signature/);
      expect(slots.did).toEqual([]);
    }
    const { slots, updates } = receiver();
    updates.begin(whole.manifest, whole.signature);
    const { next, bytes } = whole.chunk(0);
    for (let at = 0; at < bytes.length; at += 97) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ 0x80;
      expect(() => updates.chunk(0, next, changed)).toThrow(/not the signed one/);
    }
    for (let at = 0; at < 32; at++) {
      const changed = next.slice();
      changed[at] = (changed[at] as number) ^ 1;
      expect(() => updates.chunk(0, changed, bytes)).toThrow(/not the signed one/);
    }
    expect(() => updates.chunk(0, next, bytes.subarray(1))).toThrow(/not the signed one/);
    expect(() => updates.chunk(1, whole.chunk(1).next, whole.chunk(1).bytes)).toThrow(
      /chunk 0 comes next/,
    );
    expect(slots.written.length).toBe(0);
    updates.chunk(0, next, bytes);
    // The second chunk in the third one's place, and the other way round.
    const third = whole.chunk(2);
    expect(() => updates.chunk(1, third.next, third.bytes)).toThrow(/not the signed one/);
  });

  it("file that is cut short or no update is refused before anything is sent", () => {
    expect(() => parseUpdate(file.subarray(0, -1))).toThrow(/bytes instead of/);
    expect(() => parseUpdate(file.subarray(0, 20))).toThrow(/cut short/);
    expect(() => parseUpdate(program)).toThrow(/no picobolt update/);
  });
});
