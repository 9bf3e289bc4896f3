/** Who may administer a device: its owner, over any link; nobody else, whatever they send (rule `owner-alone-administers`). */
import { afterEach, describe, expect, it } from "vitest";
import { cborOf } from "../../core/messages/admin-values.ts";
import { milliSatoshi } from "../../core/primitives/brands.ts";
import type { CborMap } from "../../firmware/admin/params.ts";
import { makeIdentity } from "../../firmware/owner/factory-reset.ts";
import { Ownership, reachOf } from "../../firmware/owner/ownership.ts";
import { SettingsStore } from "../../firmware/settings/settings-store.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { AdminRefusal } from "../../gateway/admin/client.ts";
import {
  claimRequest,
  entropy,
  newChips,
  newOwner,
  noble,
  ProgramLab,
  testImage,
  until,
} from "../support/program-lab.ts";

let lab: ProgramLab | undefined;
afterEach(() => lab?.stop());

/** A request that was in order after all. */
const DONE = "no refusal: undefined";
const mapOf = (value: object) => cborOf(value as never) as CborMap;
const refusal = async (work: Promise<unknown>): Promise<string> => {
  const cause = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return cause instanceof AdminRefusal ? cause.code : `no refusal: ${String(cause)}`;
};

function fresh(chips = newChips()) {
  const store = new SettingsStore(chips.settings);
  if (!store.seed) makeIdentity(store, entropy);
  const records = new FlashLogStore(chips.records);
  const parts = { crypto: noble, entropy, image: testImage, store, records, checkApp: () => {} };
  return { chips, store, records, ownership: new Ownership(parts) };
}

describe("a claim by BLE", () => {
  it("needs the code printed on the device, with ten tries that a restart does not give back", () => {
    let device = fresh();
    const { code } = device.store.claimCode as { code: string };
    const wrong = code === "00000000" ? "00000001" : "00000000";
    const claim = (tried: string | undefined) =>
      device.ownership.claim(
        newOwner().nodeId,
        "ble",
        mapOf(claimRequest({ code: tried } as object)),
      );
    expect(() => claim(undefined)).toThrow(/the code printed on the device is needed/);
    for (let i = 9; i >= 0; i--) {
      expect(() => claim(wrong)).toThrow(`${i} tries left`);
      device = fresh(device.chips);
    }
    expect(() => claim(code)).toThrow(/claim this device by cable/);
    expect(device.ownership.claim(newOwner().nodeId, "cable", mapOf(claimRequest()))).toBe(true);
  });

  it("with the right code succeeds, and over a broker never", () => {
    const { ownership, store } = fresh();
    const code = store.claimCode?.code as string;
    const request = mapOf(claimRequest({ code: `${code.slice(0, 4)} ${code.slice(4)}` }));
    expect(() => ownership.claim(newOwner().nodeId, "network", request)).toThrow(
      /by cable, or by BLE/,
    );
    expect(ownership.claim(newOwner().nodeId, "ble", request)).toBe(true);
    expect([
      reachOf("serial:uart0"),
      reachOf("ble:aa"),
      reachOf("mqtt:x"),
      reachOf(undefined),
    ]).toEqual(["cable", "ble", "network", "network"]);
  });

  it("of a device that lost its settings and not its channels is its owner's alone", () => {
    const first = fresh();
    const owner = newOwner();
    first.ownership.claim(owner.nodeId, "cable", mapOf(claimRequest()));
    const channel = { channelId: entropy.random(32) as never, live: undefined };
    first.records.commit({ ...channel, record: () => new Uint8Array(40) });
    const lost = fresh({ settings: newChips().settings, records: first.chips.records });
    const request = mapOf(claimRequest());
    expect(() => lost.ownership.claim(newOwner().nodeId, "cable", request)).toThrow(
      /only it may claim/,
    );
    expect(lost.ownership.claim(owner.nodeId, "cable", request)).toBe(true);
  });
});

