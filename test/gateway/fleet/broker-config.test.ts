/** The files of `picobolt broker-config` in a real mosquitto: who gets in, who may speak where, and what a revoked device may do. */
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAsync, type MqttClient } from "mqtt";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type BrokerConfig, writeBrokerConfig } from "../../../gateway/fleet/broker-config.ts";
import { PATIENCE_MS, PATIENT } from "../../support/patience.ts";
import { startWritten } from "./written-broker.ts";

const GATEWAY = "00112233445566aa";
const COFFEE = "aaaaaaaaaaaaaaaa";
const TEA = "bbbbbbbbbbbbbbbb";
const clients: MqttClient[] = [];
let folder: string;
let port: number;
let broker: ChildProcess;
let made: BrokerConfig;

function configure(change: { add?: string[]; revoke?: string[] }): BrokerConfig {
  return writeBrokerConfig({
    folder,
    gateway: GATEWAY,
    add: change.add ?? [],
    revoke: change.revoke ?? [],
    names: ["localhost"],
    port,
    caSecret: new Uint8Array(32).fill(7),
    nowMs: Date.now,
  });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-broker-config-"));
  broker = await startWritten((free) => {
    port = free;
    made = configure({ add: [COFFEE, TEA] });
    return made.config;
  });
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.endAsync(true);
});
afterAll(() => {
  broker?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

function gatewayUser(): { user: string; password: string } {
  const url = new URL(readFileSync(made.gatewayUrlFile, "utf8").trim());
  return { user: url.username, password: url.password };
}

function settingsOf(name: string): { user: string; password: string; ca: { $file: string } } {
  return JSON.parse(readFileSync(made.devices.get(name) as string, "utf8"));
}

async function enter({ user, password }: { user: string; password: string }): Promise<MqttClient> {
  const client = await connectAsync(`mqtts://localhost:${port}`, {
    username: user,
    password,
    ca: readFileSync(made.caFile),
    reconnectPeriod: 0,
    connectTimeout: PATIENCE_MS,
  });
  clients.push(client);
  return client;
}

function heardBy(client: MqttClient): string[] {
  const heard: string[] = [];
  client.on("message", (topic) => heard.push(topic));
  return heard;
}

test("the gateway hears every device, and a device is itself alone", async () => {
  const gateway = await enter(gatewayUser());
  const coffee = await enter(settingsOf(COFFEE));
  const tea = await enter(settingsOf(TEA));
  const atGateway = heardBy(gateway);
  const atCoffee = heardBy(coffee);
  const base = `picobolt/v1/${GATEWAY}`;
  await gateway.subscribeAsync([`${base}/+/up`, `${base}/+/state`]);
  // Granted or not, nothing comes of it.
  await coffee.subscribeAsync(`${base}/${TEA}/down`).catch(() => {});
  await coffee.subscribeAsync(`${base}/${COFFEE}/down`);
  // As somebody else, and as the gateway: mosquitto drops both without a word.
  await coffee.publishAsync(`${base}/${TEA}/up`, "forged", { qos: 1 });
  await tea.publishAsync(`${base}/${COFFEE}/down`, "forged", { qos: 1 });
  await gateway.publishAsync(`${base}/${TEA}/down`, "for tea", { qos: 1 });
  await coffee.publishAsync(`${base}/${COFFEE}/up`, "mine", { qos: 1 });
  await gateway.publishAsync(`${base}/${COFFEE}/down`, "for coffee", { qos: 1 });
  await expect.poll(() => atCoffee, PATIENT).toEqual([`${base}/${COFFEE}/down`]);
  await expect.poll(() => atGateway, PATIENT).toEqual([`${base}/${COFFEE}/up`]);
});

test("nobody comes in without a password, with a wrong one, or without TLS", async () => {
  await expect(enter({ user: COFFEE, password: "guess" })).rejects.toThrow(/not authori[sz]ed/i);
  await expect(enter({ user: "", password: "" })).rejects.toThrow(/not authori[sz]ed/i);
  const plain = connectAsync(`mqtt://localhost:${port}`, {
    reconnectPeriod: 0,
    connectTimeout: 500,
  });
  await expect(plain).rejects.toThrow();
});

test("said again it changes nothing; a revoked device is out, and the others stay as they are", async () => {
  const read = () =>
    ["passwords", "acl", "mosquitto.conf"].map((f) => readFileSync(join(folder, f), "utf8"));
  const before = read();
  expect(configure({ add: [COFFEE] }).added).toEqual([]);
  expect(read()).toEqual(before);
  const tea = settingsOf(TEA);
  const coffee = settingsOf(COFFEE);
  const after = configure({ revoke: [TEA, "cccccccccccccccc"] });
  expect(after.revoked).toEqual([TEA]);
  expect(after.devices.has(TEA)).toBe(false);
  broker.kill("SIGHUP");
  await expect
    .poll(
      () =>
        enter(tea).then(
          () => "in",
          () => "out",
        ),
      PATIENT,
    )
    .toBe("out");
  await enter(coffee);
});

test("what opens anything is its owner's alone", () => {
  for (const name of ["credentials.json", "gateway.url", "server.key", "passwords"]) {
    expect(statSync(join(folder, name)).mode & 0o077).toBe(0);
  }
  expect(statSync(made.devices.get(COFFEE) as string).mode & 0o077).toBe(0);
});
