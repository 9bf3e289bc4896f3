/** A machine and its owner over the air: found, claimed with the code on its label, set up, and bought from; bleno and noble over BlueZ's virtual controller. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { busyNotice } from "../../firmware/links/ble-stream.ts";
import { type BlenoPeripheral, blePeripheralDriver } from "../../host-sim/ble/bleno-peripheral.ts";
import { VirtualRadio } from "../../host-sim/ble/virtual-radio.ts";
import { RADIO_VARIABLE } from "../../host-sim/links/ble-link.ts";
import { Cable } from "../../host-sim/links/cable.ts";
import { BareMachine } from "./bare-machine.ts";

let radio: VirtualRadio;
let neighbour: BlenoPeripheral;
let folder: string;
let uplink: Cable;
let machine: BareMachine;

beforeAll(async () => {
  radio = await VirtualRadio.start();
  process.env[RADIO_VARIABLE] = radio.socketFolder;
  neighbour = await blePeripheralDriver(radio.controller());
  neighbour.onConnected = (connection) => connection.send(busyNotice());
  neighbour.advertise("busy one");
  folder = mkdtempSync(join(tmpdir(), "picobolt-uplink-"));
  uplink = await Cable.lay(folder, "uplink", "socket");
  const device = ["--ble", radio.socketFolder, "--serial", uplink.ends[1]];
  machine = await BareMachine.start({ device, gateway: [] });
});
afterAll(async () => {
  delete process.env[RADIO_VARIABLE];
  await machine?.close();
  await uplink?.close();
  neighbour?.close();
  await radio?.stop();
  if (folder) rmSync(folder, { recursive: true });
});

/** As it is called until its owner names it. */
let found: string;

test("devices --ble: who is nearby, what each says of itself, and who is busy", async () => {
  const { json, code, stderr } = await machine.command("devices", "--ble", "--timeout", "5000");
  expect(stderr).toContain("looking for BLE machines");
  expect(code).toBe(0);
  expect(json.at(-1)).toEqual({ found: 2, answering: 1 });
  const busy = json.find(({ port }) => port === "ble:busy one");
  expect(busy).toMatchObject({ answers: false, problem: expect.stringContaining("another") });
  const unclaimed = json.find(({ answers }) => answers === true);
  expect(unclaimed).toMatchObject({ model: "virtual", claimed: false, nodeId: machine.nodeId });
  found = unclaimed?.port as string;
  expect(found).toMatch(/^ble:./);
});

test("claimed with the code on its label, and with no other", async () => {
  const words = [...machine.claimWords("coffee"), "--link", found];
  const without = await machine.command(...words);
  expect(without.stderr).toContain("the code printed on the device");
  expect(without.code).toBe(4);
  const wrong = await machine.command(...words, "--code", "1");
  expect(wrong.stderr).toContain("tries left");
  const { last, code } = await machine.command(...words, "--code", await machine.claimCode());
  expect(last).toMatchObject({ ok: true, name: "coffee", products: 2 });
  expect(code).toBe(0);
});

test("its owner reads and changes it, by its new name", async () => {
  const changed = await machine.command("settings", "set", "name=tea room", "--link", "ble:coffee");
  expect(changed.last).toMatchObject({ name: "tea room" });
  const { last } = await machine.command("info", "--link", "ble:tea room");
  expect(last).toMatchObject({ name: "tea room" });
});

test("a customer opens a channel and buys: the goods come out", async () => {
  const gateway = await machine.gatewayCable("payer");
  await machine.joinGateway(uplink.ends[0]);
  const words = ["pay", "--link", "ble:tea room", "--product", "1"];
  const buying = machine.running(...words, "--gateway", `${gateway}=${machine.gatewayId}`);
  await buying.says("0 of 3 confirmations");
  await machine.funded();
  await machine.mine(4);
  const { last, code } = await buying.done;
  expect(last).toMatchObject({ delivered: true, priceMsat: 1_500_000 });
  expect(code).toBe(0);
  expect(await machine.event("device", "product")).toMatchObject({ fell: true });
});

test("without a radio it says so at once, and standard output holds the answer alone", async () => {
  process.env[RADIO_VARIABLE] = "";
  const { last, json, code } = await machine.command("devices", "--ble");
  process.env[RADIO_VARIABLE] = radio.socketFolder;
  // A host may have a real one.
  if (code === 0) return;
  expect(code).toBe(3);
  expect(last).toMatchObject({ error: expect.stringContaining("no BLE adapter can be used") });
  expect(json).toHaveLength(1);
});
