/** An update on bad days, at each chunk of it: cut short, damaged, replaced by a forged or an older one, and the device started anew in between. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeUpdate, parseUpdate } from "../../core/messages/update-image.ts";
import { concat } from "../../core/primitives/bytes.ts";
import type { Image, UpdateSlots } from "../../firmware/board.ts";
import type { AdminClient } from "../../gateway/admin/client.ts";
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
const stranger = newOwner();
const owner = newOwner();
const image: Image = { ...testImage, releaseKey: release.nodeId };
const program = entropy.random(9_000);
const next = { model: "lab", version: "0.3.0", number: 6 };
const signedBy = (key: typeof release) => (hash: Uint8Array) => noble.sign(hash, key.secret);
const good = makeUpdate(noble, program, next, signedBy(release));
const { manifest, signature, chunks, chunk } = parseUpdate(good);
const forged = parseUpdate(makeUpdate(noble, program, next, signedBy(stranger)));
const older = parseUpdate(makeUpdate(noble, program, { ...next, number: 4 }, signedBy(release)));

/** Two slots as a boot loader sees them: what was not completed never runs. */
class Slots implements UpdateSlots {
  confirmed = true;
  runsNext = "old";
  private written: Uint8Array = new Uint8Array(0);
  begin(): void {
    this.written = new Uint8Array(0);
  }
  write(bytes: Uint8Array): void {
    this.written = concat(this.written, bytes);
  }
  complete(): void {
    const isWhole = Buffer.from(this.written).equals(Buffer.from(program));
    this.runsNext = isWhole ? "new" : "broken";
  }
  abort(): void {}
  confirm(): void {}
  rollBack(): void {}
}

let slots: Slots;
let lab: ProgramLab;
let client: AdminClient;

beforeEach(async () => {
  slots = new Slots();
  lab = await ProgramLab.start({ image, update: slots });
  client = await lab.owner(owner);
  await client.claim(claimRequest());
  await until(() => lab.program.device !== undefined);
});
afterEach(() => lab.stop());

const send = (index: number) => client.call("update.chunk", { index, ...chunk(index) });
const begin = (of = { manifest, signature }) =>
  client.call("update.begin", { manifest: of.manifest, signature: of.signature });

describe("at each chunk of an update", () => {
  it("what is cut short, damaged, forged, older or out of turn is refused, and the good one goes on", async () => {
    expect(chunks).toBeGreaterThan(4);
    await begin();
    for (let index = 0; index < chunks; index++) {
      await expect(client.call("update.finish")).rejects.toMatchObject({ code: "truncated" });
      await expect(begin(forged)).rejects.toMatchObject({ code: "signature" });
      await expect(begin(older)).rejects.toMatchObject({ code: "downgrade" });
      const { next: digest, bytes } = chunk(index);
      const damaged = bytes.slice();
      damaged[index] = (damaged[index] as number) ^ 1;
      for (const wrong of [
        damaged,
        bytes.subarray(0, -1),
        concat(bytes.subarray(1), bytes.subarray(0, 1)),
      ]) {
        const sent = client.call("update.chunk", { index, next: digest, bytes: wrong });
        await expect(sent).rejects.toMatchObject({
          code: expect.stringMatching(/^(chunk|params)$/),
        });
      }
      if (index + 1 < chunks) {
        await expect(send(index + 1)).rejects.toMatchObject({ code: "out-of-order" });
      }
      expect(await begin(), `chunk ${index}`).toMatchObject({ next: index });
      expect(await send(index)).toMatchObject({ next: index + 1 });
      expect(slots.runsNext).toBe("old");
    }
    await client.call("update.finish");
    expect(slots.runsNext).toBe("new");
  });

  it("a restart leaves the old image; the same file is sent anew then, and is whole", async () => {
    for (let sent = 0; sent <= chunks; sent++) {
      await begin();
      for (let index = 0; index < sent; index++) await send(index);
      lab = await lab.restart();
      client = await lab.owner(owner);
      expect(slots.runsNext, `after ${sent} chunks`).toBe("old");
      await expect(client.call("update.finish")).rejects.toMatchObject({ code: "not-begun" });
      const status = await client.call("update.status");
      expect(status).toMatchObject({ running: { number: 5 }, complete: false });
    }
    const progress: number[] = [];
    await client.update(good, (done) => progress.push(done));
    expect(progress.at(-1)).toBe(chunks);
    expect(slots.runsNext).toBe("new");
    await until(() => lab.board.restarts === 1);
  });

  it("a stranger at the other cable can neither send one nor spoil the owner's", async () => {
    lab.stop();
    lab = await ProgramLab.start({ image, update: slots, chips: lab.board.chips, cables: 2 });
    client = await lab.owner(owner, 0);
    const other = await lab.owner(stranger, 1);
    await begin();
    for (let index = 0; index < chunks; index++) {
      await expect(other.call("update.abort")).rejects.toMatchObject({ code: "not-owner" });
      const sent = other.call("update.chunk", { index, ...chunk(index) });
      await expect(sent).rejects.toMatchObject({ code: "not-owner" });
      expect(await send(index)).toMatchObject({ next: index + 1 });
    }
  });
});
