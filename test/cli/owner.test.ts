/** A machine's life in its owner's hands, on one pty: flashed, claimed, set up, sold from, jammed, updated, given another name. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NewMachine } from "./new-machine.ts";
import { picobolt, Running } from "./run-picobolt.ts";

let machine: NewMachine;
let keys: string;
let releaseFile: string;
beforeAll(async () => {
  keys = mkdtempSync(join(tmpdir(), "picobolt-release-"));
  releaseFile = join(keys, "release.key");
  const made = await picobolt(["sign-update", "--new-key", "--key", releaseFile, "--json"]);
  machine = await NewMachine.plugIn({
    device: ["--release-key", made.last.releaseKey as string],
  });
});
afterAll(async () => {
  await machine?.close();
  rmSync(keys, { recursive: true });
});

const file = (name: string) => join(machine.folder, name);
const owned = (...words: string[]) => machine.run(...words, "--device", machine.port);

test("flashed, it runs, and says that nobody owns it", async () => {
  expect((await machine.flash()).code).toBe(0);
  await machine.until("the device", () => machine.find("device", "started") !== undefined);
  const { json } = await machine.run("devices", "--port", machine.port, "--timeout", "60000");
  expect(json[0]).toMatchObject({ answers: true, model: "virtual", claimed: false });
  expect(json[0]?.nodeId).toBe(machine.find("device", "started")?.nodeId);
});

test("claimed with a name, a payout key, an app and prices", async () => {
  writeFileSync(file("prices.csv"), "number,name,sat\n2,tea,900\n1,espresso,1500\n");
  const words = [
    ...["claim", "--link", machine.port, "--name", "coffee", "--payout", machine.payout],
    ...["--gateway", machine.gatewayId, "--app", "vending", "--price-list", file("prices.csv")],
  ];
  const dry = await machine.run(...words, "--dry-run");
  expect(dry.last).toMatchObject({ dryRun: true, name: "coffee", payout: machine.payout });
  const { code, last, stderr } = await machine.run(...words);
  expect(stderr).toContain("a new owner's key is in");
  expect(last).toMatchObject({ ok: true, name: "coffee", products: 2 });
  expect(code).toBe(0);
  expect(statSync(join(machine.home, "owner.key")).mode & 0o777).toBe(0o600);
  const again = await machine.run(...words);
  expect(again.stderr).toContain("has an owner already");
  expect(again.code).toBe(4);
});

test("the owner reads and changes how it stands", async () => {
  expect((await owned("info")).code).toBe(0);
  const changed = await owned("settings", "set", "name=espresso bar");
  expect(changed.last).toMatchObject({ name: "espresso bar" });
  const prices = await owned("price-list", "get");
  expect(prices.json.slice(0, 2)).toMatchObject([
    { id: 1, name: "espresso", priceMsat: 1_500_000 },
    { id: 2, name: "tea", priceMsat: 900_000 },
  ]);
  expect((await owned("channels")).last).toEqual({ channels: [] });
  expect((await owned("logs")).json.length).toBeGreaterThan(1);
});

test("a wrong setting is refused in words", async () => {
  const wrong = await owned("settings", "set", "colour=red");
  expect(wrong.stderr).toContain("the device says no to settings.set");
  expect(wrong.code).toBe(4);
});

test("a customer buys: the goods come out, and the owner sees the channel", async () => {
  await machine.connectGateway(machine.find("device", "started")?.nodeId as string);
  const words = ["pay", "--link", machine.port, "--product", "1", "--json"];
  const buying = new Running([...words, "--gateway", machine.gatewayLink], { home: machine.home });
  await buying.says("0 of 3 confirmations");
  await machine.funded();
  await machine.mine(4);
  const { last, stderr } = await buying.done;
  expect(stderr).toContain("espresso: delivered");
  expect(last).toMatchObject({ delivered: true, priceMsat: 1_500_000 });
  const { channels } = (await owned("channel", "list")).last;
  expect(channels).toMatchObject([{ state: "normal", local_balance_msat: 1_500_000 }]);
});

test("a jammed motor: the money comes back, and the command says so and fails", async () => {
  machine.move("jam", { motor: "motor2", on: true });
  const { code, last, stderr } = await machine.run("pay", "--link", machine.port, "--product", "2");
  expect(stderr).toContain("tea was not delivered");
  expect(last).toMatchObject({ exitCode: 1 });
  expect(code).toBe(1);
});

test("a backup is encrypted, kept to its owner, and never written over by accident", async () => {
  const made = await owned("backup", "--out", file("coffee.backup"));
  expect(made.stderr).toBe("");
  expect(made.code).toBe(0);
  expect(statSync(file("coffee.backup")).mode & 0o777).toBe(0o600);
  expect(readFileSync(file("coffee.backup")).includes("espresso bar")).toBe(false);
  const again = await owned("backup", "--out", file("coffee.backup"));
  expect(again.stderr).toContain("is there already");
  const over = await owned("restore", "--in", file("coffee.backup"));
  expect(over.stderr).toContain("the device says no to restore"); // it has a channel
});

test("an update that the release key did not sign is refused; a signed one runs after a restart", async () => {
  writeFileSync(file("app.bin"), new Uint8Array(9000).fill(1));
  const image = ["--image", file("app.bin"), "--model", "virtual", "--release", "0.3.0"];
  const sign = (key: string, out: string) =>
    machine.run("sign-update", ...image, "--number", "7", "--key", key, "--out", file(out));
  await machine.run("sign-update", "--new-key", "--key", file("stranger.key"));
  await sign(file("stranger.key"), "stranger.update");
  const refused = await owned("update", "--image", file("stranger.update"));
  expect(refused.stderr).toContain("the device says no to update.begin");
  expect(refused.code).toBe(4);
  await sign(releaseFile, "good.update");
  const update = () => owned("update", "--image", file("good.update"));
  const done = await machine.restarted(update);
  expect(done.last).toMatchObject({ ok: true });
  expect(done.code).toBe(0);
});

test("it is started anew, and is still its owner's", async () => {
  const { code } = await machine.restarted(() => owned("reboot"));
  expect(code).toBe(0);
  const { last } = await owned("settings", "get", "name");
  expect(last).toMatchObject({ name: "espresso bar" });
});
