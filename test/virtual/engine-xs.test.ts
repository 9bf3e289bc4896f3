/** A virtual device whose whole program runs in the real XS engine: sold from, jammed, killed, crashed, and nothing lost; over a cable, a broker and BLE. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../gateway/api/event-json.ts";
import { VirtualRadio } from "../../host-sim/ble/virtual-radio.ts";
import { RADIO_VARIABLE } from "../../host-sim/links/ble-link.ts";
import type { Broker } from "../../host-sim/mqtt/broker.ts";
import { startMosquitto } from "../../host-sim/mqtt/mosquitto.ts";
import { Running } from "../cli/run-picobolt.ts";
import { PATIENT } from "../support/patience.ts";
import { XsMachine } from "./xs-machine.ts";

let machine: XsMachine;

const pay = (product: string, link = machine.port, ...more: string[]) =>
  new Running(["pay", "--link", link, "--product", product, "--json", ...more], {
    home: machine.home,
  });

/** What the owner sees earned. */
async function earnedMsat(): Promise<unknown> {
  const { last } = await machine.picobolt("channels", "--link", machine.port);
  const [channel] = last.channels as { local_balance_msat: number }[];
  return channel?.local_balance_msat;
}

/** The engine's process, a child of the device's. */
function engineProcess(): number {
  const folder = join(machine.folder, "device");
  const parent = execFileSync("pgrep", ["-f", folder], { encoding: "utf8" }).trim();
  return Number(execFileSync("pgrep", ["-P", parent, "xsnap"], { encoding: "utf8" }));
}

/** A zombie waits for its parent alone. */
function isAlive(processId: number): boolean {
  const all = execFileSync("ps", ["-eo", "pid=,stat="], { encoding: "utf8" });
  return all.split("\n").some((line) => {
    const [id, state = ""] = line.trim().split(/ +/);
    return Number(id) === processId && !state.startsWith("Z");
  });
}

describe("over a cable", () => {
  beforeAll(async () => {
    machine = await XsMachine.make();
  });
  afterAll(() => machine?.close());

  test("it is claimed", async () => {
    const { last, code } = await machine.claim("kaffee über xs");
    expect(last).toMatchObject({ ok: true, name: "kaffee über xs", products: 2 });
    expect(code).toBe(0);
    expect(await machine.device.call("info")).toMatchObject({ isClaimed: true });
  });

  test("a customer buys: a channel is opened, the goods come out", async () => {
    await machine.connectGateway();
    const buying = pay("1", machine.port, "--gateway", machine.gatewayLink);
    await buying.says("0 of 3 confirmations");
    await machine.funded();
    await machine.mine(4);
    const { last } = await buying.done;
    expect(last).toMatchObject({ delivered: true, priceMsat: 1_500_000 });
    expect(await machine.device.call("mechanics")).toMatchObject({ fallen: 1, stuck: 0 });
    await machine.hasTold("delivered", 1);
  });

  test("a jammed motor: the money comes back", async () => {
    await machine.device.call("jam", { motor: "motor2", on: true });
    const { code, stderr } = await pay("2").done;
    expect(stderr).toContain("tea was not delivered");
    expect(code).toBe(1);
    await machine.hasTold("refunded", 1);
  });

  test("killed when it was paid: back, it has its owner and its channel, and gives the money back", async () => {
    const before = machine.deviceId;
    const engine = engineProcess();
    // Nothing falls while the motor's time runs: the power fails in it.
    await machine.device.call("jam", { motor: "motor1", on: true });
    const stuck = async () => ((await machine.device.call("mechanics")) as { stuck: number }).stuck;
    const stuckBefore = await stuck();
    const buying = pay("1");
    await machine.until("the payment", () => machine.apps("paid").length === 3);
    // A motor that had not begun would turn when power is back.
    await expect.poll(stuck, PATIENT).toBeGreaterThan(stuckBefore);
    await machine.device.kill();
    await machine.until("the engine's end", () => !isAlive(engine));
    expect(await machine.start()).toMatchObject({ nodeId: before, isClaimed: true });
    expect(machine.lines().at(-1)).toContain("started after: power");
    const { code, stderr } = await buying.done;
    expect(stderr).toContain("espresso was not delivered");
    expect(code).toBe(1);
    await machine.hasTold("refunded", 2);
  });

  test("an engine that dies is a crash of the board: it starts again, and knows why", async () => {
    process.kill(engineProcess(), "SIGKILL");
    expect(await machine.device.exited).toBe(75);
    await machine.start();
    expect(machine.lines().at(-1)).toContain("started after: crash");
    expect((await pay("1").done).last).toMatchObject({ delivered: true });
    // The two that were delivered: what was given back is back.
    await expect.poll(earnedMsat, PATIENT).toBe(3_000_000);
  });

  test("an engine that hangs: the watchdog restarts the board", async () => {
    const engine = engineProcess();
    process.kill(engine, "SIGSTOP");
    expect(await machine.device.exited).toBe(75);
    await machine.until("the engine's end", () => !isAlive(engine));
    await machine.start();
    expect(machine.lines().at(-1)).toContain("started after: watchdog");
  });

  test("it restarts where its owner wants it, and ends in order", async () => {
    const engine = engineProcess();
    const { code } = await machine.picobolt("reboot", "--link", machine.port);
    expect(code).toBe(0);
    expect(await machine.device.exited).toBe(75);
    await machine.until("the engine's end", () => !isAlive(engine));
    await machine.start();
    expect(machine.lines().at(-1)).toContain("started after: restart");
    await machine.device.stop();
    expect(await machine.device.exited).toBe(0);
  });
});

describe("through a broker to its gateway, over BLE to its customers", () => {
  let broker: Broker;
  let radio: VirtualRadio;
  beforeAll(async () => {
    [broker, radio] = await Promise.all([startMosquitto(), VirtualRadio.start()]);
    process.env[RADIO_VARIABLE] = radio.socketFolder;
    machine = await XsMachine.make({
      device: ["--mqtt", "--ble", radio.socketFolder],
      gateway: ["--mqtt", broker.url],
    });
    await machine.claim("tea & co");
  });
  afterAll(async () => {
    delete process.env[RADIO_VARIABLE];
    await machine?.close();
    await Promise.all([broker?.close(), radio?.stop()]);
  });

  /** Of the gateway, as the device sees it now. */
  const isConnected = () => {
    const isOfIt = ({ from, event, peer }: JsonObject) =>
      from === "device" && event === "peer" && peer === machine.gatewayId;
    return machine.told.findLast(isOfIt)?.state === "connected";
  };

  test("it calls its gateway, also after the broker was away", async () => {
    const mqtt = JSON.stringify({ host: broker.host, port: broker.port });
    const words = ["settings", "set", `mqtt=${mqtt}`, "--link", machine.port];
    expect((await machine.picobolt(...words)).code).toBe(0);
    await machine.until("the gateway", isConnected);
    await broker.kill();
    await machine.until("the loss", () => !isConnected());
    await broker.restart();
    await machine.until("the gateway again", isConnected);
  });

  test("a customer finds it, buys, and buys again", async () => {
    const buying = pay("1", "ble:tea & co", "--gateway", machine.gatewayLink);
    await buying.says("0 of 3 confirmations");
    await machine.funded();
    await machine.mine(4);
    expect((await buying.done).last).toMatchObject({ delivered: true, priceMsat: 1_500_000 });
    expect((await pay("2", "ble:tea & co").done).last).toMatchObject({ delivered: true });
    await expect.poll(earnedMsat, PATIENT).toBe(2_400_000);
  });
});
