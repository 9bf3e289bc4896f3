/** An operator's fleet over a real broker: claimed, given prices and settings, asleep, revoked; and images rolled out in stages. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { topicName } from "../../../core/transport/mqtt-topics.ts";
import { picobolt } from "../../cli/run-picobolt.ts";
import { payoutKey } from "../../support/program-lab.ts";
import { type FleetMachine, imageFile } from "./fleet-machine.ts";
import { FleetWorld } from "./fleet-world.ts";

/** A new image proves itself by running for so long. */
const PROOF_MS = 30_000;
const GROUP = "halls";

let world: FleetWorld;
let coffee: FleetMachine;
let tea: FleetMachine;
let soup: FleetMachine;

beforeAll(async () => {
  world = await FleetWorld.start();
  coffee = await world.machine("coffee", [GROUP]);
  tea = await world.machine("tea", [GROUP]);
  soup = await world.machine("soup", [GROUP]);
});
afterAll(() => world?.close());

const call: FleetWorld["client"]["call"] = (...given) => world.client.call(...given);
const device = ({ nodeId: node_id }: FleetMachine) => call("getDevice", { node_id });
const requestOf = async (id: string) => {
  const { requests } = await call("listDeviceRequests", { limit: 1_000 });
  return requests.find((one) => one.id === id);
};

test("the fleet is listed with what each device says of itself, by group too", async () => {
  const { devices } = await call("listDevices", { group: GROUP });
  expect(devices.map(({ name }) => name).sort()).toEqual(["coffee", "soup", "tea"]);
  expect(devices[0]).toMatchObject({ state: "online", firmware: "0.5.0", image_number: 5 });
  expect(devices[0]?.claimed_at).not.toBeNull();
  expect(devices[0]?.link).toMatch(/^mqtt:/);
  const { groups } = await call("listDeviceGroups", {});
  expect(groups).toEqual([{ group: GROUP, devices: 3 }]);
});

test("a price list for a group is live on each of them, and known to be", async () => {
  const products = [{ number: 7, name: "espresso", price_msat: 1_500_000 }];
  const { requests, revision } = await call("setDevicePrices", { group: GROUP, products });
  expect(requests).toHaveLength(3);
  await world.until("prices are live", async () => {
    const { devices } = await call("listDevices", { group: GROUP });
    return devices.every(({ price_list: { current, products: count } }) => current && count === 1);
  });
  expect((await device(tea)).price_list.revision).toBe(revision);
});

test("what a sleeping device is to do waits for it, and a refusal says why", async () => {
  tea.switchOff();
  await world.until("tea sleeps", async () => (await device(tea)).state === "asleep");
  const { nodeId: node_id } = tea;
  const good = await call("setDeviceSettings", { node_id, settings: { name: "green tea" } });
  const bad = await call("setDeviceSettings", { node_id, settings: { network: "mainnet" } });
  expect((await device(tea)).waiting_requests).toBe(2);
  await tea.switchOn();
  const [goodId, badId] = [good.requests[0]?.id as string, bad.requests[0]?.id as string];
  await world.until("both are settled", async () => {
    return [await requestOf(goodId), await requestOf(badId)].every((one) => one?.finished_at);
  });
  expect(await requestOf(goodId)).toMatchObject({ state: "succeeded" });
  expect(await requestOf(badId)).toMatchObject({ state: "failed", failure: { code: "refused" } });
  await world.until("its name is known", async () => (await device(tea)).name === "green tea");
});

test("a request whose time is over fails, and is not done later", async () => {
  tea.switchOff();
  await world.until("tea sleeps", async () => (await device(tea)).state === "asleep");
  const { nodeId: node_id } = tea;
  const settings = { name: "too late" };
  const { requests } = await call("setDeviceSettings", { node_id, settings, ttl_seconds: 1 });
  const id = requests[0]?.id as string;
  await world.until("it has expired", async () => (await requestOf(id))?.state === "failed");
  expect(await requestOf(id)).toMatchObject({ failure: { code: "expired" } });
  await tea.switchOn();
  await world.until("tea is back", async () => (await device(tea)).state === "online");
  expect((await device(tea)).name).toBe("green tea");
});

test("an image goes out in stages, over a restart of the gateway in the middle", async () => {
  const image = await world.upload(imageFile(6, "good"));
  const order = { image, group: GROUP, stages: ["1", "100%"], healthy_seconds: 1 };
  const { id } = await call("startRollout", order);
  const machineIn = async (index: number) => {
    const { devices } = await call("getRollout", { id });
    const nodeId = devices[index]?.node_id;
    return world.machines.find((one) => one.nodeId === nodeId) as FleetMachine;
  };
  const first = await machineIn(0);
  await world.until("the first runs it", () => first.imageNumber === 6);
  // It is on trial: nobody else is sent anything, and the gateway is gone meanwhile.
  await world.stopGateway();
  await world.startGateway();
  const state = async (index: number) => (await call("getRollout", { id })).devices[index]?.state;
  await world.until("it is on trial", async () => (await device(first)).image_confirmed === false);
  expect(await call("getRollout", { id })).toMatchObject({ state: "running", stage: 1 });
  expect([coffee, tea, soup].filter(({ imageNumber }) => imageNumber === 6)).toHaveLength(1);
  first.age(PROOF_MS);
  await world.until("it is done", async () => (await state(0)) === "done");
  await world.until("all run it", () => world.machines.every((one) => one.imageNumber === 6));
  for (const machine of world.machines) machine.age(PROOF_MS);
  await world.until("it is finished", async () => {
    return (await call("getRollout", { id })).state === "finished";
  });
  expect(world.machines.map(({ started }) => started.filter((n) => n === 6).length)).toEqual([
    1, 1, 1,
  ]);
});