describe("a claimed device", () => {
  it("of two who claim it at once over two cables has one owner", async () => {
    lab = await ProgramLab.start({ cables: 2 });
    const clients = [await lab.owner(newOwner(), 0), await lab.owner(newOwner(), 1)];
    const results = await Promise.allSettled(clients.map((client) => client.claim(claimRequest())));
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  it("answers its owner, who may claim again, and tells a stranger and a former owner no", async () => {
    lab = await ProgramLab.start({ cables: 2 });
    const owner = newOwner();
    const client = await lab.owner(owner, 0);
    await client.claim(claimRequest({ name: "mine" }));
    expect(await client.claim(claimRequest({ name: "other" }))).toMatchObject({
      name: "mine",
      isNew: false,
    });
    await until(() => lab?.program.device !== undefined);
    const stranger = await lab.owner(newOwner(), 1);
    for (const method of ["info", "settings.get", "reboot", "backup", "logs", "nonsense", "open"]) {
      expect(await refusal(stranger.call(method))).toBe("not-owner");
    }
    expect(await refusal(stranger.claim(claimRequest()))).toBe("claimed");
    expect(await client.settings()).toMatchObject({ name: "mine" });
    await client.call("release");
    await until(() => lab?.program.isClaimed === false && lab.program.device === undefined);
    await stranger.claim(claimRequest({ name: "theirs" }));
    await until(() => lab?.program.device !== undefined);
    expect(await refusal(client.settings())).toBe("not-owner");
    expect(await stranger.settings()).toMatchObject({ name: "theirs" });
  });

  it("is whose the one beside it says: claimed for another, who alone administers it", async () => {
    lab = await ProgramLab.start({ cables: 2 });
    const fleet = newOwner();
    const beside = await lab.owner(newOwner(), 0);
    const request = claimRequest({ owner: fleet.nodeId });
    expect(await beside.claim(request)).toMatchObject({ isNew: true });
    await until(() => lab?.program.device !== undefined);
    expect(await refusal(beside.settings())).toBe("not-owner");
    expect(await beside.claim(request)).toMatchObject({ isNew: false });
    const owner = await lab.owner(fleet, 1);
    expect(await owner.settings()).toMatchObject({ name: "coffee" });
  });

  it("takes settings, a thousand prices, a backup and its restoration, and shows no password", async () => {
    lab = await ProgramLab.start();
    const client = await lab.owner(newOwner());
    await client.claim(claimRequest({ wifi: { ssid: "net", password: "geheimnis" } }));
    await until(() => lab?.program.device !== undefined);
    await client.setSettings({ name: "tea", policy: { maxChannels: 2 } });
    expect(await client.settings()).toMatchObject({
      name: "tea",
      policy: { maxChannels: 2 },
      wifi: { ssid: "net" },
    });
    expect(JSON.stringify(await client.settings())).not.toContain("geheimnis");
    const products = Array.from({ length: 1_000 }, (_, id) => ({
      id,
      name: `product ${id} ${"x".repeat(30)}`,
      priceMsat: milliSatoshi(1_000 + id),
    }));
    await client.setPrices(products);
    expect(await client.prices()).toEqual(products);
    const backup = await client.backup();
    await client.setSettings({ name: "changed" });
    const content = await client.restore(backup);
    expect(content.settings.wifi).toMatchObject({ password: "geheimnis" });
    expect(await client.settings()).toMatchObject({ name: "tea" });
    expect((await client.logs()).join("\n")).toMatch(/claimed[\s\S]*settings changed/);
    expect((await client.logs()).join("\n")).not.toContain("geheimnis");
    expect(lab.board.printed.join("\n")).not.toContain("geheimnis");
  });

  it("is told the time, which may jump, and goes on without", async () => {
    lab = await ProgramLab.start();
    const client = await lab.owner(newOwner());
    await client.claim(claimRequest());
    expect(await client.info()).toMatchObject({ claimed: true });
    for (const seconds of [1_800_000_000, 1_704_067_200, 4_000_000_000]) {
      expect(await client.call("clock.set", { seconds })).toMatchObject({ seconds });
      expect(await client.info()).toMatchObject({ clockSeconds: seconds });
    }
    expect(await refusal(client.call("clock.set", { seconds: 5 }))).toBe("params");
  });

  it("answers whatever is sent with a typed error or a result, and stays alive", async () => {
    lab = await ProgramLab.start();
    const client = await lab.owner(newOwner());
    await client.claim(claimRequest());
    await until(() => lab?.program.device !== undefined);
    const values = [
      null,
      -1,
      2 ** 53 - 1,
      "",
      "x".repeat(300),
      true,
      new Uint8Array(64),
      [1, [2]],
      { a: { b: 1 } },
    ];
    const names = [
      "id",
      "key",
      "amountSat",
      "page",
      "products",
      "policy",
      "wifi",
      "settings",
      "manifest",
    ];
    const methods =
      "info identify settings.get settings.set wifi.set backup restore logs clock.set clear channels open close priceList.get priceList.put priceList.commit update.begin update.chunk update.finish update.status nope";
    const codes = new Set<string>();
    for (const method of methods.split(" ")) {
      for (const [i, value] of values.entries()) {
        const params = { [names[i] as string]: value, [names[(i * 5 + 2) % 9] as string]: value };
        const code = await refusal(client.call(method, params as never));
        if (code !== DONE) codes.add(code);
      }
    }
    const known = [
      "params",
      "method",
      "not-begun",
      "unsupported",
      "prices",
      "no-channel",
      "too-large",
    ];
    expect([...codes].filter((code) => !known.includes(code))).toEqual([]);
    expect(await client.info()).toMatchObject({ claimed: true });
  });
});
