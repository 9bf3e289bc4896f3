/** A machine behind a broker, mosquitto: its owner tells it the broker, its gateway hears it there, and a customer's channel is funded through the same broker. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Cable } from "../../host-sim/links/cable.ts";
import type { Broker } from "../../host-sim/mqtt/broker.ts";
import { startMosquitto } from "../../host-sim/mqtt/mosquitto.ts";
import { BareMachine } from "./bare-machine.ts";

let broker: Broker;
let folder: string;
let cable: Cable;
let machine: BareMachine;

beforeAll(async () => {
  broker = await startMosquitto();
  folder = mkdtempSync(join(tmpdir(), "picobolt-till-"));
  cable = await Cable.lay(folder, "till", "pty");
  machine = await BareMachine.start({
    device: ["--serial", cable.ends[0], "--mqtt"],
    gateway: ["--mqtt", broker.url, "--name", "head office"],
  });
});
afterAll(async () => {
  await machine?.close();
  await cable?.close();
  await broker?.close();
  if (folder) rmSync(folder, { recursive: true });
});

/** The gateway, for somebody with this name on the broker. */
const gatewayBy = (name: string) => `${broker.url}/${machine.gatewayId}/${name}`;

test("who is at the other end of the broker says so", async () => {
  const words = ["devices", "--port", gatewayBy("visitor"), "--timeout", "60000"];
  const { json } = await machine.command(...words);
  expect(json[0]).toMatchObject({
    answers: true,
    name: "head office",
    model: "gateway",
    nodeId: machine.gatewayId,
  });
});

test("nobody claims through a broker: who answers is the gateway; no password is shown", async () => {
  const link = gatewayBy("thief").replace("://", "://thief:tell-nobody@");
  const words = [...machine.claimWords("coffee"), "--link", link];
  const { stdout, stderr, code } = await machine.command(...words);
  expect(stderr).toContain("leads to a gateway");
  expect(stdout + stderr).not.toContain("tell-nobody");
  expect(code).toBe(4);
});

test("claimed by cable and told its broker, the machine reaches its gateway there", async () => {
  const link = ["--link", cable.ends[1]];
  const claimed = await machine.command(...machine.claimWords("coffee"), ...link);
  expect(claimed.last).toMatchObject({ ok: true });
  const { host, port } = broker;
  const mqtt = `mqtt=${JSON.stringify({ host, port })}`;
  const set = await machine.command("settings", "set", mqtt, ...link);
  expect(set.last).toMatchObject({ mqtt: { host, port } });
  const isMachine = ({ peer, state }: { readonly [key: string]: unknown }) =>
    peer === machine.nodeId && state === "connected";
  await machine.event("gateway", "peer", isMachine);
});

test("a customer's channel is funded through the broker, and the goods come out", async () => {
  const words = ["pay", "--link", cable.ends[1], "--product", "2"];
  const buying = machine.running(...words, "--gateway", gatewayBy("customer-1"));
  await buying.says("0 of 3 confirmations");
  await machine.funded();
  await machine.mine(4);
  const { last, code } = await buying.done;
  expect(last).toMatchObject({ delivered: true, priceMsat: 900_000 });
  expect(code).toBe(0);
  expect(await machine.event("device", "product")).toMatchObject({ fell: true });
});

test("a broker that is not there is named", async () => {
  const { stderr, code } = await machine.command("info", "--link", "mqtt://127.0.0.1:9/a/b");
  expect(stderr).toContain("127.0.0.1:9");
  expect(code).toBe(3);
});
