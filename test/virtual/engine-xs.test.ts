/** A virtual device whose whole program runs in the real XS engine: sold from, jammed, killed, crashed, and nothing lost. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Running } from "../cli/run-picobolt.ts";
import { XsMachine } from "./xs-machine.ts";

let machine: XsMachine;
beforeAll(async () => {
  machine = await XsMachine.make();
});
afterAll(() => machine?.close());

const pay = (product: string, ...more: string[]) =>
  new Running(["pay", "--link", machine.port, "--product", product, "--json", ...more], {
    home: machine.home,
  });

/** What the owner sees earned. */
async function earnedMsat(): Promise<unknown> {
  const { json } = await machine.picobolt("channels", "--link", machine.port);
  return json[0]?.localMsat;
}

/** The engine's process, a child of the device's. */
function engineProcess(): number {
  const parent = execFileSync("pgrep", ["-f", join(machine.folder, "device")], {
    encoding: "utf8",
  }).trim();
  return Number(execFileSync("pgrep", ["-P", parent, "xsnap"], { encoding: "utf8" }));
}

test("it is claimed", async () => {
  const prices = join(machine.folder, "prices.csv");
  writeFileSync(prices, "number,name,sat\n2,tea,900\n1,espresso,1500\n");
  const { last, code } = await machine.picobolt(
    ...["claim", "--link", machine.port, "--name", "kaffee über xs", "--payout", machine.payout],
    ...["--gateway", machine.gatewayId, "--app", "vending", "--price-list", prices],
  );
  expect(last).toMatchObject({ ok: true, name: "kaffee über xs", products: 2 });
  expect(code).toBe(0);
  expect(await machine.device.call("info")).toMatchObject({ isClaimed: true });
});

test("a customer buys: a channel is opened, the goods come out", async () => {
  await machine.connectGateway();
  const buying = pay("1", "--gateway", machine.gatewayLink);
  await buying.says("0 of 3 confirmations", 30_000);
  await machine.mine(4);
  const { last } = await buying.done;
  expect(last).toMatchObject({ delivered: true, priceMsat: 1_500_000 });
  expect(await machine.device.call("mechanics")).toMatchObject({ fallen: 1, stuck: 0 });
  expect(machine.apps("delivered")).toHaveLength(1);
});

test("a jammed motor: the money comes back", async () => {
  await machine.device.call("jam", { motor: "motor2", on: true });
  const { code, stderr } = await pay("2").done;
  expect(stderr).toContain("tea was not delivered");
  expect(code).toBe(1);
  expect(await earnedMsat()).toBe(1_500_000);
});

test("killed when it was paid: back, it still has its owner and its channel, and gives the money back", async () => {
  const before = machine.deviceId;
  const buying = pay("1");
  await machine.until("the payment", () => machine.apps("paid").length === 3);
  const engine = engineProcess();
  await machine.device.kill();
  const isEngineGone = () => execFileSync("ps", ["-eo", "pid,stat"], { encoding: "utf8" });
  await machine.until(
    "the engine's end",
    () => !new RegExp(`^ *${engine} [^Z]`, "m").test(isEngineGone()),
  );
  expect(await machine.start()).toMatchObject({ nodeId: before, isClaimed: true });
  expect(machine.lines().at(-1)).toContain("started after: power");
  const { code, stderr } = await buying.done;
  expect(stderr).toContain("espresso was not delivered");
  expect(code).toBe(1);
  expect(await earnedMsat()).toBe(1_500_000);
});

test("an engine that dies is a crash of the board: it starts again, and knows why", async () => {
  process.kill(engineProcess(), "SIGKILL");
  expect(await machine.device.exited).toBe(75);
  await machine.start();
  expect(machine.lines().at(-1)).toContain("started after: crash");
  expect((await pay("1").done).last).toMatchObject({ delivered: true });
  expect(await earnedMsat()).toBe(3_000_000);
});

test("it restarts where its owner wants it, and ends in order", async () => {
  const { code } = await machine.picobolt("reboot", "--link", machine.port);
  expect(code).toBe(0);
  expect(await machine.device.exited).toBe(75);
  await machine.start();
  expect(machine.lines().at(-1)).toContain("started after: restart");
  await machine.device.stop();
  expect(await machine.device.exited).toBe(0);
});