test("a bad image halts at the first stage; it is aborted, and nobody else ever had it", async () => {
  const image = await world.upload(imageFile(7, "bad"));
  const order = { image, stages: ["1", "100%"], healthy_seconds: 1 };
  const { id } = await call("startRollout", order);
  await world.until("it halts", async () => {
    return (await call("getRollout", { id })).state === "halted";
  });
  const halted = await call("getRollout", { id });
  expect(halted.reason).toMatch(/1 of 3 devices failed.*went back to image 6/);
  expect(halted.devices.map(({ state }) => state)).toEqual(["failed", "waiting", "waiting"]);
  expect(world.machines.filter(({ started }) => started.includes(7))).toHaveLength(1);
  await expect(call("startRollout", order)).rejects.toMatchObject({ problem: "refused" });
  expect(await call("abortRollout", { id })).toMatchObject({ state: "aborted" });
  await expect(call("resumeRollout", { id })).rejects.toMatchObject({ problem: "refused" });
});

test("by the command: the fleet as a table, prices to a group, and what a device is asked", async () => {
  const gateway = ["--gateway", join(world.folder, "gateway")];
  await world.until("all are online", async () => {
    return (await call("listDevices", {})).devices.every(({ state }) => state === "online");
  });
  const table = await picobolt(["device", "list", ...gateway]);
  expect(table.stderr).toBe("");
  expect(table.stdout).toMatch(/^NAME +DEVICE +STATE +GROUPS/);
  expect(table.stdout).toMatch(/coffee +\w{12} +online +halls +0\.6\.0 +1 /);
  const file = join(world.folder, "prices.csv");
  writeFileSync(file, "number,name,sat\n1,tea,900\n2,soup,1200\n");
  const sent = await picobolt(["device", "prices", `@${GROUP}`, file, "--json", ...gateway]);
  expect(sent.last.requests).toHaveLength(3);
  await world.until("prices are live", async () => {
    const { devices } = await call("listDevices", { group: GROUP });
    return devices.every(({ price_list: { current, products: count } }) => current && count === 2);
  });
  const named = await picobolt(["device", "settings", "coffee", "name=mocha", ...gateway]);
  expect(named.stdout).toMatch(/settings +waiting/);
  await world.until("it is renamed", async () => (await device(coffee)).name === "mocha");
  const stages = await picobolt(["rollout", "show", ...gateway]);
  expect(stages.stdout).toMatch(/aborted, stage 1 of 2 \(1, 100%\)\n1 of 3 devices failed/);
  const nobody = await picobolt(["device", "show", "nobody", ...gateway]);
  expect(nobody).toMatchObject({ code: 4, stdout: "" });
  expect(nobody.stderr).toMatch(/there is no device nobody; there are/);
});

test("a virtual machine on a cable is claimed for the fleet by the command, and comes over the broker", async () => {
  const virtual = await world.virtualMachine();
  const gateway = ["--gateway", join(world.folder, "gateway")];
  const place = ["--at", virtual.link, "--payout", payoutKey(), "--group", "bar"];
  const words = ["device", "claim", "--name", "juice", ...place, "--json", ...gateway];
  const { last, code } = await picobolt(words, { home: join(world.folder, "home") });
  expect(code, JSON.stringify(last)).toBe(0);
  expect(last).toMatchObject({ owner: world.nodeId, has_broker: true });
  await world.until("juice is online", async () => {
    const { devices } = await call("listDevices", { group: "bar" });
    return devices.some((one) => one.state === "online" && one.link?.startsWith("mqtt:") === true);
  });
  await virtual.stop();
});

test("a revoked device is let in by the broker no more, and is sent nothing", async () => {
  const { nodeId: node_id } = soup;
  const file = join(world.brokerFolder, "devices", `${topicName(node_id)}.json`);
  expect(existsSync(file)).toBe(true);
  expect(await call("revokeDevice", { node_id })).toMatchObject({ had_credentials: true });
  expect(existsSync(file)).toBe(false);
  await world.until("the broker lets go of it", () => soup.said(/^mqtt: /));
  expect(await device(soup)).toMatchObject({ state: "revoked" });
  const settings = { name: "mine" };
  await expect(call("setDeviceSettings", { node_id, settings })).rejects.toThrow(/was revoked/);
  await expect(call("setDeviceSettings", { group: "nobody", settings })).rejects.toThrow(
    /no device is in the group/,
  );
});
