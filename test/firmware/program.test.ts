/** A device from its first start on: unclaimed, claimed over a cable, at work, restarted, and refusing to run on bad crypto. */
import { afterEach, describe, expect, it } from "vitest";
import { toHex } from "../../core/primitives/bytes.ts";
import { recordCrash } from "../../firmware/program.ts";
import { claimRequest, newOwner, noble, ProgramLab, until } from "../support/program-lab.ts";

const vending = { machine: "coffee", products: [{ id: 1, name: "coffee", priceMsat: 1_000 }] };

describe("a new device", () => {
  let lab: ProgramLab;
  afterEach(() => lab.stop());

  it("says who it is and that nobody owns it, and blinks", async () => {
    lab = await ProgramLab.start();
    const card = await lab.card();
    expect(card).toMatchObject({ model: "lab", firmwareVersion: "0.2.0", claimed: false });
    expect(toHex(card.nodeId)).toBe(toHex(lab.program.nodeId));
    expect(lab.program.device).toBeUndefined();
    expect(lab.board.printed.join("\n")).toMatch(/claim code: \d{8}$/);
    await until(() => lab.board.levels.get("led") !== undefined);
  });

  it("is claimed over the cable, runs its app at once, and keeps its owner over a restart", async () => {
    lab = await ProgramLab.start();
    const owner = newOwner();
    const client = await lab.owner(owner);
    const request = claimRequest({ app: "vending", appConfig: vending });
    expect(await client.claim(request)).toMatchObject({ name: "coffee", isNew: true });
    await until(() => lab.program.device !== undefined);
    expect(lab.program.isClaimed).toBe(true);
    expect(await client.info()).toMatchObject({ name: "coffee", claimed: true });
    client.close();
    lab = await lab.restart();
    expect(lab.program.isClaimed).toBe(true);
    expect(await lab.card()).toMatchObject({ name: "coffee", claimed: true });
    const again = await lab.owner(owner);
    const info = await again.info();
    expect(info).toMatchObject({
      app: { name: "vending" },
      resetReason: "restart",
      network: "regtest",
    });
    expect(lab.board.printed.join("\n")).not.toMatch(/claim code/);
  });

  it("tells everybody whose it is from the claim's answer on, while its node is yet to change", async () => {
    lab = await ProgramLab.start({ cables: 2 });
    const client = await lab.owner(newOwner());
    await client.claim(claimRequest());
    expect(await lab.card(1)).toMatchObject({ name: "coffee", claimed: true });
  });

  it("whose crypto errs says so and holds no keys", async () => {
    const crypto = { ...noble, sha256: (data: Uint8Array) => noble.sha256(data).fill(0, 31) };
    lab = await ProgramLab.start({ crypto });
    const card = await lab.card();
    expect(card.name).toMatch(/^FAULT self-test: hashes/);
    expect(toHex(card.nodeId)).toBe(`02${"00".repeat(32)}`);
    expect(lab.board.chips.settings.steps).toBe(0);
    expect(lab.alarms.join()).toMatch(/self-test/);
  });

  it("tells at the next start why it crashed", async () => {
    lab = await ProgramLab.start();
    lab.stop();
    recordCrash(lab.board, new RangeError("stack overflow"));
    lab = await lab.restart({ resetReason: "crash" });
    const client = await lab.owner(newOwner());
    const info = await client.info();
    expect(info).toMatchObject({ crashReason: "RangeError: stack overflow", resetReason: "crash" });
  });
});
