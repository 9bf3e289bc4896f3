/** A meter's life in its owner's hands: saved and restored, fed by a customer, its channel closed to the owner, updated into another image and back. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NewMachine } from "./new-machine.ts";
import { picobolt, Running } from "./run-picobolt.ts";

const PRICE_MSAT = 1_000;
const SECONDS = 3;
/** No image proves itself while this test looks at it. */
const TRIAL_MS = 600_000;

let machine: NewMachine;
let keys: string;
let releaseFile: string;
beforeAll(async () => {
  keys = mkdtempSync(join(tmpdir(), "picobolt-release-"));
  releaseFile = join(keys, "release.key");
  const made = await picobolt(["sign-update", "--new-key", "--key", releaseFile, "--json"]);
  machine = await NewMachine.plugIn({
    device: ["--release-key", made.last.releaseKey as string, "--trial-ms", `${TRIAL_MS}`],
  });
  await machine.flash();
  await machine.until("the device", () => machine.find("device", "started") !== undefined);
  writeFileSync(file("meter.json"), JSON.stringify({ priceMsat: PRICE_MSAT, unitSize: 1 }));
  const words = [
    ...["claim", "--link", machine.port, "--name", "charger", "--payout", machine.payout],
    ...["--gateway", machine.gatewayId, "--app", "meter", "--app-settings", file("meter.json")],
  ];
  expect((await machine.run(...words)).code).toBe(0);
});
afterAll(async () => {
  await machine?.close();
  rmSync(keys, { recursive: true });
});

const file = (name: string) => join(machine.folder, name);
const owned = (...words: string[]) => machine.run(...words, "--link", machine.port);

test("what was saved is restored whole", async () => {
  expect((await owned("backup", "--out", file("charger.backup"))).code).toBe(0);
  await owned("settings", "set", "name=somebody's mistake", "policy.maxChannels=1");
  const { code, last } = await owned("restore", "--in", file("charger.backup"));
  expect(last).toEqual({ ok: true, channels: 0, closed: 0 });
  expect(code).toBe(0);
  const { last: settings } = await owned("settings", "get");
  expect(settings).toMatchObject({ name: "charger", app: "meter", policy: { maxChannels: 4 } });
});

test("a customer feeds the meter for some seconds, and pays for those", async () => {
  const words = ["pay", "--link", machine.port, "--meter", `${SECONDS}`, "--json"];
  const feeding = new Running([...words, "--gateway", machine.gatewayLink], { home: machine.home });
  await feeding.says("has not seen the Bitcoin chain yet: waiting for it");
  await machine.connectGateway(machine.find("device", "started")?.nodeId as string);
  await feeding.says("0 of 3 confirmations");
  await machine.funded();
  await machine.mine(4);
  const { code, last } = await feeding.done;
  const paidMsat = SECONDS * PRICE_MSAT;
  expect(last).toMatchObject({ usedUnits: SECONDS, paidMsat, restMsat: 0 });
  expect(code).toBe(0);
  const { channels } = (await owned("channels")).last;
  expect(channels).toMatchObject([{ state: "normal", local_balance_msat: paidMsat }]);
});

test("with a channel nothing is restored over it; closed, its money is on its way to the owner", async () => {
  const refused = await owned("restore", "--in", file("charger.backup"));
  expect(refused.stderr).toContain("the device says no to restore");
  const wrong = await owned("close", "ffffffff");
  expect(wrong.stderr).toContain("there is no channel ffffffff; there are ");
  expect(wrong.code).toBe(4);
  const { code, last } = await owned("close", "all", "--force");
  expect(last).toMatchObject({ channels: [{ state: "force-closing" }] });
  expect(code).toBe(0);
  await machine.mine(2);
  const [channel] = (await owned("channels")).last.channels as { state: string }[];
  expect(channel?.state).toMatch(/force-closing|on-chain|ended/);
});

test("an update runs after the restart, on trial; not confirmed, the image before it is back", async () => {
  const image = new Uint8Array(9_000).map((_, i) => i * 7);
  writeFileSync(file("app.bin"), image);
  const what = ["--image", file("app.bin"), "--model", "virtual", "--release", "0.3.0"];
  const signed = ["--number", "7", "--key", releaseFile, "--out", file("good.update")];
  expect((await machine.run("sign-update", ...what, ...signed)).code).toBe(0);
  await machine.restarted(() => owned("update", "--image", file("good.update")));
  // The other slot runs now, and holds what was signed.
  const slots = () => JSON.parse(readFileSync(file("device/slots.json"), "utf8"));
  expect(slots()).toEqual({ running: 1, confirmed: false });
  expect(readFileSync(file("device/slot1.bin")).equals(Buffer.from(image))).toBe(true);
  expect((await owned("info")).last).toMatchObject({ update: { confirmed: false } });
  const early = await owned("update", "--image", file("good.update"));
  expect(early.stderr).toContain("on trial");
  await machine.restarted(() => owned("reboot"));
  expect(slots()).toEqual({ running: 0, confirmed: true });
  expect((await owned("info")).last).toMatchObject({
    name: "charger",
    update: { confirmed: true },
  });
});
